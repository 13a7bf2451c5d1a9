"""Settings of the updates: the optimizer's arguments, and how the learning rate changes in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, WrapValidator, field_validator, model_validator

from stages.lib.cli import SettingError, as_yaml
from stages.lib.study.keras_names import DEFAULT_RATES, OPTIMIZER_ARGUMENTS, Argument, OptimizerName
from stages.lib.study.strict_yaml import Section, unknown
from stages.lib.study.values import Count, Finite, NotNegative, OpenShare, Positive, Share, Whole

CLIPPINGS = ("clipnorm", "clipvalue", "global_clipnorm")


class Optimizer(Section):
    """An optimizer with arguments of its own. Keras's own values hold for those that are left out."""

    name: OptimizerName
    """Which one. Each has some of the arguments below."""
    weight_decay: NotNegative | None = None
    """Share of every weight that an update takes away, times the learning rate."""
    clipnorm: Positive | None = None
    """The largest norm of the gradient of one variable. A longer gradient is shortened."""
    clipvalue: Positive | None = None
    """The largest value of each element of a gradient."""
    global_clipnorm: Positive | None = None
    """The largest norm of all gradients together."""
    momentum: Share | None = None
    """Of sgd, rmsprop and muon: share of the last update that is added to the next one."""
    nesterov: bool | None = None
    """Of sgd and muon: Nesterov's momentum."""
    beta_1: Share | None = None
    """Of adam and its relatives: how long the mean of the gradients remembers."""
    beta_2: Share | None = None
    """Of adam and its relatives: how long the mean of the squared gradients remembers."""
    epsilon: Positive | None = None
    """Keeps a division from being one by zero."""
    amsgrad: bool | None = None
    """Of adam and adamw: never forget the largest squared gradient."""
    rho: Share | None = None
    """Of rmsprop and adadelta: how long the mean of the squared gradients remembers."""
    centered: bool | None = None
    """Of rmsprop: divide by the variance of the gradients and not by their squares."""
    initial_accumulator_value: NotNegative | None = None
    """Of adagrad and ftrl: where the sum of the squared gradients starts."""
    warmup_steps: Whole | None = None
    """Of schedulefreeadamw: updates in which the learning rate rises from zero."""
    beta_2_decay: Annotated[float, Field(ge=-10, lt=0)] | None = None
    """Of adafactor: how fast the memory of the squared gradients grows."""
    epsilon_1: Positive | None = None
    """Of adafactor: the smallest squared gradient."""
    epsilon_2: Positive | None = None
    """Of adafactor: the smallest scale of a variable."""
    clip_threshold: Positive | None = None
    """Of adafactor: the largest update, as a root of a mean square."""
    relative_step: bool | None = None
    """Of adafactor: the learning rate falls by itself."""
    learning_rate_power: Annotated[float, Field(ge=-10, le=0)] | None = None
    """Of ftrl: how the learning rate falls."""
    beta: NotNegative | None = None
    """Of ftrl: a constant that is added to the sum of the squared gradients."""
    l1_regularization_strength: NotNegative | None = None
    """Of ftrl: a penalty on the size of the weights."""
    l2_regularization_strength: NotNegative | None = None
    """Of ftrl: a penalty on the squared weights."""
    l2_shrinkage_regularization_strength: NotNegative | None = None
    """Of ftrl: a penalty on the squared weights, beside the loss."""
    ns_steps: Count | None = None
    """Of muon: steps of its iteration."""
    rms_rate: Positive | None = None
    """Of muon: the size of its updates."""
    muon_a: Finite | None = None
    """Of muon: a coefficient of its iteration."""
    muon_b: Finite | None = None
    """Of muon: a coefficient of its iteration."""
    muon_c: Finite | None = None
    """Of muon: a coefficient of its iteration."""
    adam_lr_ratio: Positive | None = None
    """Of muon: the learning rate of variables that it leaves to adam, as a multiple of its own."""
    adam_beta_1: Share | None = None
    """Of muon: `beta_1` of that adam."""
    adam_beta_2: Share | None = None
    """Of muon: `beta_2` of that adam."""
    adam_weight_decay: NotNegative | None = None
    """Of muon: `weight_decay` of that adam."""

    @model_validator(mode="before")
    @classmethod
    def _rate_elsewhere(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "learning_rate" in value:
            raise SettingError("stands beside the optimizer: train.learning_rate", "learning_rate")
        return value

    @model_validator(mode="after")
    def _own_arguments(self) -> Optimizer:
        known = OPTIMIZER_ARGUMENTS[self.name]
        for argument in self.given:
            if argument not in known:
                raise unknown(f"argument of {self.name}", argument, known)
        if len(both := [name for name in CLIPPINGS if name in self.given]) > 1:
            raise SettingError(f"{' and '.join(both)} exclude each other; give one", both[1])
        return self

    @property
    def given(self) -> dict[str, Argument]:
        """The arguments that are given, by name."""
        return {name: value for name, value in self if name != "name" and value is not None}


def _name_or_mapping(value: Any, _: object) -> str | Optimizer:
    if isinstance(value, Mapping | Optimizer):
        return Optimizer.model_validate(value)
    if not isinstance(value, str):
        raise SettingError(f"{as_yaml(value)} must be text, or a mapping of name and arguments")
    if value not in DEFAULT_RATES:
        raise unknown("optimizer", value, DEFAULT_RATES)
    return value


NameOrOptimizer = Annotated[OptimizerName | Optimizer, WrapValidator(_name_or_mapping)]
"""An optimizer by its name, with Keras's own arguments; or a mapping of the name and other arguments."""

KEYS_OF: dict[str, tuple[str, ...]] = {
    "constant": (),
    "exponential": ("factor", "decay_epochs"),
    "cosine": ("warmup_epochs", "decay_epochs", "lowest"),
    "steps": ("factor", "at"),
    "plateau": ("factor", "monitor", "patience", "min_delta", "lowest"),
}
"""Kind of a schedule -> the keys that it has."""


Length = Annotated[float, Field(gt=0, le=1_000_000)]
"""Epochs, with fractions, and no more than training may have."""


class Schedule(Section):
    """How the learning rate changes in training. It begins with `train.learning_rate`. Epochs may have fractions."""

    kind: Literal["constant", "exponential", "cosine", "steps", "plateau"] = "constant"
    """`constant` never changes it. `plateau` lowers it when `monitor` no longer improves."""
    factor: OpenShare = 0.5
    """What multiplies the rate: over `decay_epochs` (exponential), at each epoch of `at` (steps), or on a plateau."""
    decay_epochs: Length | Literal["all"] = "all"
    """Of exponential: `factor` is reached after so many epochs. Of cosine: `lowest` is. `all`: when training ends."""
    warmup_epochs: Annotated[float, Field(ge=0, le=1_000_000)] = 0.0
    """Of cosine: epochs in which the rate first rises from zero, in a straight line."""
    lowest: Share = 0.0
    """Of cosine and plateau: the smallest rate, as a share of `train.learning_rate`."""
    at: Annotated[tuple[Length, ...], Field(strict=False, max_length=1000)] = ()
    """Of steps: after so many epochs, counted from the start of training, the rate changes."""
    monitor: Literal["loss", "accuracy", "val_loss", "val_accuracy"] = "val_loss"
    """Of plateau: what must improve."""
    patience: Count = 5
    """Of plateau: epochs without an improvement."""
    min_delta: NotNegative = 0.0
    """Of plateau: the smallest improvement that counts."""

    @field_validator("decay_epochs", mode="wrap")
    @classmethod
    def _epochs_or_all(cls, value: Any, handler: Any) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise SettingError(
                f"{as_yaml(value)} must be a number of epochs greater than 0, a million at most, or all"
            ) from None

    @model_validator(mode="after")
    def _consistent(self) -> Schedule:
        for key, field in type(self).model_fields.items():
            if key not in ("kind", *KEYS_OF[self.kind]) and getattr(self, key) != field.default:
                users = " and ".join(kind for kind, keys in KEYS_OF.items() if key in keys)
                raise SettingError(f"is for {users}, not for {self.kind}; leave it out", key)
        if self.kind == "steps" and not self.at:
            raise SettingError("steps needs one epoch or more, such as [10, 15]", "at")
        if list(self.at) != sorted(set(self.at)):
            raise SettingError(f"{list(self.at)} must rise", "at")
        return self

    @property
    def by_step(self) -> bool:
        """Whether the rate changes with every step, and not between epochs or never."""
        return self.kind not in ("constant", "plateau")

    def within(self, epochs: int) -> Schedule:
        """The schedule of a training of so many epochs, which may be fewer than it was made for, with a number for `all`."""
        if "decay_epochs" not in KEYS_OF[self.kind]:
            return self
        warmup = self.warmup_epochs if self.warmup_epochs < epochs else epochs / 2
        decay = epochs - warmup if self.decay_epochs == "all" else self.decay_epochs
        return self.model_copy(update={"warmup_epochs": warmup, "decay_epochs": decay})
