"""Strategies that choose what to try next, by Optuna.

A strategy is asked for a batch of trials, is told their scores, and is asked again. It knows nothing but its seed and what it
was told, in the order of its trials. So the number of workers does not matter, nor who finishes first, and a search that was
interrupted is repeated by asking and telling again. Nothing is written to disk.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, GridSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from stages.lib.cli import SettingError
from stages.lib.searching.trials import Trial, trial_recipe
from stages.lib.study import space
from stages.lib.study.metrics import rank_value
from stages.lib.study.search import Range, Search
from stages.lib.study.settings import Study

SIGNIFICANT = 4
"""Digits of a number that is tried, so that tables show exactly what was trained."""

Distributions = dict[str, BaseDistribution]
"""Name of a range -> its distribution."""


def distributions(search: Search, method: str) -> Distributions:
    """Each range as Optuna's distribution. Grids and choices become positions in their lists."""
    found: Distributions = {}
    for name, each in search.space.items():
        if method == "grid":
            found[name] = IntDistribution(0, len(space.points(each)) - 1)
        elif each.choices:
            found[name] = CategoricalDistribution(tuple(range(len(each.choices))))
        elif each.integers:
            found[name] = IntDistribution(*each.integers)
        else:
            found[name] = FloatDistribution(*each.bounds, log=each.log_uniform is not None)
    return found


def decode(each: Range, drawn: Any, method: str) -> Any:
    """The setting for what Optuna drew: a number has SIGNIFICANT digits and stays within its range."""
    if method == "grid":
        return space.points(each)[drawn]
    if each.choices:
        return each.choices[drawn]
    if each.integers:
        return int(drawn)
    low, high = each.bounds
    return min(max(float(f"{drawn:.{SIGNIFICANT}g}"), low), high)


class _Grid(GridSampler):
    """A grid that does not stop the study after its last point: that works only where Optuna runs the search itself."""

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        pass


class _Sobol(QMCSampler):
    """Sobol's sequence from the first trial on. Optuna's draws at random until a trial is done, to learn the space."""

    def __init__(self, known: Distributions, seed: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # requirements.lock has the version
            super().__init__(scramble=True, seed=seed)
        self.known = known

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Distributions:  # noqa: ARG002
        return self.known


def sampler(method: str, known: Distributions, seed: int, batch: int) -> BaseSampler:
    """The sampler of a method. Methods that learn draw a first batch at random."""
    match method:
        case "random":
            return RandomSampler(seed=seed)
        case "grid":
            positions = {name: list(range(each.high + 1)) for name, each in known.items() if isinstance(each, IntDistribution)}
            return _Grid(positions, seed=seed)
        case "quasi_random":
            return _Sobol(known, seed)
        case "genetic":
            return NSGAIISampler(population_size=batch, seed=seed)
        case "cmaes":
            return CmaEsSampler(popsize=batch, seed=seed)
        case "tpe":
            return TPESampler(n_startup_trials=batch, seed=seed)
    raise ValueError(f"{method} has no sampler")


PRUNERS: dict[str, Callable[[], BasePruner]] = {
    "none": NopPruner,
    "median": MedianPruner,
    "successive_halving": lambda: SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
}


class Searcher:
    """One strategy with one seed."""

    def __init__(self, study: Study, search: Search, strategy: str, seed: int) -> None:
        self.study, self.search, self.strategy, self.seed = study, search, strategy, seed
        self.method = search.strategies[strategy].method
        self.known = distributions(search, self.method)
        self.trials: list[Trial] = []
        self._asked: list[optuna.Trial] = []
        self._optuna = optuna.create_study(
            direction=search.direction,
            sampler=sampler(self.method, self.known, seed, search.batch),
            pruner=PRUNERS[search.pruning](),
        )

    def ask(self) -> list[Trial]:
        """The next batch; empty when the strategy has had all its trials."""
        count = min(self.search.batch, self.search.trials_of(self.strategy) - len(self.trials))
        self._asked = [self._optuna.ask(self.known) for _ in range(count)]
        batch = [self._trial(asked) for asked in self._asked]
        self.trials += batch
        return batch

    def _trial(self, asked: optuna.Trial) -> Trial:
        """Raises SettingError for settings that do not go together. Pairs were checked before; this takes three of them."""
        settings = {name: decode(each, asked.params[name], self.method) for name, each in self.search.space.items()}
        try:
            recipe = trial_recipe(self.study, self.search, self.strategy, settings)
        except SettingError as error:
            raise SettingError(f"{json.dumps(settings)}: {error}", "search", "space") from None
        return Trial(self.strategy, self.seed, asked.number, settings, recipe)

    def prune(self, batch: Sequence[Trial]) -> None:
        """Mark the trials of the batch that Optuna's pruner gives up after the folds that they have."""
        going = [(asked, trial) for asked, trial in zip(self._asked, batch, strict=True) if not trial.pruned]
        for asked, trial in going:
            asked.report(rank_value(self.search.metric, trial.score), len(trial.scores))
        for asked, trial in going:
            trial.pruned = asked.should_prune()

    def tell(self, batch: Sequence[Trial]) -> None:
        """Tell Optuna the scores of the last batch. NaN is told as worse than every number."""
        for asked, trial in zip(self._asked, batch, strict=True):
            if trial.pruned:
                self._optuna.tell(asked, state=TrialState.PRUNED)
            else:
                self._optuna.tell(asked, rank_value(self.search.metric, trial.score))
