"""Train every variant with every seed, in parallel, and keep each replicate.

Reads data/prepared and params.yaml. Writes data/timings.json, and into data/runs/VARIANT/SEED/:

* history.csv, scores.json, predictions.npz and model.json,
* model.weights.h5, as replicates.keep_models says,
* diagnostics.csv, if replicates.diagnostics is on,
* best.weights.h5 and logs/, if train.best_checkpoint and train.tensorboard are on.

A replicate that was trained before, here or in another checkout, comes from the user's cache. So an interrupted run goes on
where it stopped. Claims are judged at each look, and only what undecided claims need is trained.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.lib.cli import arguments, one_line_errors
from stages.lib.data.prepared import Prepared, read_prepared
from stages.lib.engine import cluster, memory, runs
from stages.lib.engine.cache import ReplicateCache
from stages.lib.engine.jobs import Job, jobs_of
from stages.lib.engine.looks import Looks
from stages.lib.environment import check_backend, scheduler
from stages.lib.files import write_json
from stages.lib.judging.own import own_metrics
from stages.lib.judging.predictions import Function
from stages.lib.study import own, sense
from stages.lib.study.load import check_task, load_study
from stages.lib.study.settings import Study
from stages.lib.training.result import Result

SECTIONS = ("data", "model", "train", "views", "replicates", "limits", "variants", "claims", "statistics")
"""The sections of params.yaml that this stage depends on, by dvc.yaml."""


def train_study(
    study: Study, prepared: Prepared, folder: Path, cache: ReplicateCache, functions: Mapping[str, Function] | None = None
) -> dict[str, Any]:
    """Put every replicate that is needed into `folder` and return the timings. What the cache does not hold is trained.

    functions: the study's own metrics, by which claims are judged.
    """
    started = time.perf_counter()
    jobs = jobs_of(study, prepared)
    if not scheduler():
        memory.check(study, prepared, cluster.worker_count(len(jobs)))
    shutil.rmtree(folder, ignore_errors=True)
    keep = study.replicates.keep_models
    looks = Looks(study, jobs, prepared, functions or {})
    timings: dict[str, dict[str, dict[str, float]]] = {variant: {} for variant in study.variants}

    def finish(job: Job, result: Result) -> None:
        keep_model = keep == "all" or (keep == "first" and job.seed == 0)
        runs.write_replicate(folder / job.variant / str(job.seed), result, keep_model)
        timings[job.variant][str(job.seed)] = {
            "seconds": round(result.seconds, 3),
            "seconds_per_epoch": round(result.seconds_per_epoch, 4),
            "cost": round(job.cost),
        }
        looks.add(job, result)

    all_totals = []
    with runs.workers_on_demand(study.replicates.backend) as start:
        while missing := looks.missing():
            all_totals.append(runs.train_missing(missing, prepared, cache, study.replicates.time_limit, start, finish))
            looks.advance(max(1, *(each.workers for each in all_totals)))
    totals = runs.added(all_totals)
    wall = time.perf_counter() - started
    print(f"train: {totals.sentence(len(looks.rows), wall)}", file=sys.stderr, flush=True)
    if study.claims and looks.more_than_one:
        print(f"train: {looks.summary()}", file=sys.stderr, flush=True)
    environment = cluster.training_environment(study.replicates.backend)
    return {"replicates": timings, "stage": totals.facts(wall), "environment": environment}


def main() -> None:
    options = arguments(__doc__, debug=True).parse_args()
    folder: Path = options.study
    with one_line_errors("train", folder, options.debug):
        study = load_study(folder)
        own.check_pipeline(folder)
        check_backend(study.replicates.backend)
        data = folder / "data"
        with runs.alone(data / ".train.lock"), runs.unchanged(study, folder, SECTIONS):
            prepared = read_prepared(data / "prepared")
            check_task(study, prepared.task)
            for doubt in sense.doubts(study, prepared.task, prepared.outputs):
                print(f"train: {folder / 'params.yaml'}: {doubt}", file=sys.stderr, flush=True)
            timings = train_study(study, prepared, data / "runs", ReplicateCache.of_user(), own_metrics(study, folder))
            write_json(data / "timings.json", timings)


if __name__ == "__main__":
    main()
