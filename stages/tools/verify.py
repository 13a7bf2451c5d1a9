"""Train a few replicates again, and compare them with the committed metrics.

Reads params.yaml, data/prepared and metrics/. It trains without the replicate cache and changes nothing, but lets DVC fetch and
prepare missing data first. The replicates are drawn at random, or are all that a claim is judged by. Of a study with a search
it also trains trials again, drawn among those that were neither pruned nor diverged, and compares the score of every fold.

On the processor, versions and environment variables that made the metrics, every number must be identical. Elsewhere it must
lie in Student's prediction interval (99.9 %) for one more run: of the variant's replicates, or of the trial's folds. If these
agree, a count may differ by one, and any other number by a thousandth. One fold gives no interval, so such trials are skipped.

Metrics that other training code made are refused. The exit status is 1 if a number differs.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pandas as pd

from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.data.prepared import Prepared, read_prepared
from stages.lib.engine import cluster, runs
from stages.lib.engine.cache import ReplicateCache
from stages.lib.engine.jobs import Job, jobs_of
from stages.lib.judging import replicates
from stages.lib.judging.own import own_metrics
from stages.lib.judging.repeated import Numbers, Run, committed_replicates, compare, differences
from stages.lib.programs import dvc
from stages.lib.searching.results import read_trials
from stages.lib.searching.rounds import TrialTrainer, score
from stages.lib.searching.trials import Trial
from stages.lib.study.load import check_task, load_study
from stages.lib.study.metrics import DIGITS, finite, round_or_word
from stages.lib.study.places import is_place, target_of
from stages.lib.study.search import Search
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import unknown
from stages.lib.training.result import Result

T = TypeVar("T")


def draw(population: Sequence[T], count: int, seed: int) -> list[T]:
    """`count` members without replacement; all of them if there are no more."""
    return random.Random(seed).sample(list(population), min(count, len(population)))


def jobs_of_claim(study: Study, jobs: Sequence[Job], name: str) -> list[Job]:
    """The jobs whose replicates judge a claim. Raises UserError if the study has no such claim."""
    if name not in study.claims:
        raise UserError(f"--claim: {unknown('claim', name, study.claims)}")
    claim = study.claims[name]
    return [job for job in jobs if job.variant in claim.variants]


def train_replicates(
    study: Study, folder: Path, prepared: Prepared, jobs: Sequence[Job], cache: ReplicateCache, start: runs.Start
) -> Numbers:
    """The metrics of replicates, as evaluate writes them."""
    functions = own_metrics(study, folder)
    labels = {split: y for split, (_, y) in prepared.splits.items()}
    numbers: dict[Run, dict[str, float]] = {}

    def finish(job: Job, result: Result) -> None:
        measured = replicates.measure(
            study, job.variant, job.seed, replicates.parse(result.files), labels, prepared.task, functions
        )
        rounded = pd.Series(measured, dtype=float).round(DIGITS)  # pandas rounds unlike Python
        numbers[job.variant, f"seed {job.seed}"] = {str(metric): float(value) for metric, value in rounded.items()}

    runs.train_missing(jobs, prepared, cache, study.replicates.time_limit, start, finish, "verify")
    return {run: numbers[run] for job in jobs for run in [(job.variant, f"seed {job.seed}")]}


def drawn_trials(study: Study, search: Search, metrics: Path, count: int, seed: int, exact: bool) -> list[Trial]:
    """The trials to train again, which are printed."""
    if not exact and search.folds == 1:
        print("no trial is trained again: one fold gives no interval to compare with on another machine", flush=True)
        return []
    drawn = draw(read_trials(study, search, metrics / "search" / "trials.csv"), count, seed)
    if drawn:
        print(f"{len(drawn)} trials, drawn with --seed {seed}: {'; '.join(map(str, drawn))}", flush=True)
    return drawn


def fold_scores(search: Search, trials: Sequence[Trial]) -> Numbers:
    """The scores of every fold of trials, as the search stage writes them."""
    return {
        (str(trial), f"fold {fold}"): {search.metric: finite(round_or_word(search.metric, score))}
        for trial in trials
        for fold, score in sorted(trial.scores.items())
    }


def verify(folder: Path, count: int, seed: int, claim: str | None = None, trials: int = 0) -> list[str]:
    """Print what is compared, and how; return a line for each number that is wrong.

    count, trials: how many replicates and trials to draw, with `seed`. A claim takes the place of both.
    """
    study = load_study(folder)
    metrics = folder / "metrics"
    committed = committed_replicates(metrics)
    reasons = differences(cluster.training_environment(study.replicates.backend), metrics / "environment.json")
    exact = not reasons
    prepared = read_prepared(folder / "data" / "prepared")
    check_task(study, prepared.task)
    needed = [job for job in jobs_of(study, prepared) if (job.variant, f"seed {job.seed}") in committed]
    jobs = jobs_of_claim(study, needed, claim) if claim else draw(needed, count, seed)
    how = f"which {claim} is judged by" if claim else f"drawn with --seed {seed}"
    print(f"{len(jobs)} replicates, {how}: {'; '.join(map(str, jobs))}", flush=True)
    for reason in reasons:
        print(f"not comparable bit for bit: {reason}", flush=True)
    search = None if claim or not trials else study.search
    drawn = drawn_trials(study, search, metrics, trials, seed, exact) if search else []
    most = max(len(jobs), len(drawn) * search.folds if search else 0)
    with tempfile.TemporaryDirectory() as empty, runs.workers_on_demand(study.replicates.backend, most) as start:
        cache = ReplicateCache(Path(empty), sys.maxsize)
        found = compare(committed, train_replicates(study, folder, prepared, jobs, cache, start), exact)
        if search and drawn:
            trainer = TrialTrainer(study, search, prepared, cache, start)
            again = [replace(trial, scores={}, epochs={}) for trial in drawn]
            score(trainer, search, [again])
            found |= compare(fold_scores(search, drawn), fold_scores(search, again), exact)
    verdict = "the same, to the last digit" if exact else "within the tolerance"
    for name, lines in found.items():
        print("\n".join(lines) or f"{name}: {verdict}")
    return [line for lines in found.values() for line in lines]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--replicates", type=int, default=3, metavar="N", help="how many replicates to draw (default: 3)")
    parser.add_argument("--trials", type=int, default=3, metavar="N", help="how many trials of a search to draw (default: 3)")
    parser.add_argument("--seed", type=int, help="seed of the draw (default: a new one each time, which is printed)")
    parser.add_argument("--claim", metavar="NAME", help="train all replicates that judge this claim, instead of a draw")
    options = parser.parse_args()
    with one_line_errors("verify", options.study):
        if options.replicates < 1:
            raise UserError(f"--replicates: {options.replicates} is not allowed; a whole number of at least 1 is")
        if options.trials < 0:
            raise UserError(f"--trials: {options.trials} is not allowed; a whole number of at least 0 is")
        seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
        if is_place(options.study):  # the data of a study that has no dvc.yaml are prepared by hand
            dvc("repro", "--quiet", target_of(options.study, "prepare"))
        wrong = verify(options.study, options.replicates, seed, options.claim, options.trials)
        if wrong:
            raise UserError(f"{len(wrong)} numbers are not as committed")


if __name__ == "__main__":
    main()
