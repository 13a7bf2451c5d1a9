"""Settings of the data: which rows are trained, validated and tested on, and how their values become inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, WrapValidator, field_validator, model_validator

from stages.lib.cli import SettingError, as_yaml
from stages.lib.study.strict_yaml import TWO, Name, Section, chosen_by
from stages.lib.study.values import Count, Filling, Limit, NotNegative, OpenShare, Replications, Seed, Share, Whole

Scaling = Literal["none", "max", "min_max", "mean", "standard"]


class StratifiedSplit(Section):
    """Rows drawn at random without replacement. Each split has each class in the proportion that it has in the whole."""

    method: Literal["stratified"]
    """This split. It is for classes."""
    train: Count
    """Rows to train on."""
    validation: Whole
    """Rows to watch training by."""
    test: Count
    """Rows to measure on."""
    seed: Seed
    """Seed of the draw."""


class RowRange(Section):
    """Rows from `first` up to but without `stop` of one part of the data set, in their order."""

    part: Name
    """`all`; or `train` or `test`, if the data set has these."""
    rows: Annotated[tuple[Whole, Whole], Field(strict=False), TWO]
    """`[first, stop]`, counted from 0."""

    @field_validator("rows")
    @classmethod
    def _rising(cls, rows: tuple[int, int]) -> tuple[int, int]:
        if rows[0] >= rows[1]:
            raise SettingError(f"[{rows[0]}, {rows[1]}] holds no row; write [first, stop] with first < stop")
        return rows

    def overlaps(self, other: RowRange) -> bool:
        """Whether a row lies in both."""
        return self.part == other.part and max(self.rows[0], other.rows[0]) < min(self.rows[1], other.rows[1])


def _range_or_none(value: Any, _: object) -> RowRange | str:
    if isinstance(value, Mapping | RowRange):
        return RowRange.model_validate(value)
    if value != "none":
        raise SettingError(f"{as_yaml(value)} must be none, or a mapping of part and rows")
    return "none"


class RowsSplit(Section):
    """Rows in the order of the files."""

    method: Literal["rows"]
    """This split."""
    train: RowRange
    """Rows to train on."""
    validation: Annotated[RowRange | Literal["none"], WrapValidator(_range_or_none)]
    """Rows to watch training by. `none` trains without."""
    test: RowRange
    """Rows to measure on."""

    @property
    def validates_on_test_rows(self) -> bool:
        return isinstance(self.validation, RowRange) and self.validation.overlaps(self.test)


class TrainTestSplit(Section):
    """scikit-learn's train_test_split, twice: first the test rows from all rows, then the validation rows from the others."""

    method: Literal["train_test_split"]
    """This split."""
    test: OpenShare
    """Share of all rows."""
    test_seed: Seed
    """Its random_state."""
    validation: OpenShare
    """Share of the rows that are left."""
    validation_seed: Seed
    """Its random_state."""


class GroupSplit(Section):
    """Rows by groups, such as those of one patient. No group lies in two splits. By scikit-learn's GroupShuffleSplit, twice."""

    method: Literal["groups"]
    """This split. It is for tables."""
    column: str
    """The column that says which rows belong together. It need not be a feature."""
    test: OpenShare
    """Share of all groups to measure on."""
    validation: Share
    """Share of all groups to watch training by."""
    seed: Seed
    """Its random_state."""


class TimeSplit(Section):
    """Rows by time: the oldest train, then come those to validate on, and the newest are tested on."""

    method: Literal["time"]
    """This split. It is for tables."""
    column: str
    """The column of dates, times or numbers that rises with time. It need not be a feature."""
    test: OpenShare
    """Share of all rows to measure on."""
    validation: Share
    """Share of all rows to watch training by."""


Split = StratifiedSplit | RowsSplit | TrainTestSplit | GroupSplit | TimeSplit


class KFold(Section):
    """Repeated k-fold validation. A replicate's seed says which fold of which repeat it is validated on."""

    folds: Annotated[Replications, Field(ge=2)]
    """Parts of the rows. Each of them is validated on once."""
    repeats: Replications
    """How often all folds are made anew, from rows shuffled again."""
    seed: Seed
    """Seed of the shuffles."""


class Data(Section):
    """Which rows are trained, validated and tested on."""

    dataset: Name
    """An entry of data/datasets.yaml."""
    split: Annotated[Split, chosen_by("method", Split)]
    """How rows are chosen. Its `method` says which keys it has."""
    k_fold: KFold | None = None
    """Folds of the training and validation rows together, for the variants that ask for them."""
    incomplete_rows: Literal["keep", "leave_out"] = "keep"
    """What becomes of rows of a table with a missing value. `leave_out` drops them before rows are chosen."""

    @property
    def sets_validation_apart(self) -> bool:
        """Whether the split has validation rows."""
        return self.split.validation not in (0, "none")

    @property
    def split_column(self) -> str | None:
        """The column that rows are chosen by, if there is one."""
        return self.split.column if isinstance(self.split, GroupSplit | TimeSplit) else None


class Limits(Section):
    """Upper limits, to try everything in little time."""

    rows: Limit = None
    """Rows of each split, the first ones."""
    epochs: Limit = None
    """Epochs of each replicate."""
    seeds: Limit = None
    """Replicates of each variant."""


Cross = Annotated[tuple[str, str], Field(strict=False), TWO]


class View(Section):
    """How raw values become inputs. Fitted on the training rows alone."""

    scale: Scaling = "none"
    """`max`: x / max. `min_max`: to 0 to 1. `mean`: (x - mean) / range. `standard`: (x - mean) / standard deviation."""
    per: Literal["all", "feature"] = "all"
    """One statistic over all values, or one for each feature."""
    fit_on: Literal["train", "each_split"] = "train"
    """`each_split` scales every split by its own statistics. This is a mistake that some sources make."""
    invert: bool = False
    """x becomes smallest + largest - x, of the training rows: black on white becomes white on black."""
    test_noise: NotNegative = 0.0
    """Standard deviation of normal noise on the scaled test inputs."""
    noise_seed: Seed = 0
    """Seed of test_noise."""
    missing: Filling = None
    """What stands for a missing value: a statistic of its column, or a number. A category only takes most_frequent."""
    missing_indicator: bool = False
    """Also a column for each that has missing values, which is 1 where they are."""
    categories: Literal["one_hot", "ordinal"] = "one_hot"
    """`one_hot`: a column for each value. `ordinal`: the position of a value, if datasets.yaml gives the order."""
    rare: Whole = 0
    """Values of a category with fewer training rows than this get one column together."""
    crosses: Annotated[tuple[Cross, ...], Field(strict=False)] = ()
    """Pairs of columns with categories, or true and false. Each pair of values that occurs gets a column."""

    @model_validator(mode="after")
    def _sensible(self) -> View:
        if self.missing_indicator and self.missing is None:
            raise SettingError("needs missing, which says what stands for the values", "missing_indicator")
        if any(first == second for first, second in self.crosses):
            raise SettingError("a column cannot be crossed with itself", "crosses")
        return self
