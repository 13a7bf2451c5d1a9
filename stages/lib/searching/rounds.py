"""The rounds of a search: strategies ask for trials, the engine trains them, and strategies are told the scores."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from stages.lib import environment
from stages.lib.cli import SettingError
from stages.lib.data.prepared import Prepared
from stages.lib.engine import cluster, memory, runs
from stages.lib.engine.cache import ReplicateCache
from stages.lib.engine.jobs import Job, for_data
from stages.lib.engine.key import replicate_key
from stages.lib.engine.progress import clock
from stages.lib.judging import replicates
from stages.lib.judging.replicates import COLLAPSED
from stages.lib.searching.strategies import Searcher
from stages.lib.searching.trials import Trial, best_trial, default_trial, epochs_kept, fold_seed, join_rows, refit_recipe
from stages.lib.study.metrics import on_demand
from stages.lib.study.recipe import Recipe
from stages.lib.study.search import Search
from stages.lib.study.settings import Study
from stages.lib.training import views
from stages.lib.training.result import Result

T = TypeVar("T")


class Wanted(NamedTuple):
    """A replicate of a trial."""

    trial: Trial
    recipe: Recipe
    seed: int


class Measured(NamedTuple):
    """A metric of a replicate, and whether its network predicts no better than a constant."""

    value: float
    collapsed: bool


class TrialTrainer:
    """Trains replicates of trials on some rows, through the cache and on workers that all rounds share."""

    def __init__(self, study: Study, search: Search, prepared: Prepared, cache: ReplicateCache, start: runs.Start) -> None:
        self.study, self.search, self.prepared, self.cache, self.start = study, search, prepared, cache, start
        self.fingerprint = prepared.fingerprint()
        self.made_in = cluster.training_environment(study.replicates.backend)

    def train(self, wanted: Sequence[Wanted], measure: Callable[[Wanted, Result], T]) -> list[T]:
        """What `measure` says of each replicate. The cache has those that any trial with these settings trained."""
        jobs = [self._job(each) for each in wanted]
        by_name = {str(job): each for job, each in zip(jobs, wanted, strict=True)}
        measured: dict[str, T] = {}

        def finish(job: Job, result: Result) -> None:
            measured[str(job)] = measure(by_name[str(job)], result)

        runs.train_missing(jobs, self.prepared, self.cache, self.study.replicates.time_limit, self.start, finish, "search")
        return [measured[str(job)] for job in jobs]

    def measured(self, name: str, wanted: Wanted, result: Result) -> Measured:
        """A metric of a replicate, and whether its network collapsed."""
        labels = {split: y for split, (_, y) in self.prepared.splits.items()}
        own_rows = views.labels_of(wanted.recipe, labels, wanted.seed)
        extra = [name, COLLAPSED] if on_demand(name) else [COLLAPSED]
        test = {"test": labels["test"]}
        found = replicates.metrics(replicates.parse(result.files), test, self.prepared.task, extra, own_rows)
        return Measured(found[name], found[COLLAPSED] == 1)

    def _job(self, wanted: Wanted) -> Job:
        """Raises SettingError for a network or a training that the data do not allow."""
        trial, recipe, seed = wanted
        view = self.study.view_of(self.search.variant_of(trial.strategy))
        try:
            recipe, price = for_data(recipe, self.prepared, view)
        except SettingError as error:
            tried = f"{trial}: {json.dumps(trial.settings)}"
            raise SettingError(f"{tried}: {error}", "search", "space") from None
        key = replicate_key(recipe, self.prepared.views[view], seed, self.fingerprint, self.made_in)
        return Job(str(trial), seed, recipe, view, key, price)


class Found(NamedTuple):
    """What a search found.

    trials: all of them, the default's first.
    winners: the best of each strategy and seed.
    tested: for each winner, the metric that judges it, of each refit on the test rows.
    collapsed: for each winner, whether a refit's network collapsed.
    """

    trials: list[Trial]
    winners: list[Trial]
    tested: list[list[float]]
    collapsed: list[bool]


def search_study(study: Study, search: Search, prepared: Prepared, cache: ReplicateCache) -> Found:
    """Let every strategy search with every seed, batch by batch, then train the winners again for the test rows."""
    seeds = range(min(search.seeds, study.limits.seeds or sys.maxsize))
    defaults = [default_trial(study, search, seed) for seed in seeds]
    searchers = [Searcher(study, search, name, seed) for name in search.strategies for seed in seeds]
    most = len(searchers) * search.batch * search.folds
    if not environment.scheduler():
        memory.check_search(study, search, prepared, cluster.worker_count(most))
    with runs.workers_on_demand(study.replicates.backend, most) as start:
        trainer = TrialTrainer(study, search, prepared, cache, start)
        score(trainer, search, [defaults])
        run_batches(trainer, search, searchers)
        winners = [*defaults, *(best_trial(each.trials, search.metric) for each in searchers)]
        on_all_rows = TrialTrainer(study, search, join_rows(study, prepared), cache, start)
        refits = refit(on_all_rows, search, winners)
    return Found(
        [*defaults, *(trial for each in searchers for trial in each.trials)],
        winners,
        [[each.value for each in own] for own in refits],
        [any(each.collapsed for each in own) for own in refits],
    )


def run_batches(trainer: TrialTrainer, search: Search, searchers: Sequence[Searcher]) -> None:
    """Ask all searchers for a batch, train it and tell the scores, until none has trials left."""
    started = time.monotonic()
    batches = -(-max(map(search.trials_of, search.strategies)) // search.batch)
    for done in range(1, batches + 1):
        asked = [searcher.ask() for searcher in searchers]
        score(trainer, search, asked, searchers)
        for searcher, batch in zip(searchers, asked, strict=True):
            searcher.tell(batch)
        left = f", about {clock((time.monotonic() - started) * (batches / done - 1))} left" if done < batches else ""
        best = f"best {search.metric} so far: {best_of_each(search, searchers)}"
        print(f"search: batch {done} of {batches}{left}; {best}", file=sys.stderr, flush=True)


def score(
    trainer: TrialTrainer, search: Search, batches: Sequence[Sequence[Trial]], searchers: Sequence[Searcher] = ()
) -> None:
    """Train the trials on every fold. With pruning, train fold after fold, without the trials that were given up."""

    def measure(wanted: Wanted, result: Result) -> tuple[float, int]:
        stopping = wanted.recipe.train.early_stopping
        return trainer.measured(search.metric, wanted, result).value, epochs_kept(result, stopping)

    one_by_one = searchers and search.pruning != "none"
    for folds in [[fold] for fold in range(search.folds)] if one_by_one else [list(range(search.folds))]:
        going = [(trial, fold) for batch in batches for trial in batch if not trial.pruned for fold in folds]
        wanted = [Wanted(trial, trial.recipe, fold_seed(search, trial.seed, fold)) for trial, fold in going]
        for (trial, fold), measured in zip(going, trainer.train(wanted, measure), strict=True):
            trial.scores[fold], trial.epochs[fold] = measured
        if one_by_one and folds[-1] + 1 < search.folds:
            for searcher, batch in zip(searchers, batches, strict=True):
                searcher.prune(batch)


def refit(trainer: TrialTrainer, search: Search, winners: Sequence[Trial]) -> list[list[Measured]]:
    """For each winner, the metric that judges it, of each refit."""
    refits = min(search.refits, trainer.study.limits.seeds or sys.maxsize)
    wanted = [
        Wanted(winner, refit_recipe(winner), winner.seed * search.refits + number)
        for winner in winners
        for number in range(refits)
    ]
    measured = trainer.train(wanted, partial(trainer.measured, search.judged_by))
    return [measured[number * refits : (number + 1) * refits] for number in range(len(winners))]


def best_of_each(search: Search, searchers: Sequence[Searcher]) -> str:
    """The best score of each strategy over its seeds."""
    found = []
    for name in search.strategies:
        tried = [trial for each in searchers if each.strategy == name for trial in each.trials]
        found.append(f"{name} {best_trial(tried, search.metric).score:.4g}")
    return ", ".join(found)


def search_of(study: Study, folder: Path) -> Search:
    """The study's search. Raises SettingError if it has none."""
    if study.search is None:
        raise SettingError("is missing; docs/search.md says what it holds", "search", file=folder / "params.yaml")
    return study.search
