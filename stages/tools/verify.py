"""Train a few replicates and trials again, and compare them with the committed metrics.

Reads params.yaml, data/prepared, metrics/replicates.csv, metrics/search/trials.csv and metrics/environment.json. The replicates
are chosen at random, or are all that a claim is judged by (`--claim NAME`); they are trained here and now, past the replicate
cache, and nothing in the workspace changes. Where the processor features, the versions and the decisive environment variables
are those that the metrics were made with, every number must be the same, to its last digit. Else each must lie where one more
run of its variant may fall: in Student's prediction interval at 99.9 %, by the committed replicates, and where these agree,
within one of a count or a thousandth of anything else. Metrics that other training code made are refused.

Of a search, trials are drawn among those that were neither pruned nor diverged, and the score of every fold is compared: to its
last digit, or else by the same rule with the trial's folds, which for trials of one fold is no comparison, so none is trained.

Data that are missing or out of date are fetched and prepared first, by DVC. Ends with exit status 1 where a number differs. No
stage of the pipeline.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from scipy import stats

from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.data.prepared import Prepared, read_prepared
from stages.lib.engine import cluster, dispatch
from stages.lib.engine.progress import ReplicateProgress
from stages.lib.engine.runs import jobs_of, write_replicate
from stages.lib.judging.tables import DIGITS, judged_by, metrics_on_demand, read_replicate
from stages.lib.searching.trials import TRIAL_COLUMNS, metrics_of, number, recipe_of_trial, replicate_seed, shown, written
from stages.lib.study.load import check_task, load_study
from stages.lib.study.places import is_place, target_of
from stages.lib.study.settings import Search, Study
from stages.lib.study.space import DEFAULT
from stages.lib.study.strict_yaml import unknown
from stages.lib.training.result import Result

CONFIDENCE = 0.999
"""Of the interval in which a number may lie that another processor computed."""
FLOOR = 0.001
"""The smallest tolerance, for values that all agree: this share of them, or of 1 where they are smaller."""

Numbers = dict[tuple[str, int], dict[str, float]]
"""Variant and seed -> metric -> value; or trial and seed -> fold -> score."""
Alike = Callable[[Numbers, tuple[str, int], str], list[float]]


def numbers_of(table: pd.DataFrame) -> Numbers:
    return {
        (str(row.pop("variant")), int(row.pop("seed"))): {str(name): float(value or "nan") for name, value in row.items()}
        for row in table.to_dict("records")
    }


def committed_replicates(metrics: Path) -> Numbers:
    """metrics/replicates.csv by variant and seed, each number as it was before it was written."""
    try:
        return numbers_of(pd.read_csv(metrics / "replicates.csv", dtype=str, keep_default_na=False))
    except FileNotFoundError:
        raise UserError(
            f"{metrics / 'replicates.csv'} is missing: the study was not run, so there is nothing to verify"
        ) from None


def differing(made_in: Mapping[str, Any] | None, here: Mapping[str, Any], path: Path) -> list[str]:
    """Why numbers may differ: what of the machine and its software is not as it was. Nothing: they must be the same.

    Raises UserError where the training code is another.
    """
    if made_in is None:
        return [f"{path} is missing, so what the metrics were made with is unknown"]
    if made_in.get("source") != here["source"]:
        raise UserError(f"{path}: other training code made these metrics; `dvc repro` first")
    names = [name for name in dict.fromkeys([*here, *made_in]) if made_in.get(name) != here.get(name)]
    return [f"{name}: {_shown(made_in.get(name))} then, {_shown(here.get(name))} here" for name in names]


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={each}" for name, each in sorted(value.items())) or "none"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def chosen(jobs: Sequence[dispatch.Job], count: int, seed: int) -> list[dispatch.Job]:
    """`count` jobs, drawn without replacement; all of them where there are no more."""
    return random.Random(seed).sample(list(jobs), min(count, len(jobs)))


def jobs_of_claim(study: Study, jobs: Sequence[dispatch.Job], name: str) -> list[dispatch.Job]:
    """Those of the jobs that a claim is judged by. Raises UserError for a claim that the study has not."""
    if name not in study.claims:
        raise UserError(f"--claim: {unknown('claim', name, study.claims)}")
    claim = study.claims[name]
    return [job for job in jobs if job.variant in claim.variants and job.seed < judged_by(study, claim, job.variant)]


def results(study: Study, prepared: Prepared, jobs: Sequence[dispatch.Job]) -> Iterator[tuple[dispatch.Job, Result]]:
    """Train the jobs, without the replicate cache, and yield each as it ends."""
    with (
        ReplicateProgress(len(jobs), 0, sum(job.cost for job in jobs)) as progress,
        cluster.workers(len(jobs), study.replicates.backend, progress.say) as crew,
    ):
        for job, result in dispatch.run(crew, jobs, prepared, study.replicates.time_limit, progress.tick):
            progress.finished(job.cost)
            yield job, result


def train(study: Study, prepared: Prepared, jobs: Sequence[dispatch.Job]) -> Numbers:
    """The metrics of the jobs' replicates by variant and seed, as evaluate writes them."""
    labels = {split: y for split, (_, y) in prepared.splits.items()}
    numbers: Numbers = {}
    with tempfile.TemporaryDirectory() as folder:
        for job, result in results(study, prepared, jobs):
            run = Path(folder) / job.variant / str(job.seed)
            write_replicate(run, result, keep_model=False)
            recipe = study.recipes[job.variant]
            known = {"test": labels["test"]} if recipe.k_fold or recipe.train.validation_rows else labels
            measured, _ = read_replicate(run, known, prepared.task, metrics_on_demand(study, job.variant))
            rounded = pd.Series(measured, dtype=float).round(DIGITS)  # as pandas rounds, not as Python does
            numbers[job.variant, job.seed] = {str(metric): float(value) for metric, value in rounded.items()}
    return numbers


def committed_trials(search: Search, path: Path) -> dict[tuple[str, int], dict[str, str]]:
    """The rows of trials.csv that have a score on every fold, by trial and seed; none without the file.

    Raises UserError for the rows of another search.
    """
    if not path.is_file():
        return {}
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows = ({str(column): str(cell) for column, cell in row.items()} for row in table.to_dict("records"))
    needed = {*TRIAL_COLUMNS, *(each.key for each in search.space.values()), *folds_of(search)}
    if not needed <= set(table):
        raise UserError(f"{path}: has no {', '.join(sorted(needed - set(table)))}; `dvc repro` first")
    return {
        (f"{row['strategy']}, trial {row['trial']}", int(row["seed"])): row
        for row in rows
        if row["state"] == "complete" and all(row[fold] != "diverged" for fold in folds_of(search))
    }


def folds_of(search: Search) -> list[str]:
    """The columns of trials.csv that have the folds' scores."""
    return [f"fold_{fold}" for fold in range(search.folds)]


def settings_of(search: Search, row: Mapping[str, str]) -> dict[str, Any]:
    """What a row of trials.csv tried, by the names of the ranges; nothing of the default."""
    if row["strategy"] == DEFAULT:
        return {}
    found = {}
    for name, each in search.space.items():
        choices = {written(value): value for value in each.choices or ()}
        found[name] = choices[row[each.key]] if choices else json.loads(row[each.key])
    return found


def train_trials(
    study: Study, search: Search, prepared: Prepared, rows: Mapping[tuple[str, int], Mapping[str, str]]
) -> Numbers:
    """The scores of every fold of these trials, as the search stage writes them."""
    view, (_, labels) = study.view_of(search.variant), prepared.splits["test"]
    folds: dict[str, tuple[tuple[str, int], str]] = {}
    jobs = []
    for (name, seed), row in rows.items():
        recipe = recipe_of_trial(study, search, settings_of(search, row))
        for fold, column in enumerate(folds_of(search)):
            jobs.append(
                dispatch.Job(f"{name} {seed}", replicate_seed(search, seed, fold), recipe, view, f"{name} {seed} {column}", 1.0)
            )
            folds[str(jobs[-1])] = (name, seed), column
    numbers: Numbers = {}
    for job, result in results(study, prepared, jobs):
        trial, column = folds[str(job)]
        score = shown(search.metric, metrics_of(result, labels, prepared.task)[search.metric])
        numbers.setdefault(trial, {})[column] = number(score)
    return {trial: dict(sorted(numbers[trial].items())) for trial in rows}


def of_variant(committed: Numbers, replicate: tuple[str, int], metric: str) -> list[float]:
    """The metric of all replicates of the same variant."""
    return [each[metric] for (variant, _), each in committed.items() if variant == replicate[0]]


def of_trial(committed: Numbers, trial: tuple[str, int], _: str) -> list[float]:
    """The scores of all folds of the same trial."""
    return list(committed[trial].values())


def tolerance(values: Sequence[float]) -> tuple[float, float]:
    """Where one more run may fall, by the runs that there are: anywhere, where one is not finite, or there is but one."""
    data = pd.Series(values, dtype=float)
    if len(data) < 2 or not data.map(math.isfinite).all():
        return -math.inf, math.inf
    mean, sd = float(data.mean()), float(data.std())
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(data) - 1)) * sd * math.sqrt(1 + 1 / len(data))
    whole = bool((data == data.round()).all()) and abs(mean) > 1
    least = 1.0 if whole else FLOOR * max(1.0, abs(mean))
    return mean - max(reach, least), mean + max(reach, least)


def compare(committed: Numbers, trained: Numbers, exact: bool, alike: Alike = of_variant) -> dict[str, list[str]]:
    """Replicate or trial -> what is wrong with it, a line for each number; `alike` are the values that give the tolerance.

    Raises UserError where a replicate, or one of its metrics, is not among the committed ones.
    """
    found: dict[str, list[str]] = {}
    for (variant, seed), metrics in trained.items():
        name = f"{variant}, seed {seed}"
        before = committed.get((variant, seed), {})
        if not metrics.keys() <= before.keys():
            raise UserError(f"metrics/replicates.csv has not all of {name}; `dvc repro` first")
        lines = found.setdefault(name, [])
        for metric, value in metrics.items():
            if before[metric] == value or (math.isnan(before[metric]) and math.isnan(value)):
                continue
            low, high = tolerance(alike(committed, (variant, seed), metric))
            if exact or not (math.isinf(high) or low <= value <= high):
                limits = "" if exact else f", beyond {low:.6g} to {high:.6g}"
                lines.append(f"{name}: {metric} is {value:.6g}, but {before[metric]:.6g} is committed{limits}")
    return found


def prepare(study: Path) -> None:
    """Have DVC fetch and prepare the study's data, where they are missing or out of date. Raises UserError where it cannot.

    A study that no dvc.yaml names has to be prepared by hand.
    """
    if not is_place(study):
        return
    target = target_of(study, "prepare")
    done = subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet", target], check=False)
    if done.returncode:
        raise UserError(f"`dvc repro {target}` failed, so there are no data to train on")


def verify(folder: Path, count: int, seed: int, claim: str | None = None, trials: int = 0) -> list[str]:
    """Print what is compared, and how; return what is wrong, a line for each number.

    count, trials, seed: how many replicates and trials to draw, and of which draw; without effect where there is a claim.
    """
    study = load_study(folder)
    committed = committed_replicates(folder / "metrics")
    path = folder / "metrics" / "environment.json"
    made_in = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    reasons = differing(made_in, cluster.surroundings(study.replicates.backend), path)
    prepared = read_prepared(folder / "data" / "prepared")
    check_task(study, prepared.task)
    jobs = jobs_of(study, prepared)
    jobs = jobs_of_claim(study, jobs, claim) if claim else chosen(jobs, count, seed)
    how = f"which {claim} is judged by" if claim else f"drawn with --seed {seed}"
    print(f"{len(jobs)} replicates, {how}: {'; '.join(map(str, jobs))}", flush=True)
    for reason in reasons:
        print(f"not comparable bit for bit: {reason}", flush=True)
    tried = {}
    if study.search and trials and not claim:
        rows = committed_trials(study.search, folder / "metrics" / "search" / "trials.csv")
        tried = dict(random.Random(seed).sample(list(rows.items()), min(trials, len(rows))))
        if reasons and study.search.folds == 1:
            print("trials of one fold are compared bit for bit or not at all, so none is trained", flush=True)
            tried = {}
        elif tried:
            names = "; ".join(f"{name}, seed {each}" for name, each in tried)
            print(f"{len(tried)} trials, drawn with --seed {seed}: {names}", flush=True)
    found = compare(committed, train(study, prepared, jobs), exact=not reasons)
    if study.search and tried:
        scores = {trial: {fold: float(row[fold]) for fold in folds_of(study.search)} for trial, row in tried.items()}
        found |= compare(scores, train_trials(study, study.search, prepared, tried), not reasons, of_trial)
    verdict = "within the tolerance" if reasons else "the same, to the last digit"
    for name, lines in found.items():
        print("\n".join(lines) or f"{name}: {verdict}")
    return [line for lines in found.values() for line in lines]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--replicates", type=int, default=3, metavar="N", help="how many to train again (default: 3)")
    parser.add_argument("--seed", type=int, help="of the draw (default: another one each time; it is printed)")
    parser.add_argument("--claim", metavar="NAME", help="train all replicates that this claim is judged by, instead of a draw")
    parser.add_argument("--trials", type=int, default=3, metavar="N", help="how many trials of a search, too (default: 3)")
    options = parser.parse_args()
    with one_line_errors("verify"):
        if options.replicates < 1:
            raise UserError(f"--replicates: {options.replicates} is not allowed; a whole number of at least 1 is")
        if options.trials < 0:
            raise UserError(f"--trials: {options.trials} is not allowed; a whole number of at least 0 is")
        seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
        prepare(options.study)
        wrong = verify(options.study, options.replicates, seed, options.claim, options.trials)
        if wrong:
            raise UserError(f"{len(wrong)} numbers are not as committed")


if __name__ == "__main__":
    main()
