"""Search for better settings, with several strategies side by side, and judge what each of them finds.

Reads data/prepared and params.yaml. Writes metrics/search/ (trials.csv, all that was tried; winners.csv, the best of each
strategy and seed; claims.csv; importance.csv) and metrics/search.json. A trial is a replicate for each fold, trained and cached
as in the train stage, so a search that was interrupted goes on where it stopped. Winners train again on all rows but those
of the test, by which they are then judged; no choice looks at these.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import pandas as pd

from stages import train
from stages.lib import cluster, engine, search
from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.files import write_json, write_text
from stages.lib.plan import clock
from stages.lib.prepared import Prepared, read_prepared
from stages.lib.replicates import ReplicateCache, replicate_key
from stages.lib.result import Result
from stages.lib.search import Searcher, Trial
from stages.lib.settings import Recipe, Search, Study
from stages.lib.study import check_task, load_study

SECTIONS = ("data", "model", "train", "views", "replicates", "limits", "variants", "statistics", "search")
"""What of params.yaml this stage depends on, by dvc.yaml."""


class Wanted(NamedTuple):
    """A replicate of a trial, and who receives its result."""

    trial: Trial
    recipe: Recipe
    seed: int
    receive: Callable[[Result], None]


class Trainer:
    """Trains what is wanted on some rows, through the cache and on workers that all rounds share."""

    def __init__(self, study: Study, variant: str, prepared: Prepared, cache: ReplicateCache, start: train.Start) -> None:
        self.study, self.prepared, self.cache, self.start = study, prepared, cache, start
        self.view = study.view_of(variant)
        self.fingerprint, self.surroundings = prepared.fingerprint(), cluster.surroundings(study.replicates.backend)

    def job(self, wanted: Wanted) -> engine.Job:
        """Raises UserError for a network that the data do not allow."""
        recipe, prepared = wanted.recipe, self.prepared
        rows, *shape = prepared.splits["train"][0].shape
        try:
            price = engine.cost(recipe.model, recipe.train.epochs, recipe.train.batch_size, rows, shape, prepared.outputs)
        except ValueError as error:
            tried = json.dumps(wanted.trial.settings)
            raise UserError(f"params.yaml: search.space: {wanted.trial}: {tried}: model.{error}") from None
        key = replicate_key(recipe, prepared.views[self.view], wanted.seed, self.fingerprint, self.surroundings)
        return engine.Job(str(wanted.trial), wanted.seed, recipe, self.view, key, price)

    def train(self, wanted: Sequence[Wanted]) -> None:
        """Train what the cache does not hold; strategies that begin alike want the same replicates."""
        jobs = [self.job(each) for each in wanted]
        receivers = {str(job): each.receive for job, each in zip(jobs, wanted, strict=True)}

        def finish(job: engine.Job, result: Result) -> None:
            receivers[str(job)](result)

        train.train_missing(jobs, self.prepared, self.cache, self.study.replicates.time_limit, self.start, finish, "search")


class Found(NamedTuple):
    """All trials, the default's first; the best of each strategy and seed; and what its refits have on the test rows."""

    trials: list[Trial]
    winners: list[Trial]
    tested: list[list[float]]


def search_study(study: Study, settings: Search, prepared: Prepared, cache: ReplicateCache) -> Found:
    """Let every strategy search with every seed, all of them batch by batch, then judge what they found."""
    seeds = range(min(settings.seeds, study.limits.seeds or sys.maxsize))
    defaults = [search.default_trial(study, settings, seed) for seed in seeds]
    searchers = [Searcher(study, settings, name, seed) for name in settings.strategies for seed in seeds]
    most = len(searchers) * settings.batch * settings.folds
    started, batches = time.monotonic(), -(-max(map(settings.trials_of, settings.strategies)) // settings.batch)
    with train.workers_on_demand(study.replicates.backend) as workers:

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
        winners = [*defaults, *(search.best(each.trials, settings.metric) for each in searchers)]
        everything = Trainer(study, settings.variant, search.all_rows(study, prepared), cache, start)
        tested = refit(everything, settings, winners)
    return Found([*defaults, *(trial for each in searchers for trial in each.trials)], winners, tested)


def score(trainer: Trainer, settings: Search, batches: Sequence[Sequence[Trial]], searchers: Sequence[Searcher] = ()) -> None:
    """Train the trials on every fold; with pruning, fold after fold, each time those that the searchers do not give up."""
    labels, task = trainer.prepared.splits["test"][1], trainer.prepared.task

    def wanted(trial: Trial, fold: int) -> Wanted:
        def receive(result: Result) -> None:
            trial.scores[fold] = search.metrics_of(result, labels, task)[settings.metric]
            trial.epochs[fold] = search.epochs_kept(result, trial.recipe.train.early_stopping)

        return Wanted(trial, trial.recipe, search.replicate_seed(settings, trial.seed, fold), receive)

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
            tested[position][number] = search.metrics_of(result, labels, task)[settings.judged_by]

        winner = winners[position]
        return Wanted(winner, search.refit_recipe(winner), winner.seed * settings.refits + number, receive)

    trainer.train([wanted(position, number) for position in range(len(winners)) for number in range(refits)])
    return [[values[number] for number in range(refits)] for values in tested]


def best_of_each(settings: Search, searchers: Sequence[Searcher]) -> str:
    """The best score of each strategy, with any seed."""
    found = []
    for name in settings.strategies:
        winner = search.best([trial for each in searchers if each.strategy == name for trial in each.trials], settings.metric)
        found.append(f"{name} {winner.score:.4g}")
    return ", ".join(found)


def say(line: str) -> None:
    print(f"search: {line}", file=sys.stderr, flush=True)


def write_found(study: Study, settings: Search, found: Found, metrics: Path) -> None:
    confidence = study.statistics.confidence
    winners = search.winners_table(settings, found.winners, found.tested, confidence)
    claims = search.claims_table(settings, search.by_strategy(settings, found.winners, found.tested), confidence)
    shares = search.importance(settings, found.trials)
    tables = {
        "trials": search.trials_table(settings, found.trials),
        "winners": winners,
        "claims": claims,
        "importance": pd.DataFrame(list(shares.items()), columns=["name", "share"]),
    }
    for name, table in tables.items():
        write_text(metrics / "search" / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
    write_json(metrics / "search.json", search.summary(settings, winners, claims, found.trials, confidence))


def adopt(folder: Path, name: str) -> None:
    """Write what was found into params.yaml, as a variant of this name."""
    path = folder / "params.yaml"
    study = load_study(folder)
    try:
        winner: dict[str, Any] = json.loads((folder / "metrics" / "search.json").read_text(encoding="utf-8"))["winner"]
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing; run `dvc repro`, or the search stage first") from None
    write_text(path, search.adopted(study, settings_of(study, folder), winner, name, path))
    print(f"{path} has a variant {name}; `dvc repro` trains it")


def settings_of(study: Study, folder: Path) -> Search:
    if study.search is None:
        raise UserError(f"{folder / 'params.yaml'}: search: is missing; docs/search.md says what it holds")
    return study.search


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--adopt", metavar="NAME", help="write what was found into params.yaml, as a variant of this name")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with one_line_errors("search"):
        if options.adopt:
            adopt(options.study, options.adopt)
            return
        study = load_study(options.study)
        settings = settings_of(study, options.study)
        train.check_backend(study)
        data = options.study / "data"
        with train.alone(data / ".search.lock", "search"), train.unchanged(study, options.study, SECTIONS):
            prepared = read_prepared(data / "prepared")
            check_task(study, prepared.task)
            found = search_study(study, settings, prepared, ReplicateCache.of_user())
            write_found(study, settings, found, options.study / "metrics")


if __name__ == "__main__":
    main()
