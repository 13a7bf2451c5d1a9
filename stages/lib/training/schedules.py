"""Learning rates that change in training, by Keras's own schedules, which count steps: updates of the weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

import keras

if TYPE_CHECKING:
    from stages.lib.study.optimizers import Schedule
    from stages.lib.study.recipe import Train


class Scheduled(NamedTuple):
    """What decides the learning rate of every step. A trace holds it, so it can be hashed.

    learning_rate: the one that training begins with, or that a warm-up leads to.
    steps: of one epoch.
    """

    settings: Schedule
    learning_rate: float
    steps: int


def scheduled(train: Train, rows: int) -> Scheduled | None:
    """The schedule of a training on so many rows. None if the rate is a variable that no step changes."""
    if not train.schedule.by_step:
        return None
    return Scheduled(train.schedule, train.learning_rate, -(-rows // train.batch_size))  # type: ignore[arg-type]  # a number


def build(given: Scheduled) -> keras.optimizers.schedules.LearningRateSchedule:
    settings, rate, _ = given

    def steps(epochs: float) -> int:
        return round(epochs * given.steps)

    if settings.kind == "steps":
        # Keras keeps a value up to its boundary, and counts steps from 0.
        boundaries = [max(steps(epochs) - 1, 0) for epochs in settings.at]
        values = [rate * settings.factor**passed for passed in range(len(boundaries) + 1)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)
    decay = max(steps(settings.decay_epochs), 1)  # type: ignore[arg-type]  # resolved: a number
    if settings.kind == "exponential":
        return keras.optimizers.schedules.ExponentialDecay(rate, decay, settings.factor)
    if warmup := steps(settings.warmup_epochs):
        return keras.optimizers.schedules.CosineDecay(0.0, decay, settings.lowest, warmup_target=rate, warmup_steps=warmup)
    return keras.optimizers.schedules.CosineDecay(rate, decay, settings.lowest)


class Plateau(keras.callbacks.ReduceLROnPlateau):  # type: ignore[misc]  # Keras has no types
    """Keras's callback for an optimizer that the network does not know."""

    def __init__(self, train: Train, optimizer: keras.Optimizer) -> None:
        settings = train.schedule
        super().__init__(
            monitor=settings.monitor,
            factor=settings.factor,
            patience=settings.patience,
            mode="max" if settings.monitor.endswith("accuracy") else "min",
            min_delta=settings.min_delta,
            min_lr=settings.lowest * train.learning_rate,  # type: ignore[operator]  # resolved: a number
        )
        self.optimizer = optimizer

    def set_model(self, model: keras.Model) -> None:  # noqa: ARG002  # it has no optimizer
        super().set_model(SimpleNamespace(optimizer=self.optimizer))
