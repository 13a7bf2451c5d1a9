"""Settings of a training: the network, how it is trained, and a variant's full recipe of both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WrapValidator,
    field_validator,
    model_serializer,
    model_validator,
)

from stages.lib.cli import SettingError, as_yaml
from stages.lib.study.keras_names import (
    DEFAULT_RATES,
    OPTIMIZER_ARGUMENTS,
    SMOOTHING_LOSSES,
    UNWEIGHTED_LOSSES,
    Activation,
    Argument,
    Backend,
    HiddenActivation,
    Initializer,
    Loss,
)
from stages.lib.study.networks import Network, Options
from stages.lib.study.optimizers import NameOrOptimizer, Optimizer, Schedule
from stages.lib.study.rows import KFold, View
from stages.lib.study.strict_yaml import Name, Section, at
from stages.lib.study.values import (
    LARGEST,
    Count,
    Epochs,
    Features,
    NetworkName,
    NotNegative,
    Positive,
    Share,
    Side,
    Value,
    Whole,
    Width,
)

MOST_LAYERS = 1000
OWN = ("network", "options")
"""The keys that a network of one's own reads."""
LAYERS = Field(strict=False, max_length=MOST_LAYERS)
"""A list with an item for each layer."""
_BY_NAME = PlainSerializer(lambda network: getattr(network, "name", network) or "none")
Monitor = Literal["none", "loss", "accuracy", "val_loss", "val_accuracy"]


class WideDeep(Section):
    """Wide & Deep: the output layer sees the inputs themselves (wide) beside the last hidden layer (deep)."""

    api: Literal["none", "functional", "subclass"] = "none"
    """`none` is a plain stack of layers."""
    wide: Features = None
    """`[first, stop]` of the features of the wide part; or `crosses`, or `columns`, all but these. `deep` makes two inputs."""
    deep: Features = None
    """`[first, stop]` of the features of the deep part; or `columns`, or `crosses`."""
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


class Architecture(Section):
    """The architecture: convolutions, then dense layers, then the output layer. Or a network of your own."""

    conv: Annotated[tuple[Width, ...], LAYERS] = ()
    """Filters of each convolution. Each is followed by max pooling."""
    kernel_size: Side = 3
    """Side of a convolution's kernel, in pixels."""
    pool_size: Side = 2
    """Side of a square of max pooling, in pixels."""
    hidden: Annotated[tuple[Width, ...] | None, LAYERS] = None
    """Units of each dense layer. Must be given, like both activations, unless every variant has a network of its own."""
    activation: HiddenActivation | None = None
    """The activation of every hidden layer."""
    negative_slope: NotNegative = 0.2
    """The slope of leaky_relu."""
    maxout_pieces: Annotated[int, Field(ge=2, le=1000)] = 2
    """Linear pieces of each maxout unit."""
    output_activation: Activation | None = None
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
    network: Annotated[NetworkName, _BY_NAME] = None
    """A network of your own, networks/NAME.py beside params.yaml. It reads options, and no other key of the model."""
    options: dict[Name, Value] = {}
    """Keyword arguments of the function `build` in its file, which says what they may be."""

    @model_validator(mode="after")
    def _buildable(self) -> Self:
        if self.conv and self.activation == "maxout":
            raise SettingError("maxout is for dense layers; conv must be []", "activation")
        if self.wide_deep.api != "none" and (self.conv or self.hidden == ()):
            raise SettingError("needs hidden layers and no conv", "wide_deep")
        return self


class Model(Architecture):
    """The architecture of one variant. Beside a network of its own, only the options mean something."""

    hidden: Annotated[tuple[Width, ...], LAYERS]
    activation: HiddenActivation
    output_activation: Activation
    network: Annotated[Network | None, _BY_NAME] = None  # type: ignore[assignment]  # params.yaml has the name
    options: Annotated[Options, PlainValidator(Options)] = Options()

    @model_validator(mode="before")
    @classmethod
    def _of_its_own(cls, value: Any, info: ValidationInfo) -> Any:
        """A recipe that was written as JSON has the name of its network; the context then has the network."""
        if not isinstance(value, Mapping):
            return value
        network = value.get("network")
        if isinstance(network, str):
            network = None if network == "none" else (info.context or {})[network]
        if network is None:
            return {key: each for key, each in value.items() if key not in OWN}
        with at("options"):
            options = network.checked(value.get("options", {}))
        unread = {"hidden": (), "activation": "linear", "output_activation": "linear"}
        return {**unread, "network": network, "options": options}

    @model_serializer(mode="wrap")
    def _what_is_read(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        return {key: value for key, value in content.items() if (key in OWN) == (self.network is not None)}


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


class Augmentation(Section):
    """Random changes of the training images, drawn anew for every batch. No other rows are changed."""

    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    """Mirror half of the images, left to right, upside down, or each way half of them."""
    translate: Share = 0.0
    """Move by up to this share of the height and of the width."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Turn by up to so many degrees, either way."""
    zoom: Share = 0.0
    """Shrink or enlarge by up to this share."""
    contrast: Share = 0.0
    """Multiply the distance of all pixels from their mean by up to 1 plus this share, or down to 1 minus it."""
    fill: Literal["nearest", "constant", "reflect", "wrap"] = "nearest"
    """What fills an edge that was moved in: the nearest pixel, zeros, a mirror image, or the other edge."""

    @property
    def active(self) -> bool:
        """Whether it changes anything."""
        return self.flip != "none" or any((self.translate, self.rotate, self.zoom, self.contrast))


_WEIGHTS = TypeAdapter(dict[str, Positive], config=ConfigDict(strict=True, allow_inf_nan=False))


def _class_weights(value: Any, _: object) -> Any:
    if value in ("none", "balanced"):
        return value
    if not isinstance(value, Mapping) or not value:
        raise SettingError(f"{as_yaml(value)} must be none, balanced, or a mapping of classes and their weights")
    return _WEIGHTS.validate_python(value)


ClassWeights = Annotated[dict[str, Positive] | Literal["none", "balanced"], WrapValidator(_class_weights)]


class Train(Section):
    """How every variant trains, unless it says otherwise."""

    loss: Loss
    """What training makes small."""
    optimizer: NameOrOptimizer
    """With Keras's own arguments, but for learning_rate, momentum and those that a mapping gives."""
    learning_rate: Positive | Literal["default"] = "default"
    """`default` is Keras's own for the optimizer."""
    schedule: Schedule = Schedule()
    """How the learning rate changes in training."""
    momentum: Share = 0.0
    """The momentum of sgd and rmsprop."""
    batch_size: Count
    """Rows of one update."""
    epochs: Epochs
    """Passes over the training rows."""
    early_stopping: EarlyStopping = EarlyStopping()
    """Whether training ends early."""
    label_smoothing: Share = 0.0
    """Share of each label that is spread over all classes, in training alone. For crossentropies of one-hot labels."""
    class_weights: ClassWeights = "none"
    """Class, by name or number -> how much its rows count in training; 1 if left out. `balanced`: the rarer, the more."""
    augmentation: Augmentation = Augmentation()
    """Random changes of the training images."""
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
    def _consistent(self) -> Train:
        name, given = self.optimizer_name, self.optimizer.given if isinstance(self.optimizer, Optimizer) else {}
        if self.momentum and name not in ("sgd", "rmsprop"):
            raise SettingError(f"{self.momentum} is for sgd and rmsprop, not for {name}; set it to 0.0", "momentum")
        if self.momentum and given.get("momentum", self.momentum) != self.momentum:
            wrong = f"{given['momentum']} is not train.momentum, which is {self.momentum}; give one of them"
            raise SettingError(wrong, "optimizer", "momentum")
        if self.label_smoothing and self.loss not in SMOOTHING_LOSSES:
            wrong = f"{self.loss} smooths no labels; set it to 0.0, or loss to one of {', '.join(SMOOTHING_LOSSES)}"
            raise SettingError(wrong, "label_smoothing")
        if self.class_weights != "none" and self.loss in UNWEIGHTED_LOSSES:
            raise SettingError(f"{self.loss} is a loss of a whole batch, whose rows have no weights; set none", "class_weights")
        return self

    @property
    def optimizer_name(self) -> str:
        return self.optimizer if isinstance(self.optimizer, str) else self.optimizer.name

    @property
    def optimizer_arguments(self) -> dict[str, Argument]:
        """The arguments that differ from Keras's own, beside the learning rate. A momentum of 0 is Keras's own."""
        momentum = {"momentum": self.momentum} if self.momentum else {}
        given = self.optimizer.given if isinstance(self.optimizer, Optimizer) else {}
        known = OPTIMIZER_ARGUMENTS[self.optimizer_name]
        return {**{name: value for name, value in given.items() if value != known[name]}, **momentum}

    def settled(self, most_epochs: int | None) -> Train:
        """The same training in the one form that recipes have, so that two ways of writing it are one experiment.

        A default rate and `all` epochs of a schedule become numbers. An optimizer without arguments of its own is its name. The
        momentum of sgd and rmsprop stands beside it. Raises SettingError for a schedule that training is too short for.

        Args:
            most_epochs: the upper limit of a study.
        """
        if self.schedule.warmup_epochs >= self.epochs:
            wrong = f"{self.schedule.warmup_epochs:g} leaves none of the {self.epochs} epochs for the decay"
            raise SettingError(wrong, "train", "schedule", "warmup_epochs")
        name, arguments = self.optimizer_name, self.optimizer_arguments
        momentum = arguments.pop("momentum", 0.0) if name in ("sgd", "rmsprop") else 0.0
        epochs = min(self.epochs, most_epochs or self.epochs)
        changed = {
            "optimizer": Optimizer.model_validate({"name": name, **arguments}) if arguments else name,
            "momentum": momentum,
            "learning_rate": DEFAULT_RATES[name] if self.learning_rate == "default" else self.learning_rate,
            "epochs": epochs,
            "schedule": self.schedule.within(epochs),
        }
        return self.model_copy(update=changed)


class Recipe(Section):
    """Everything about a replicate but its seed and the data: two variants with equal recipes are the same experiment."""

    view: View
    model: Model
    train: Train
    k_fold: KFold | None
    backend: Backend
    jit_compile: bool
    diagnostics: bool

    @property
    def wire(self) -> dict[str, Any]:
        """The recipe as a trainer gets it, which does not have the file of its network."""
        network = self.model.network
        return {"recipe": self.model_dump_json(), "network": network and [network.name, network.path, network.text]}

    @classmethod
    def from_wire(cls, content: Mapping[str, Any]) -> Recipe:
        """What `wire` was made of."""
        network = Network(*content["network"]) if content["network"] else None
        return cls.model_validate_json(content["recipe"], context=network and {network.name: network})
