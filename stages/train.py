"""Train every variant with every seed, in parallel, and remember each replicate.

Reads data/prepared and params.yaml. Writes data/runs/VARIANT/SEED/ (history.csv, scores.json, predictions.npz, model.json and
model.weights.h5) and data/timings.json. A replicate that was trained before, here or in another checkout, comes from the user's
cache; so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from stages.lib.cli import arguments, one_line_errors
from stages.lib.data.prepared import Prepared, read_prepared
from stages.lib.engine import cluster, dispatch, runs
from stages.lib.engine.cache import ReplicateCache
from stages.lib.engine.runs import jobs_of, train_missing, workers_on_demand, write_replicate
from stages.lib.files import write_json
from stages.lib.study.load import check_task, load_study
from stages.lib.study.settings import Study
from stages.lib.training.result import Result

SECTIONS = ("data", "model", "train", "views", "replicates", "limits", "variants", "claims")
"""What of params.yaml this stage depends on, by dvc.yaml."""


def train_study(study: Study, prepared: Prepared, runs: Path, cache: ReplicateCache) -> dict[str, object]:
    """Put every replicate into `runs`, training those that the cache does not hold, and return the timings."""
    started = time.perf_counter()
    jobs = jobs_of(study, prepared)
    shutil.rmtree(runs, ignore_errors=True)
    keep = study.replicates.keep_models
    timings: dict[str, dict[str, dict[str, float]]] = {variant: {} for variant in study.variants}

    def finish(job: dispatch.Job, result: Result) -> None:
        write_replicate(runs / job.variant / str(job.seed), result, keep == "all" or (keep == "first" and job.seed == 0))
        timings[job.variant][str(job.seed)] = {
            "seconds": round(result.seconds, 3),
            "seconds_per_epoch": round(result.seconds_per_epoch, 4),
            "cost": round(job.cost),
        }

    with workers_on_demand(study.replicates.backend) as start:
        trained = train_missing(jobs, prepared, cache, study.replicates.time_limit, start, finish)
    wall, shared = time.perf_counter() - started, len(jobs) - trained.replicates - trained.cached
    done = f"{trained.replicates} replicates trained, {trained.cached} from the cache"
    done += f", {shared} the same as others" if shared else ""
    print(f"train: {done}, in {wall:.1f} s", file=sys.stderr, flush=True)
    return {
        "replicates": timings,
        "stage": {
            "trained": trained.replicates,
            "cached": trained.cached,
            "workers": trained.workers,
            "seconds": round(wall, 3),
            "busy": round(trained.seconds / (trained.workers * wall), 3) if trained.workers else None,
        },
        "environment": cluster.surroundings(study.replicates.backend),
    }


def main() -> None:
    folder: Path = arguments(__doc__).parse_args().study
    with one_line_errors("train", folder):
        study = load_study(folder)
        runs.check_backend(study)
        data = folder / "data"
        with runs.alone(data / ".train.lock"), runs.unchanged(study, folder, SECTIONS):
            prepared = read_prepared(data / "prepared")
            check_task(study, prepared.task)
            timings = train_study(study, prepared, data / "runs", ReplicateCache.of_user())
            write_json(data / "timings.json", timings)


if __name__ == "__main__":
    main()
