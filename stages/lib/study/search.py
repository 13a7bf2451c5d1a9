"""Settings of a search: what is tried, by which strategies, and what is said of these."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from stages.lib.cli import SettingError, as_yaml
from stages.lib.study.claims import Claim
from stages.lib.study.metrics import JUDGED_BY, higher_is_better
from stages.lib.study.strict_yaml import TWO, Name, Section, one_of
from stages.lib.study.values import MOST, Finite, Number, Replications, Reported, Value

Bound = Annotated[int, Field(ge=-MOST, le=MOST)]
Trials = Annotated[int, Field(ge=1, le=10_000)]
POINTS = Field(strict=False, max_length=1000)
"""A list of what one key is set to."""
KINDS = ("choices", "integers", "uniform", "log_uniform")
"""Keys of a range. Each range has one of them."""


def _key(key: str) -> str:
    return key.removesuffix(".name") if key == "train.optimizer.name" else key


class Range(Section):
    """The values of one key that a search tries. It has exactly one of choices, integers, uniform and log_uniform."""

    key: Annotated[str, AfterValidator(_key)]
    """A key of model or train, such as train.learning_rate. Equal hidden layers have model.hidden.layers and .units."""
    choices: Annotated[tuple[Value, ...] | None, POINTS] = None
    """Any of these values."""
    integers: Annotated[tuple[Bound, Bound] | None, Field(strict=False), TWO] = None
    """`[lowest, highest]`. Both can be tried."""
    uniform: Annotated[tuple[Finite, Finite] | None, Field(strict=False), TWO] = None
    """`[lowest, highest]`. Any number between."""
    log_uniform: Annotated[tuple[Finite, Finite] | None, Field(strict=False), TWO] = None
    """`[lowest, highest]` on a logarithmic scale."""
    grid: Annotated[tuple[Number, ...] | None, POINTS] = None
    """What a grid tries. Without it, a grid tries all integers."""

    @model_validator(mode="after")
    def _consistent(self) -> Range:
        given = [name for name in KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            raise SettingError(f"give exactly one of {', '.join(KINDS)}{', not ' + ' and '.join(given) if given else ''}")
        if self.choices is None:
            self._check_bounds()
        elif len(self.choices) < 2 or len(set(map(repr, self.choices))) < len(self.choices):
            raise SettingError("must be two or more different values", "choices")
        if self.grid is not None:
            self._check_grid(self.grid)
        return self

    def _check_bounds(self) -> None:
        low, high = self.bounds
        if low >= high:
            raise SettingError(f"[{low:g}, {high:g}] leaves nothing to search; write [lowest, highest]", self.kind)
        if self.log_uniform and low <= 0:
            raise SettingError(f"{low:g} has no logarithm; the lowest value must be greater than 0", self.kind)

    def _check_grid(self, grid: tuple[Any, ...]) -> None:
        if self.choices is not None:
            raise SettingError("choices are a grid already; leave it out", "grid")
        low, high = self.bounds
        for value in grid:
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise SettingError(f"{as_yaml(value)} is not within [{low:g}, {high:g}]", "grid")
        if not grid or len(set(grid)) < len(grid):
            raise SettingError("must be one or more different values", "grid")

    @property
    def kind(self) -> str:
        """Which of KINDS it has."""
        return next(name for name in KINDS if getattr(self, name) is not None)

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value. NaN for choices."""
        for bounds in (self.integers, self.uniform, self.log_uniform):
            if bounds is not None:
                return bounds
        return math.nan, math.nan


class Strategy(Section):
    """One way of choosing what to try next."""

    method: Literal["grid", "random", "quasi_random", "genetic", "cmaes", "tpe"]
    """quasi_random is Sobol's, genetic is NSGA-II, cmaes is CMA-ES."""
    variant: Name | None = None
    """The variant whose recipe it changes, if that is another than search.variant."""
    trials: Trials | None = None
    """Fewer than search.trials."""
    reported: Reported = {}
    """The numbers that the source prints of what was found."""


class Search(Section):
    """Settings that are searched for, by several strategies side by side, and what is said of these."""

    variant: Name
    """The variant whose recipe the settings change, unless a strategy names its own. As it is, it is the strategy `default`."""
    space: dict[Name, Range]
    """The keys that are searched, each with its range."""
    strategies: dict[Name, Strategy]
    """Ways of choosing what to try next."""
    trials: Trials
    """Settings that each strategy tries with each seed."""
    batch: Trials
    """Trials that are chosen at once. Strategies learn from one batch for the next. A generation of genetic and cmaes."""
    seeds: Replications
    """How often each strategy searches, with other folds and initial weights each time."""
    folds: Replications
    """Folds of the training and validation rows together. Each gives a score. 1: the validation rows of the split."""
    metric: Annotated[str, one_of("metric to choose by", JUDGED_BY)]
    """What trials are compared by, as a mean over the folds."""
    pruning: Literal["none", "median", "successive_halving"] = "none"
    """Ends hopeless trials after some of their folds."""
    refits: Replications = 1
    """How often each winner is trained on all rows but those of the test, on which it is then judged."""
    claims: dict[Name, Claim] = {}
    """Statements about strategies, by the metric or by the one like it on the test rows."""

    @property
    def judged_by(self) -> str:
        """The metric, on the test rows, that winners are judged by."""
        return JUDGED_BY[self.metric]

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Where better values of the metric lie."""
        return "maximize" if higher_is_better(self.metric) else "minimize"

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants whose recipes are changed."""
        return tuple(dict.fromkeys([self.variant, *map(self.variant_of, self.strategies)]))

    def variant_of(self, strategy: str) -> str:
        """The variant whose recipe a strategy, or the default, changes."""
        named = self.strategies[strategy].variant if strategy in self.strategies else None
        return named or self.variant

    def trials_of(self, strategy: str) -> int:
        """How many trials a strategy has with each seed."""
        return min(self.strategies[strategy].trials or self.trials, self.trials)
