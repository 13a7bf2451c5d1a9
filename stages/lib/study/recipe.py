"""Settings of a training: the network, how it is trained, and a variant's full recipe of both."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from stages.lib.cli import SettingError, as_yaml
from stages.lib.study.keras_names import Activation, Backend, HiddenActivation, Initializer, Loss, Optimizer
from stages.lib.study.rows import KFold, View
from stages.lib.study.strict_yaml import Section
from stages.lib.study.values import LARGEST, Count, Epochs, Features, NotNegative, Positive, Share, Side, Whole, Width

MOST_LAYERS = 1000
LAYERS = Field(strict=False, max_length=MOST_LAYERS)
"""A list with an item for each layer."""
Monitor = Literal["none", "loss", "accuracy", "val_loss", "val_accuracy"]


class WideDeep(Section):
    """Wide & Deep: the output layer sees the inputs themselves (wide) beside the last hidden layer (deep)."""

    api: Literal["none", "functional", "subclass"] = "none"
    """`none` is a plain stack of layers."""
    wide: Features = None
    """`[first, stop]` of the features of the wide part. With `deep`, the network has two inputs."""
    deep: Features = None
    """`[first, stop]` of the features of the deep part."""
    auxiliary_output: bool = False
    """A second output, on the deep part alone. Its loss is added."""

    @model_validator(mode="after")
    def _consistent(self) -> WideDeep:
        if (self.wide is None) != (self.deep is None):
            raise SettingError("wide and deep: give a range of features for both, which makes two inputs, or for neither")
        if self.api == "none" and (self.wide or self.auxiliary_output):
            raise SettingError(
                "none is a plain stack of layers; wide, deep and auxiliary_output need functional or subclass", "api"
            )
        return self


class Model(Section):
    """The architecture: convolutions, then dense layers, then the output layer."""

    conv: Annotated[tuple[Width, ...], LAYERS] = ()
    """Filters of each convolution. Each is followed by max pooling."""
    kernel_size: Side = 3
    """Side of a convolution's kernel, in pixels."""
    pool_size: Side = 2
    """Side of a square of max pooling, in pixels."""
    hidden: Annotated[tuple[Width, ...], LAYERS]
    """Units of each dense layer."""
    activation: HiddenActivation
    """The activation of every hidden layer."""
    negative_slope: NotNegative = 0.2
    """The slope of leaky_relu."""
    maxout_pieces: Annotated[int, Field(ge=2, le=1000)] = 2
    """Linear pieces of each maxout unit."""
    output_activation: Activation
    """softmax for classes, linear for a regression."""
    kernel_initializer: Initializer = "glorot_uniform"
    """How weights are drawn before training."""
    batch_normalization: Literal["none", "before", "after"] = "none"
    """Whether every hidden layer is normalized, before or after its activation."""
    dropout: Share = 0.0
    """Share of the units of dense hidden layers."""
    dropout_layers: Literal["all", "last"] = "all"
    """After which dense hidden layers."""
    dropout_type: Literal["dropout", "alpha_dropout"] = "dropout"
    """alpha_dropout keeps the mean and the variance of selu."""
    l2: NotNegative = 0.0
    """Penalty on the squared weights of every kernel."""
    wide_deep: WideDeep = WideDeep()
    """A second way from the inputs to the output layer."""

    @model_validator(mode="after")
    def _buildable(self) -> Model:
        if self.conv and self.activation == "maxout":
            raise SettingError("maxout is for dense layers; conv must be []", "activation")
        if self.wide_deep.api != "none" and (self.conv or not self.hidden):
            raise SettingError("needs hidden layers and no conv", "wide_deep")
        return self


class EarlyStopping(Section):
    """When training ends before its last epoch."""

    monitor: Monitor = "none"
    """What must improve. `none` trains all epochs."""
    patience: Whole = 0
    """Epochs without an improvement."""
    min_delta: NotNegative = 0.0
    """The smallest improvement that counts."""
    restore_best: bool = False
    """Whether training ends with the weights of its best epoch."""


class Train(Section):
    """How every variant trains, unless it says otherwise."""

    loss: Loss
    """What training makes small."""
    optimizer: Optimizer
    """With Keras's own settings, but for learning_rate and momentum."""
    learning_rate: Positive | Literal["default"]
    """`default` is Keras's own for the optimizer."""
    momentum: Share = 0.0
    """The momentum of sgd and rmsprop."""
    batch_size: Count
    """Rows of one update."""
    epochs: Epochs
    """Passes over the training rows."""
    early_stopping: EarlyStopping = EarlyStopping()
    """Whether training ends early."""
    validation_rows: Whole = 0
    """The last training rows, set apart to validate on, where the split sets none apart."""
    best_checkpoint: bool = False
    """Also keep the weights of the epoch with the smallest validation loss."""
    tensorboard: bool = False
    """Also keep logs for TensorBoard. They hold time stamps, so they differ from run to run."""

    @field_validator("learning_rate", mode="wrap")
    @classmethod
    def _a_rate(cls, value: Any, handler: Any) -> Any:
        try:
            return handler(value)
        except ValidationError:
            if isinstance(value, int | float) and LARGEST < value < math.inf:
                raise SettingError(f"{as_yaml(value)} must be at most {LARGEST:.0f}") from None
            raise SettingError(f"{as_yaml(value)} must be a number greater than 0, or default") from None

    @model_validator(mode="after")
    def _momentum_where_it_exists(self) -> Train:
        if self.momentum and self.optimizer not in ("sgd", "rmsprop"):
            raise SettingError(f"{self.momentum} is for sgd and rmsprop, not for {self.optimizer}; set it to 0.0", "momentum")
        return self


class Recipe(Section):
    """Everything about a replicate but its seed and the data: two variants with equal recipes are the same experiment."""

    view: View
    model: Model
    train: Train
    k_fold: KFold | None
    backend: Backend
    jit_compile: bool
    diagnostics: bool
