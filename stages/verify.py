"""Train a few replicates again, and compare them with the committed metrics: `python -m stages.verify [STUDY]`.

Reads params.yaml, data/prepared, metrics/replicates.csv and metrics/environment.json. The replicates are chosen at random, or
are all that a claim is judged by (`--claim NAME`); they are trained here and now, past the replicate cache, and nothing in the
workspace changes. Where the processor features, the versions and the decisive environment variables are those that the metrics
were made with, every number must be the same, to its last digit. Else each must lie where one more run of its variant may fall:
in Student's prediction interval at 99.9 %, by the committed replicates, and where these agree, within one of a count or a
thousandth of anything else. Metrics that other training code made are refused.

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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from scipy import stats

from stages.evaluate import DIGITS, judged_by, metrics_on_demand, read_replicate
from stages.lib import cluster, engine
from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.prepared import Prepared, read_prepared
from stages.lib.progress import ReplicateProgress
from stages.lib.settings import Study
from stages.lib.strict_yaml import unknown
from stages.lib.study import check_task, load_study
from stages.train import jobs_of, write_replicate

CONFIDENCE = 0.999
"""Of the interval in which a number may lie that another processor computed."""
FLOOR = 0.001
"""The smallest tolerance, for values that all agree: this share of them, or of 1 where they are smaller."""

Numbers = dict[tuple[str, int], dict[str, float]]
"""Variant and seed -> metric -> value."""


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


def chosen(jobs: Sequence[engine.Job], count: int, seed: int) -> list[engine.Job]:
    """`count` jobs, drawn without replacement; all of them where there are no more."""
    return random.Random(seed).sample(list(jobs), min(count, len(jobs)))


def jobs_of_claim(study: Study, jobs: Sequence[engine.Job], name: str) -> list[engine.Job]:
    """Those of the jobs that a claim is judged by. Raises UserError for a claim that the study has not."""
    if name not in study.claims:
        raise UserError(f"--claim: {unknown('claim', name, study.claims)}")
    claim = study.claims[name]
    return [job for job in jobs if job.variant in claim.variants and job.seed < judged_by(study, claim, job.variant)]


def train(study: Study, prepared: Prepared, jobs: Sequence[engine.Job]) -> Numbers:
    """The metrics of the jobs' replicates by variant and seed, as evaluate writes them, trained without the replicate cache."""
    labels = {split: y for split, (_, y) in prepared.splits.items()}
    numbers: Numbers = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        ReplicateProgress(len(jobs), 0, sum(job.cost for job in jobs)) as progress,
        cluster.workers(len(jobs), study.replicates.backend, progress.say) as crew,
    ):
        for job, result in engine.run(crew, jobs, prepared, study.replicates.time_limit, progress.tick):
            progress.finished(job.cost)
            run = Path(folder) / job.variant / str(job.seed)
            write_replicate(run, result, keep_model=False)
            recipe = study.recipes[job.variant]
            known = {"test": labels["test"]} if recipe.k_fold or recipe.train.validation_rows else labels
            measured, _ = read_replicate(run, known, prepared.task, metrics_on_demand(study, job.variant))
            rounded = pd.Series(measured, dtype=float).round(DIGITS)  # as pandas rounds, not as Python does
            numbers[job.variant, job.seed] = {str(metric): float(value) for metric, value in rounded.items()}
    return numbers


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


def compare(committed: Numbers, trained: Numbers, exact: bool) -> dict[str, list[str]]:
    """Replicate -> what is wrong with it, a line for each number.

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
            low, high = tolerance([each[metric] for (other, _), each in committed.items() if other == variant])
            if exact or not (math.isinf(high) or low <= value <= high):
                limits = "" if exact else f", beyond {low:.6g} to {high:.6g}"
                lines.append(f"{name}: {metric} is {value:.6g}, but {before[metric]:.6g} is committed{limits}")
    return found


def prepare(study: Path) -> None:
    """Have DVC fetch and prepare the study's data, where they are missing or out of date. Raises UserError where it cannot.

    A study that no dvc.yaml names has to be prepared by hand.
    """
    if study not in (Path(), Path("tutorials") / study.name):
        return
    target = "prepare" if study == Path() else f"tutorials/dvc.yaml:prepare@{study.name}"
    done = subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet", target], check=False)
    if done.returncode:
        raise UserError(f"`dvc repro {target}` failed, so there are no data to train on")


def verify(folder: Path, count: int, seed: int, claim: str | None = None) -> list[str]:
    """Print what is compared, and how; return what is wrong, a line for each number.

    count, seed: how many replicates to draw, and of which draw; without effect where a claim names them.
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
    trained = train(study, prepared, jobs)
    found = compare(committed, trained, exact=not reasons)
    verdict = "within the tolerance" if reasons else "the same, to the last digit"
    for name, lines in found.items():
        print("\n".join(lines) or f"{name}: {verdict}")
    return [line for lines in found.values() for line in lines]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--replicates", type=int, default=3, metavar="N", help="how many to train again (default: 3)")
    parser.add_argument("--seed", type=int, help="of the draw of replicates (default: another one each time; it is printed)")
    parser.add_argument("--claim", metavar="NAME", help="train all replicates that this claim is judged by, instead of a draw")
    options = parser.parse_args()
    with one_line_errors("verify"):
        if options.replicates < 1:
            raise UserError(f"--replicates: {options.replicates} is not allowed; a whole number of at least 1 is")
        seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
        prepare(options.study)
        wrong = verify(options.study, options.replicates, seed, options.claim)
        if wrong:
            raise UserError(f"{len(wrong)} numbers are not as committed")


if __name__ == "__main__":
    main()
