"""Networks of one's own: the module from its text, what its `build` returns, and whether replicates can share its trace."""

from __future__ import annotations

import json
import linecache
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from stages.lib.study.networks import Network
    from stages.lib.study.recipe import Model

DENSE = (
    "Activation Add Average BatchNormalization Concatenate Dense ELU Flatten Functional InputLayer LayerNormalization "
    "LeakyReLU Multiply PReLU ReLU Rescaling Reshape Sequential Softmax Subtract"
).split()
"""Layers that XLA compiles well on one core."""

LAMBDA = "__lambda__"
"""What Keras calls a lambda in a configuration."""


class NetworkError(Exception):
    """A mistake in a network of one's own that raises nothing by itself."""


class _Loader(InspectLoader):
    """Loads a module from a text. Its file need not be on this machine."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def get_source(self, fullname: str) -> str:  # noqa: ARG002
        return self.network.text

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        return self.source_to_code(self.network.text, self.network.path)


def module_of(network: Network) -> ModuleType:
    """The module, made anew: nothing that an earlier network left in it can decide the next one."""
    lines = network.text.splitlines(keepends=True)
    linecache.cache[network.path] = len(network.text), None, lines, network.path  # tracebacks show them
    loader = _Loader(network)
    module = module_from_spec(ModuleSpec(network.module, loader, origin=network.path))
    sys.modules[network.module] = module  # where dataclasses look for it
    loader.exec_module(module)
    return module


def build(network: Network, settings: Model, input_shape: tuple[int, ...], outputs: int, seed: int) -> keras.Model:
    """The network with freshly drawn weights, whatever was built before in this process.

    Layers that are given no seed draw theirs from Python's generator, which is set first, as is every other global one. Names
    that Keras makes up are counted from the start.

    Raises NetworkError for anything but a Keras model with one output of shape (n, outputs).
    """
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    with _settings_of_keras_kept():
        inputs = keras.Input(input_shape, name="inputs")
        model = module_of(network).build(inputs, outputs, **network.arguments(settings.options))
        _check(model, inputs, outputs)
    return model


@contextmanager
def _settings_of_keras_kept() -> Iterator[None]:
    """The body may choose mixed precision, say. The next network of this process starts from Keras's defaults again."""
    config = keras.config
    kept = config.floatx(), config.epsilon(), config.image_data_format(), config.dtype_policy()
    try:
        yield
    finally:
        restore = config.set_floatx, config.set_epsilon, config.set_image_data_format, config.set_dtype_policy
        for setter, value in zip(restore, kept, strict=True):
            setter(value)


def _check(model: object, inputs: Any, outputs: int) -> None:
    """Raises NetworkError for what cannot be trained. A model that was not built yet is built."""
    if not isinstance(model, keras.Model):
        raise NetworkError(f"build returns {_kind(model)}, not a keras.Model")
    made = getattr(model, "outputs", None) or model(inputs)
    shapes = [tuple(each.shape) for each in keras.tree.flatten(made)]
    if shapes != [(None, outputs)]:
        found = " and ".join(map(str, shapes)) or "nothing"
        raise NetworkError(f"the network returns {found} for each batch; (None, {outputs}) is needed")
    taken = [tuple(each.shape) for each in getattr(model, "inputs", None) or [inputs]]
    if taken != [tuple(inputs.shape)]:
        found = " and ".join(map(str, taken))
        raise NetworkError(f"the network takes inputs of {found}; it must take `inputs` alone")


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


# What networks have in common


def architecture(model: keras.Model) -> Any:
    """The content of model.json. The bytecode of a lambda, which differs between versions of Python, is left out.

    Raises NetworkError for a network that has none.
    """
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # Keras's, of a lambda
            text = model.to_json()
    except (NotImplementedError, TypeError, ValueError) as error:
        raise NetworkError(f"model.json cannot be written; a layer or model of your own needs get_config: {error}") from error
    return json.loads(text, object_hook=lambda each: {"class_name": LAMBDA} if each.get("class_name") == LAMBDA else each)


def shares_functions(first: keras.Model, second: keras.Model) -> bool:
    """Whether one network with the other's variables computes what the other does, in training too.

    So it is if all that differs between the two is in their variables: all layers, functions and other objects are Keras's own,
    and the two are described by the same configuration but for seeds, whose states are variables. What is not Keras's own may
    keep anything, such as a constant that was drawn when it was made.
    """
    described = [_without_seeds(architecture(model)) for model in (first, second)]
    return described[0] == described[1] and is_keras_s(first) and is_keras_s(second)


def is_dense(model: keras.Model) -> bool:
    """Whether the network consists of layers that XLA compiles well."""
    return is_keras_s(model) and {type(layer).__name__ for layer in model._flatten_layers()} <= set(DENSE)


def is_keras_s(model: keras.Model) -> bool:
    """Whether nothing in the network is anybody's but Keras's, and nothing is a Lambda."""
    layers = model._flatten_layers()
    parts = [value for layer in layers for value in vars(layer).values() if callable(value)]
    made = {(part if isinstance(part, FunctionType) else type(part)).__module__ for part in [*layers, *parts]}
    return not any(module.startswith("networks.") for module in made) and _described_by_keras(architecture(model))


def _described_by_keras(content: Any) -> bool:
    """Whether every object in a configuration is Keras's own, and none is a Lambda."""
    if isinstance(content, list):
        return all(map(_described_by_keras, content))
    if not isinstance(content, dict):
        return True
    name = content.get("class_name")
    if name in (LAMBDA, "Lambda") or (name and "module" in content and str(content["module"]).partition(".")[0] != "keras"):
        return False
    return all(map(_described_by_keras, content.values()))


def _without_seeds(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_seeds(value) for key, value in content.items() if key != "seed"}
    return [_without_seeds(value) for value in content] if isinstance(content, list) else content
