"""Rounds of a search: strategies ask, trials train, strategies are told."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from stages.lib.cli import UserError
from stages.lib.data.prepared import Prepared
from stages.lib.engine import cluster, dispatch, runs
from stages.lib.engine.cache import ReplicateCache
from stages.lib.engine.key import replicate_key
from stages.lib.engine.plan import clock
from stages.lib.searching import trials
from stages.lib.searching.trials import Searcher, Trial
from stages.lib.study.settings import Recipe, Search, Study
from stages.lib.training.result import Result


class Wanted(NamedTuple):
    """A replicate of a trial, and who receives its result."""

    trial: Trial
    recipe: Recipe
    seed: int
    receive: Callable[[Result], None]


class Trainer:
    """Trains what is wanted on some rows, through the cache and on workers that all rounds share."""

    def __init__(self, study: Study, variant: str, prepared: Prepared, cache: ReplicateCache, start: runs.Start) -> None:
        self.study, self.prepared, self.cache, self.start = study, prepared, cache, start
        self.view = study.view_of(variant)
        self.fingerprint, self.surroundings = prepared.fingerprint(), cluster.surroundings(study.replicates.backend)

    def job(self, wanted: Wanted) -> dispatch.Job:
        """Raises UserError for a network that the data do not allow."""
        recipe, prepared = wanted.recipe, self.prepared
        rows, *shape = prepared.splits["train"][0].shape
        try:
            price = dispatch.cost(recipe.model, recipe.train.epochs, recipe.train.batch_size, rows, shape, prepared.outputs)
        except ValueError as error:
            tried = json.dumps(wanted.trial.settings)
            raise UserError(f"params.yaml: trials.space: {wanted.trial}: {tried}: model.{error}") from None
        key = replicate_key(recipe, prepared.views[self.view], wanted.seed, self.fingerprint, self.surroundings)
        return dispatch.Job(str(wanted.trial), wanted.seed, recipe, self.view, key, price)

    def train(self, wanted: Sequence[Wanted]) -> None:
        """Train what the cache does not hold; strategies that begin alike want the same replicates."""
        jobs = [self.job(each) for each in wanted]
        receivers = {str(job): each.receive for job, each in zip(jobs, wanted, strict=True)}

        def finish(job: dispatch.Job, result: Result) -> None:
            receivers[str(job)](result)

        runs.train_missing(jobs, self.prepared, self.cache, self.study.replicates.time_limit, self.start, finish, "search")


class Found(NamedTuple):
    """All trials, the default's first; the best of each strategy and seed; and what its refits have on the test rows."""

    trials: list[Trial]
    winners: list[Trial]
    tested: list[list[float]]


def search_study(study: Study, settings: Search, prepared: Prepared, cache: ReplicateCache) -> Found:
    """Let every strategy search with every seed, all of them batch by batch, then judge what they found."""
    seeds = range(min(settings.seeds, study.limits.seeds or sys.maxsize))
    defaults = [trials.default_trial(study, settings, seed) for seed in seeds]
    searchers = [Searcher(study, settings, name, seed) for name in settings.strategies for seed in seeds]
    most = len(searchers) * settings.batch * settings.folds
    started, batches = time.monotonic(), -(-max(map(settings.trials_of, settings.strategies)) // settings.batch)
    with runs.workers_on_demand(study.replicates.backend) as workers:

        def start(
            _: int, say: Callable[[str], None]
        ) -> cluster.Workers:  # the first batch that misses some may miss few, the next many
            return workers(most, say)

        trainer = Trainer(study, settings.variant, prepared, cache, start)
        score(trainer, settings, [defaults])
        for done in range(1, batches + 1):
            asked = [searcher.ask() for searcher in searchers]
            score(trainer, settings, asked, searchers)
            for searcher, batch in zip(searchers, asked, strict=True):
                searcher.tell(batch)
            left = f", about {clock((time.monotonic() - started) * (batches / done - 1))} left" if done < batches else ""
            say(f"batch {done} of {batches}{left}; best {settings.metric} so far: {best_of_each(settings, searchers)}")
        winners = [*defaults, *(trials.best(each.trials, settings.metric) for each in searchers)]
        everything = Trainer(study, settings.variant, trials.all_rows(study, prepared), cache, start)
        tested = refit(everything, settings, winners)
    return Found([*defaults, *(trial for each in searchers for trial in each.trials)], winners, tested)


def score(trainer: Trainer, settings: Search, batches: Sequence[Sequence[Trial]], searchers: Sequence[Searcher] = ()) -> None:
    """Train the trials on every fold; with pruning, fold after fold, each time those that the searchers do not give up."""
    labels, task = trainer.prepared.splits["test"][1], trainer.prepared.task

    def wanted(trial: Trial, fold: int) -> Wanted:
        def receive(result: Result) -> None:
            trial.scores[fold] = trials.metrics_of(result, labels, task)[settings.metric]
            trial.epochs[fold] = trials.epochs_kept(result, trial.recipe.train.early_stopping)

        return Wanted(trial, trial.recipe, trials.replicate_seed(settings, trial.seed, fold), receive)

    one_by_one = searchers and settings.pruning != "none"
    for folds in [[fold] for fold in range(settings.folds)] if one_by_one else [list(range(settings.folds))]:
        going = [trial for batch in batches for trial in batch if not trial.pruned]
        trainer.train([wanted(trial, fold) for trial in going for fold in folds])
        if one_by_one and folds[-1] + 1 < settings.folds:
            for searcher, batch in zip(searchers, batches, strict=True):
                searcher.prune(batch)


def refit(trainer: Trainer, settings: Search, winners: Sequence[Trial]) -> list[list[float]]:
    """Each winner's values of the metric that judges it, of as many refits as the search has."""
    labels, task = trainer.prepared.splits["test"][1], trainer.prepared.task
    refits = min(settings.refits, trainer.study.limits.seeds or sys.maxsize)
    tested: list[dict[int, float]] = [{} for _ in winners]

    def wanted(position: int, number: int) -> Wanted:
        def receive(result: Result) -> None:
            tested[position][number] = trials.metrics_of(result, labels, task)[settings.judged_by]

        winner = winners[position]
        return Wanted(winner, trials.refit_recipe(winner), winner.seed * settings.refits + number, receive)

    trainer.train([wanted(position, number) for position in range(len(winners)) for number in range(refits)])
    return [[values[number] for number in range(refits)] for values in tested]


def best_of_each(settings: Search, searchers: Sequence[Searcher]) -> str:
    """The best score of each strategy, with any seed."""
    found = []
    for name in settings.strategies:
        winner = trials.best([trial for each in searchers if each.strategy == name for trial in each.trials], settings.metric)
        found.append(f"{name} {winner.score:.4g}")
    return ", ".join(found)


def say(line: str) -> None:
    print(f"search: {line}", file=sys.stderr, flush=True)


def search_of(study: Study, folder: Path) -> Search:
    if study.search is None:
        raise UserError(f"{folder / 'params.yaml'}: search: is missing; docs/search.md says what it holds")
    return study.search
