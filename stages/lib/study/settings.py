"""params.yaml as frozen, typed settings, with every variant's `extends` chain resolved into one full recipe."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema, WrapValidator, field_validator, model_validator

from stages.lib.study.metrics import METRIC_PATTERNS, METRICS, is_metric, is_time
from stages.lib.study.strict_yaml import TWO, Checked, Name, Section, chosen_by, one_of, shown, unknown, wrong

# The names that Keras knows, written down because the stages that only read results must not spend seconds on importing it.
# A test compares them with the installed Keras.
ACTIVATIONS = (
    "celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid "
    "log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid sparsemax "
    "squareplus swish tanh tanh_shrink"
).split()
INITIALIZERS = (
    "glorot_normal glorot_uniform he_normal he_uniform lecun_normal lecun_uniform orthogonal random_normal random_uniform "
    "truncated_normal variance_scaling zeros ones"
).split()
LOSSES = (
    "categorical_crossentropy sparse_categorical_crossentropy mean_squared_error mse mean_absolute_error mae "
    "mean_absolute_percentage_error mape mean_squared_logarithmic_error msle binary_crossentropy binary_focal_crossentropy "
    "categorical_focal_crossentropy categorical_hinge cosine_similarity dice hinge huber kl_divergence log_cosh poisson "
    "squared_hinge tversky"
).split()
DEFAULT_RATES = {  # Keras's own learning rates, for `learning_rate: default`
    **dict.fromkeys(
        "adadelta adafactor adagrad adam adamax adamw ftrl lion muon nadam rmsprop".split(),
        0.001,
    ),
    "schedulefreeadamw": 0.0025,
    "sgd": 0.01,
}
BACKENDS = ("tensorflow", "jax", "torch")
SCALINGS = ("none", "max", "min_max", "mean", "standard")
MONITORS = ("none", "loss", "accuracy", "val_loss", "val_accuracy")
KINDS = ("choices", "integers", "uniform", "log_uniform")
METHODS = ("grid", "random", "quasi_random", "genetic", "cmaes", "tpe")
PRUNERS = ("none", "median", "successive_halving")
JUDGED_BY = {  # what a search may choose by -> what its winner is judged by, on the test rows
    "val_loss": "test_loss",
    "best_val_loss": "test_loss",
    "val_accuracy": "test_accuracy",
    "best_val_accuracy": "test_accuracy",
    "val_mae": "test_mae",
}
ILLUSTRATIONS = (
    "activations digit_grid first_image inversion_histogram label_grid learning_rate_on_a_line losses scaling_contours "
    "sigmoid_saturation softmax weight_updates"
).split()

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]
Row = Annotated[int, Field(ge=0)]


def _metric(name: str) -> str:
    if not is_metric(name):
        raise unknown("metric", name, METRICS, "; <level> is a share such as 0.95, <n> an epoch such as 1")
    return name


_PLAIN_METRICS = [name for name in METRICS if "<" not in name]
Metric = Annotated[
    str, Checked(_metric, {"anyOf": [{"enum": _PLAIN_METRICS}, *({"pattern": f"^({each})$"} for each in METRIC_PATTERNS)]})
]


def _number_or_none(value: Any, handler: Any) -> Any:
    if value is None or value == "none":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise wrong(f"{shown(value)} must be a whole number of at least 1, or none")
    return handler(value)


_AT_LEAST_ONE = {"type": "integer", "minimum": 1}
Limit = Annotated[
    int | None, WrapValidator(_number_or_none), WithJsonSchema({"anyOf": [_AT_LEAST_ONE, {"enum": ["none", None]}]})
]


def _features(value: Any, handler: Any) -> Any:
    if value is None or value == "all":
        return None
    first, stop = handler(value)
    if first >= stop:
        raise wrong(f"[{first}, {stop}] holds no feature; write [first, stop] with first < stop, or all")
    return first, stop


_RANGE = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2}
Features = Annotated[
    tuple[Row, Row] | None,
    Field(strict=False),
    WrapValidator(_features),
    WithJsonSchema({"anyOf": [_RANGE, {"enum": ["all", None]}]}),
]


_SCALAR = [{"type": kind} for kind in ("number", "string", "boolean")]
Value = Annotated[Any, WithJsonSchema({"anyOf": [*_SCALAR, {"type": "array", "items": {"type": "integer"}}]})]
"""A value of any key: a number, text, true or false, or a list of whole numbers."""
Number = Annotated[Any, WithJsonSchema({"type": "number"})]
"""A number that stays what it is: 3 is not 3.0."""


class StratifiedSplit(Section):
    """Rows drawn at random without replacement, each class in the proportion that it has in the whole."""

    method: Literal["stratified"]  # for classes
    train: Count  # rows
    validation: Annotated[int, Field(ge=0)]  # rows
    test: Count  # rows
    seed: Annotated[int, Field(ge=0)]  # of the draw


class RowRange(Section):
    """Rows `first` up to but without `stop` of one part of the data set (`all`, `train`, `test`), in their order."""

    part: Name  # all, or train or test, as the data set has them
    rows: Annotated[tuple[Row, Row], Field(strict=False), TWO]  # [first, stop], counted from 0

    @field_validator("rows")
    @classmethod
    def _rising(cls, rows: tuple[int, int]) -> tuple[int, int]:
        if rows[0] >= rows[1]:
            raise wrong(f"[{rows[0]}, {rows[1]}] holds no row; write [first, stop] with first < stop")
        return rows

    def overlaps(self, other: RowRange) -> bool:
        return self.part == other.part and max(self.rows[0], other.rows[0]) < min(self.rows[1], other.rows[1])


def _range_or_none(value: Any, _: object) -> RowRange | str:
    if isinstance(value, Mapping | RowRange):
        return RowRange.model_validate(value)
    if value != "none":
        raise wrong(f"{shown(value)} must be none, or a mapping of part and rows")
    return "none"


class TrainTestSplit(Section):
    """scikit-learn's train_test_split, twice: the test rows from all rows, then the validation rows from what is left."""

    method: Literal["train_test_split"]  # scikit-learn's
    test: OpenShare  # of all rows
    test_seed: Annotated[int, Field(ge=0)]  # random_state
    validation: OpenShare  # of the rows that are left
    validation_seed: Annotated[int, Field(ge=0)]  # random_state


class RowsSplit(Section):
    """Rows as given. `validation: none` trains without one."""

    method: Literal["rows"]  # as given
    train: RowRange  # rows to train on
    validation: Annotated[RowRange | Literal["none"], WrapValidator(_range_or_none)]  # rows to watch training by
    test: RowRange  # rows to measure on

    @property
    def validates_on_test_rows(self) -> bool:
        return isinstance(self.validation, RowRange) and self.validation.overlaps(self.test)


SPLITS: dict[str, type[Section]] = {"stratified": StratifiedSplit, "rows": RowsSplit, "train_test_split": TrainTestSplit}


class KFold(Section):
    """Repeated k-fold validation: a replicate's seed says which fold of which repeat it is validated on."""

    folds: Annotated[int, Field(ge=2)]  # parts, each of which is validated on once
    repeats: Count  # times that all is done again, shuffled anew
    seed: Annotated[int, Field(ge=0)]  # of the shuffles, one for each repeat


class Data(Section):
    """Which rows are trained, validated and tested on."""

    dataset: Name  # an entry of data/datasets.yaml
    split: Annotated[StratifiedSplit | RowsSplit | TrainTestSplit, chosen_by("method", SPLITS)]  # by its method
    k_fold: KFold | None = None  # of the training and validation rows together, for the variants that ask for it


class Limits(Section):
    """Upper limits, to try everything in little time; each may be none."""

    rows: Limit = None  # of each split, the first ones
    epochs: Limit = None  # of each replicate
    seeds: Limit = None  # of each variant


class View(Section):
    """How raw values become inputs; fitted on the training split alone."""

    scale: Annotated[str, one_of("scaling", SCALINGS)] = "none"  # max: x / max; mean: by the range, around the mean
    per: Literal["all", "feature"] = "all"  # one statistic over all values, or one for each feature
    fit_on: Literal["train", "each_split"] = "train"  # each_split: by its own statistics, which no test set should be
    invert: bool = False  # x -> smallest + largest - x, of the training split: black on white becomes white on black
    test_noise: NotNegative = 0.0  # standard deviation of normal noise on the scaled test inputs
    noise_seed: Annotated[int, Field(ge=0)] = 0  # of test_noise


class WideDeep(Section):
    """Wide & Deep: the output layer sees the inputs themselves (wide) beside the last hidden layer (deep)."""

    api: Literal["none", "functional", "subclass"] = "none"  # none: a plain stack of layers
    wide: Features = None  # [first, stop] of the features of the wide part; with `deep`, a network with two inputs
    deep: Features = None  # [first, stop] of the features of the deep part
    auxiliary_output: bool = False  # a second output, on the deep part alone, whose loss is added

    @model_validator(mode="after")
    def _consistent(self) -> WideDeep:
        if (self.wide is None) != (self.deep is None):
            raise wrong("wide and deep: give a range of features for both, which makes two inputs, or for neither")
        if self.api == "none" and (self.wide or self.auxiliary_output):
            raise wrong("api: none is a plain stack of layers; wide, deep and auxiliary_output need functional or subclass")
        return self


class Model(Section):
    """The architecture: convolutions, then dense layers, then the output layer."""

    conv: Annotated[tuple[Count, ...], Field(strict=False)]  # filters of each convolution, each followed by max pooling
    kernel_size: Count  # pixels, square
    pool_size: Count  # pixels, square
    hidden: Annotated[tuple[Count, ...], Field(strict=False)]  # units of each dense layer
    activation: Annotated[str, one_of("activation", (*ACTIVATIONS, "maxout"))]  # of every hidden layer
    negative_slope: NotNegative = 0.2  # of leaky_relu
    maxout_pieces: Annotated[int, Field(ge=2)] = 2  # linear pieces of each maxout unit
    output_activation: Annotated[str, one_of("activation", ACTIVATIONS)]  # softmax for classes, linear for a regression
    kernel_initializer: Annotated[str, one_of("initializer", INITIALIZERS)]  # how weights are drawn before training
    batch_normalization: Literal["none", "before", "after"]  # before or after the activation of every hidden layer
    dropout: Share  # share of the units of dense hidden layers
    dropout_layers: Literal["all", "last"] = "all"  # after which dense hidden layers
    dropout_type: Literal["dropout", "alpha_dropout"] = "dropout"  # alpha_dropout keeps selu's mean and variance
    l2: NotNegative  # penalty on the squared weights of every kernel
    wide_deep: WideDeep = WideDeep()  # a second way from the inputs to the output layer

    @model_validator(mode="after")
    def _buildable(self) -> Model:
        if self.conv and self.activation == "maxout":
            raise wrong("activation: maxout is for dense layers; conv must be []")
        if self.wide_deep.api != "none" and (self.conv or not self.hidden):
            raise wrong("wide_deep needs hidden layers and no conv")
        return self


class EarlyStopping(Section):
    """When training ends before its last epoch."""

    monitor: Annotated[str, one_of("monitor", MONITORS)]  # none: train all epochs
    patience: Annotated[int, Field(ge=0)]  # epochs without an improvement
    min_delta: NotNegative  # the smallest improvement that counts
    restore_best: bool  # end with the weights of the best epoch


class Train(Section):
    """How every variant trains, unless it says otherwise."""

    loss: Annotated[str, one_of("loss", LOSSES)]  # what training makes small
    optimizer: Annotated[str, one_of("optimizer", DEFAULT_RATES)]  # with Keras's own settings beside rate and momentum
    learning_rate: Positive | Literal["default"]  # default: Keras's own for the optimizer
    momentum: Share  # of sgd and rmsprop
    batch_size: Count  # rows of one update
    epochs: Count  # passes over the training rows
    early_stopping: EarlyStopping  # when to end before the last epoch
    validation_rows: Annotated[int, Field(ge=0)] = 0  # the last training rows, set apart where the split has no validation
    best_checkpoint: bool  # also keep the weights of the epoch with the smallest validation loss
    tensorboard: bool  # also keep logs for TensorBoard, which hold time stamps: not the same bytes from run to run

    @field_validator("learning_rate", mode="wrap")
    @classmethod
    def _a_rate(cls, value: Any, handler: Any) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise wrong(f"{shown(value)} must be a number greater than 0, or default") from None

    @model_validator(mode="after")
    def _momentum_where_it_exists(self) -> Train:
        if self.momentum and self.optimizer not in ("sgd", "rmsprop"):
            raise wrong(f"momentum {self.momentum} is for sgd and rmsprop, not for {self.optimizer}; set it to 0.0")
        return self


class Replicates(Section):
    """How often, and by what, everything is trained; no variant overrides it."""

    seeds: Count  # replicates of each variant, seeds 0, 1, ...; a claim can ask for more
    backend: Annotated[str, one_of("backend", BACKENDS)]  # Keras's, which must be installed
    keep_models: Literal["first", "all", "none"]  # whose weights go to data/runs
    jit_compile: bool = False  # XLA on TensorFlow, for dense networks without dropout: pays where training takes minutes
    diagnostics: bool = False  # also measure gradients, weights and activations, layer by layer
    time_limit: Positive  # seconds; a replicate that takes longer is stopped and tried again, three times in all


class Variant(Section):
    """One training recipe, by what it changes."""

    tip: str  # one sentence
    extends: Name | None = None  # the variant whose changes it inherits
    view: Name | None = None  # what it is trained on; default: that of the variant it extends
    k_fold: bool | None = None  # validate each replicate on another fold, as data.k_fold says; inherited
    model: dict[str, Any] = {}  # keys of the model section, with other values
    train: dict[str, Any] = {}  # keys of the train section, with other values
    reported: dict[Metric, float] = {}  # the numbers that the source prints
    ours: bool = False  # a control that is not in the source


class Claim(Section):
    """A statement about one variant, or about the second variant of `compare` against the first."""

    says: str  # the statement, one sentence
    variant: Name | None = None  # whose mean is judged, for at_least, at_most and same
    compare: Annotated[tuple[Name, Name] | None, Field(strict=False), TWO] = None  # [first, second]: the second is judged
    metric: Metric  # what is measured
    expect: Literal["higher", "lower", "same", "at_least", "at_most"]  # what the statement says of it
    threshold: float | None = None  # of at_least and at_most
    margin: NotNegative = 0.0  # the smallest difference that counts
    seeds: Count | None = None  # replicates that this claim needs, where that is more than replicates.seeds
    reported: str | None = None  # what the source says
    ours: bool = False  # a statement that is not in the source

    @model_validator(mode="after")
    def _consistent(self) -> Claim:
        if (self.variant is None) == (self.compare is None):
            raise wrong("give either variant (one name) or compare (two names)")
        if self.compare and self.compare[0] == self.compare[1]:
            raise wrong(f"compare names {self.compare[0]!r} twice")
        absolute = self.expect in ("at_least", "at_most")
        if absolute and (self.threshold is None or self.variant is None):
            raise wrong(f"expect: {self.expect} needs a threshold and one variant")
        if not absolute and self.threshold is not None:
            raise wrong(f"threshold belongs to at_least and at_most, not to expect: {self.expect}")
        if self.expect in ("higher", "lower") and self.compare is None:
            raise wrong(f"expect: {self.expect} needs compare with two variants")
        if self.expect == "same" and self.margin == 0:
            raise wrong("expect: same needs a margin greater than 0: the largest difference that still counts as the same")
        return self

    @property
    def variants(self) -> tuple[str, ...]:
        return self.compare or (self.variant or "",)

    @property
    def about_time(self) -> bool:
        """Whether the metric is a duration, which no tracked file holds."""
        return is_time(self.metric)


class Statistics(Section):
    """How claims are judged."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)]  # of every interval


class Illustration(Section):
    """Something that the source computes or draws without training a network."""

    says: str  # what the source says of it
    reported: dict[Name, Annotated[tuple[float, ...], Field(strict=False)]] = {}  # the numbers that it prints


class Note(Section):
    """What we assumed, or found. Of claims and variants it stands in their cards of the report too."""

    says: str  # one sentence or two
    about: Annotated[tuple[Name, ...], Field(strict=False)] = ()  # the claims and variants whose results it explains


def _note(value: Any) -> Any:
    if isinstance(value, str):
        return {"says": value}
    if not isinstance(value, Mapping | Note):
        raise wrong(f"{shown(value)} must be text, or a mapping of says and about")
    return value


AnyNote = Annotated[Note, BeforeValidator(_note, json_schema_input_type=str | Note)]
"""A note, of which a text is one about nothing by name."""


class Range(Section):
    """The values of one key that a search tries: choices, integers, uniform or log_uniform, exactly one of them."""

    key: str  # of model or train, such as train.learning_rate; equal hidden layers have model.hidden.layers and .units
    choices: Annotated[tuple[Value, ...] | None, Field(strict=False)] = None  # any of these
    integers: Annotated[tuple[int, int] | None, Field(strict=False), TWO] = None  # [lowest, highest], both of them tried
    uniform: Annotated[tuple[float, float] | None, Field(strict=False), TWO] = None  # [lowest, highest], any between
    log_uniform: Annotated[tuple[float, float] | None, Field(strict=False), TWO] = None  # the same on a logarithmic scale
    grid: Annotated[tuple[Number, ...] | None, Field(strict=False)] = None  # what a grid tries of it; default: all integers

    @model_validator(mode="after")
    def _consistent(self) -> Range:
        given = [name for name in KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            raise wrong(f"give exactly one of {', '.join(KINDS)}{', not ' + ' and '.join(given) if given else ''}")
        if self.choices is None:
            low, high = getattr(self, given[0])
            if low >= high:
                raise wrong(f"{given[0]}: [{low:g}, {high:g}] leaves nothing to search; write [lowest, highest]")
            if given == ["log_uniform"] and low <= 0:
                raise wrong(f"log_uniform: {low:g} has no logarithm; the lowest value must be greater than 0")
        elif len(self.choices) < 2 or len(set(map(repr, self.choices))) < len(self.choices):
            raise wrong("choices: must be two or more different values")
        if self.grid is not None:
            if self.choices is not None:
                raise wrong("grid: choices are a grid already; leave it out")
            for value in self.grid:
                if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                    raise wrong(f"grid: {shown(value)} is not within [{low:g}, {high:g}]")
            if not self.grid or len(set(self.grid)) < len(self.grid):
                raise wrong("grid: must be one or more different values")
        return self

    @property
    def kind(self) -> str:
        """Which of KINDS it is."""
        return next(name for name in KINDS if getattr(self, name) is not None)

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value of what is no choices."""
        return self.integers or self.uniform or self.log_uniform or (math.nan, math.nan)


class Strategy(Section):
    """One way of choosing what to try next."""

    method: Annotated[str, one_of("method", METHODS)]  # quasi_random: Sobol's; genetic: NSGA-II; cmaes: CMA-ES
    trials: Count | None = None  # fewer than search.trials
    reported: dict[Metric, float] = {}  # the numbers that the source prints of what was found


class Search(Section):
    """Settings that are searched for, by several strategies side by side, and what is said of these."""

    variant: Name  # whose recipe the settings change; as it is, it is the strategy `default`
    space: dict[Name, Range]  # the keys that are searched, each with its range
    strategies: dict[Name, Strategy]  # ways of choosing what to try next
    trials: Count  # settings that each strategy tries with each seed
    batch: Count  # trials chosen at once, and learnt from together: a generation of genetic and cmaes
    seeds: Count  # times that each strategy searches, each with folds and initial weights of its own
    folds: Count  # of the training and validation rows together, a score for each; 1: the validation rows of the split
    metric: Annotated[str, one_of("metric to choose by", JUDGED_BY)]  # mean over the folds
    direction: Literal["minimize", "maximize"]  # what is better
    pruning: Annotated[str, one_of("pruning", PRUNERS)] = "none"  # end hopeless trials after some of their folds
    refits: Count = 1  # times that each winner is trained on all but the test rows, to be judged on these
    claims: dict[Name, Claim] = {}  # about strategies, by the metric or by its like on the test rows

    @property
    def judged_by(self) -> str:
        """The metric, on the test rows, that winners are judged by."""
        return JUDGED_BY[self.metric]

    def trials_of(self, strategy: str) -> int:
        """How many trials a strategy has with each seed."""
        return min(self.strategies[strategy].trials or self.trials, self.trials)


class Recipe(Section):
    """Everything about a replicate but its seed and the data: two variants with equal recipes are the same experiment."""

    view: View
    model: Model
    train: Train
    k_fold: KFold | None
    backend: str
    jit_compile: bool
    diagnostics: bool


class Study(Section):
    """A whole params.yaml."""

    title: str  # of the study and its report
    source: str  # what is re-run, and where it was published
    data: Data  # which rows
    views: dict[Name, View]  # how raw values become inputs
    model: Model  # the architecture that every variant inherits
    train: Train  # the training that every variant inherits
    replicates: Replicates  # for the whole study
    variants: dict[Name, Variant]  # what is trained
    claims: dict[Name, Claim] = {}  # what is said, and how it is judged
    statistics: Statistics  # of every verdict
    limits: Limits = Limits()  # upper limits, to try everything in little time
    illustrations: dict[Annotated[str, one_of("illustration", ILLUSTRATIONS)], Illustration] = {}  # drawn without training
    errata: Annotated[tuple[str, ...], Field(strict=False)] = ()  # what the source gets wrong
    notes: Annotated[tuple[AnyNote, ...], Field(strict=False)] = ()  # what we assumed, and what we found
    search: Search | None = None  # what is searched for, and how

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """Variant -> its full recipe, in the order of the file."""
        return {name: resolve(self, name) for name in self.variants}

    def view_of(self, variant: str) -> str:
        """The name of the view that a variant trains on: its own, or its nearest ancestor's."""
        for each in reversed(chain(self, variant)):
            if each.view:
                return each.view
        raise wrong(f"is missing, here and in what it extends; known: {', '.join(self.views)}")

    def seeds(self, variant: str) -> range:
        """The seeds that a variant is trained with: `replicates.seeds`, or more where a claim about it asks for more.

        With k-fold validation, one for each fold of each repeat.
        """
        if k_fold := self.recipes[variant].k_fold:
            return range(min(k_fold.folds * k_fold.repeats, self.limits.seeds or sys.maxsize))
        return range(
            max(self.claim_seeds(claim) for claim in [None, *self.claims.values()] if not claim or variant in claim.variants)
        )

    def claim_seeds(self, claim: Claim | None) -> int:
        """How many replicates of each of its variants a claim is judged by, whatever other claims ask for."""
        return min(max(self.replicates.seeds, (claim and claim.seeds) or 0), self.limits.seeds or sys.maxsize)

    def recipe_with(self, variant: str, changes: Mapping[str, Any]) -> Recipe:
        """The recipe of a variant that would extend this one with changes of model and train."""
        return resolve(self, variant, changes)

    def has_validation(self, variant: str) -> bool:
        """Whether some rows are set apart to validate a variant on."""
        recipe = self.recipes[variant]
        return self.data.split.validation not in (0, "none") or recipe.train.validation_rows > 0 or recipe.k_fold is not None


def chain(study: Study, name: str) -> list[Variant]:
    """A variant and its ancestors, the eldest first. Raises a pydantic error for an unknown parent or a loop."""
    seen: list[str] = []
    current: str | None = name
    while current is not None:
        if current in seen:
            raise wrong(f"goes round in a loop: {' -> '.join([*seen, current])}")
        if current not in study.variants:
            raise unknown("variant", current, study.variants)
        seen.append(current)
        current = study.variants[current].extends
    return [study.variants[each] for each in reversed(seen)]


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, mapping by mapping."""
    result = dict(base)
    for key, value in changes.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return result


def resolve(study: Study, name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The full recipe of a variant: the study's defaults, then what each ancestor changes, its own changes, and some more."""
    model, changed, folded = study.model.model_dump(), study.train.model_dump(), False
    for variant in chain(study, name):
        model, changed = merged(model, variant.model), merged(changed, variant.train)
        folded = folded if variant.k_fold is None else variant.k_fold
    if changes:
        model, changed = merged(model, changes.get("model", {})), merged(changed, changes.get("train", {}))
    recipe = Recipe.model_validate(
        {
            "view": study.views[study.view_of(name)],
            "model": model,
            "train": changed,
            "k_fold": study.data.k_fold if folded else None,
            "backend": study.replicates.backend,
            "jit_compile": study.replicates.jit_compile,
            "diagnostics": study.replicates.diagnostics,
        }
    )
    train = recipe.train
    rate = DEFAULT_RATES[train.optimizer] if train.learning_rate == "default" else train.learning_rate
    epochs = min(train.epochs, study.limits.epochs or train.epochs)
    return recipe.model_copy(update={"train": train.model_copy(update={"learning_rate": rate, "epochs": epochs})})
