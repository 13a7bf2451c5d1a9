"""One epoch as one function, for each of Keras's backends.

Keras's `fit` returns to Python every few steps. Here a whole epoch is one traced function, which Keras 3 does not offer for all
of its backends. The function holds the network and the optimizer. All replicates of a variant share it: their values are set
from outside. Inputs are a tensor, or a pair of tensors for a network with two inputs. Labels are a tensor, or in training the
pair of the labels and the weights of their rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any
Measure = Callable[[Tensor, Tensor, bool], tuple[Tensor, Tensor]]
"""(labels, predictions, whether the network trains) of a batch -> (mean loss, sum of the quality).

The quality of a row is 1 or 0 for a right or a wrong class, or its absolute error.
"""
Epoch = Callable[[np.ndarray, Tensor, Tensor], tuple[float, float]]
"""(order of the rows, inputs, labels) -> (mean loss, mean quality). It trains the network."""
Score = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""(inputs, labels) -> (predictions, mean loss, sum of the quality). It trains nothing."""
Gradients = Callable[[Tensor, Tensor], list[Tensor]]
"""(inputs, labels) -> the gradient of the loss for each trainable variable, in training mode."""


@dataclass(frozen=True)
class Compiled:
    """The functions that a backend makes for a network and its optimizer."""

    epoch: Epoch
    score: Score
    gradients: Gradients


def _rows(x: Any, rows: Tensor) -> Any:
    return keras.tree.map_structure(lambda tensor: ops.take(tensor, rows, axis=0), x)


def _batches(step: Callable[[Tensor, Any], Any], state: Any, order: Tensor, batch_size: int) -> Any:
    """`step(rows, state)` over the full batches of `order`, then over the rest."""
    full, rest = divmod(order.shape[0], batch_size)
    if full:
        state = ops.fori_loop(0, full, lambda i, s: step(ops.slice(order, [i * batch_size], [batch_size]), s), state)
    return step(order[full * batch_size :], state) if rest else state


def _zeros() -> tuple[Tensor, Tensor]:
    return ops.zeros((), "float32"), ops.zeros((), "float32")


def _loss(model: keras.Model, measure: Measure, x: Tensor, y: Tensor, training: bool) -> tuple[Tensor, Tensor, Tensor]:
    predictions = model(x, training=training)
    loss, quality = measure(y, predictions, training)
    return predictions, loss + sum(model.losses), quality


def _tensorflow(
    model: keras.Model, optimizer: keras.Optimizer, measure: Measure, batch_size: int, jit_compile: bool
) -> Compiled:
    import tensorflow as tf

    # One thread is deterministic already. TensorFlow now also refuses an operation that is not.
    tf.config.experimental.enable_op_determinism()

    def differentiated(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        with tf.GradientTape() as tape:
            _, loss, quality = _loss(model, measure, x, y, True)
        return loss, quality, tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    def update(rows: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        loss, quality, gradients = differentiated(_rows(x, rows), _rows(y, rows))
        optimizer.apply(gradients, model.trainable_variables)
        return loss, quality

    @tf.function(autograph=False, jit_compile=jit_compile)
    def epoch(order: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        def step(rows: Tensor, sums: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            loss, quality = update(rows, x, y)
            return sums[0] + loss * rows.shape[0], sums[1] + quality

        sums: tuple[Tensor, Tensor] = _batches(step, _zeros(), order, batch_size)
        return sums

    @tf.function(autograph=False)
    def score(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return _loss(model, measure, x, y, False)

    @tf.function(autograph=False)
    def gradients(x: Tensor, y: Tensor) -> list[Tensor]:
        return differentiated(x, y)[2]

    return Compiled(_averaged(epoch), score, gradients)


def _jax(
    model: keras.Model,
    optimizer: keras.Optimizer,
    measure: Measure,
    batch_size: int,
    jit_compile: bool,  # noqa: ARG001  # JAX always compiles
) -> Compiled:
    import jax

    groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)

    def loss_of(trainable: Any, other: Any, x: Tensor, y: Tensor) -> tuple[Tensor, Any]:
        predictions, other, penalties = model.stateless_call(trainable, other, x, training=True, return_losses=True)
        loss, quality = measure(y, predictions, True)
        return loss + sum(penalties), (other, quality)

    gradient_of = jax.value_and_grad(loss_of, has_aux=True)

    @jax.jit
    def pure(values: Any, order: Tensor, x: Tensor, y: Tensor) -> Any:
        def step(rows: Tensor, state: Any) -> Any:
            trainable, other, slots, losses, qualities = state
            (loss, (other, quality)), gradients = gradient_of(trainable, other, _rows(x, rows), _rows(y, rows))
            trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
            return list(trainable), list(other), list(slots), losses + loss * rows.shape[0], qualities + quality

        return _batches(step, (*values, *_zeros()), order, batch_size)

    def epoch(order: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        *values, losses, qualities = pure([[v.value for v in group] for group in groups], order, x, y)
        for group, new in zip(groups, values, strict=True):
            for variable, value in zip(group, new, strict=True):
                variable.assign(value)
        return losses, qualities

    @jax.jit
    def pure_score(trainable: Any, other: Any, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        predictions, _, penalties = model.stateless_call(trainable, other, x, training=False, return_losses=True)
        loss, quality = measure(y, predictions, False)
        return predictions, loss + sum(penalties), quality

    def score(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        trainable, other = ([variable.value for variable in group] for group in groups[:2])
        scored: tuple[Tensor, Tensor, Tensor] = pure_score(trainable, other, x, y)
        return scored

    def gradients(x: Tensor, y: Tensor) -> list[Tensor]:
        trainable, other = ([variable.value for variable in group] for group in groups[:2])
        return list(jax.jit(gradient_of)(trainable, other, x, y)[1])

    return Compiled(_averaged(epoch), score, gradients)


def _torch(
    model: keras.Model,
    optimizer: keras.Optimizer,
    measure: Measure,
    batch_size: int,
    jit_compile: bool,  # noqa: ARG001  # PyTorch never compiles
) -> Compiled:
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    def differentiated(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        model.zero_grad()
        _, loss, quality = _loss(model, measure, x, y, True)
        loss.backward()
        return loss, quality, [variable.value.grad for variable in model.trainable_variables]

    def epoch(order: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        losses, qualities = _zeros()
        for rows in torch.split(order, batch_size):
            loss, quality, gradients_of_batch = differentiated(_rows(x, rows), _rows(y, rows))
            with torch.no_grad():
                optimizer.apply(gradients_of_batch, model.trainable_variables)
            losses, qualities = losses + loss.detach() * len(rows), qualities + quality
        return losses, qualities

    def score(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.no_grad():
            return _loss(model, measure, x, y, False)

    def gradients(x: Tensor, y: Tensor) -> list[Tensor]:
        return differentiated(x, y)[2]

    return Compiled(_averaged(epoch), score, gradients)


def _averaged(epoch: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> Epoch:
    """The epoch with means as numbers in place of sums over rows."""

    def averaged(order: np.ndarray, x: Tensor, y: Tensor) -> tuple[float, float]:
        losses, qualities = epoch(ops.convert_to_tensor(order.astype(np.int32)), x, y)
        return float(losses) / len(order), float(qualities) / len(order)

    return averaged


Compiler = Callable[[keras.Model, keras.Optimizer, Measure, int, bool], Compiled]
COMPILERS: dict[str, Compiler] = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
"""Backend -> (network, built optimizer, measure, batch size, whether XLA compiles the epoch) -> the compiled functions."""
