"""Print what a run would train, and about how long that takes. Nothing is trained."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from stages.lib import environment
from stages.lib.cli import arguments, one_line_errors
from stages.lib.data.catalogue import CATALOGUE, load_catalogue, pick
from stages.lib.data.parts import read_parts
from stages.lib.data.prepared import Prepared, read_prepared
from stages.lib.data.splits import prepare
from stages.lib.engine import cluster, memory, plan
from stages.lib.engine.cache import ReplicateCache
from stages.lib.engine.jobs import jobs_of
from stages.lib.engine.looks import Looks, due_lines, from_cache
from stages.lib.environment import check_backend
from stages.lib.files import sha256_of
from stages.lib.judging.own import own_metrics
from stages.lib.study import sense
from stages.lib.study.load import check_task, load_study
from stages.lib.study.settings import Study


def current_data(study: Study, folder: Path) -> Prepared | None:
    """The study's data as `prepare` would write them now, if data/raw is complete. Otherwise those of the last `prepare`.

    None if there are neither. Raises UserError for a split that the data do not allow, or a metric that the task does not have.
    """
    dataset = pick(load_catalogue(CATALOGUE), study.data.dataset)
    check_task(study, dataset.task)
    raw = folder / "data" / "raw"
    present = [file for file in dataset.files.values() if (raw / file.name).is_file()]
    if len(present) == len(dataset.files) and all(sha256_of(raw / file.name) == file.sha256 for file in present):
        return prepare(study, dataset, read_parts(dataset, raw, study.data.split_column))
    prepared = folder / "data" / "prepared"
    return read_prepared(prepared) if prepared.is_dir() and not present else None


def show_plan(study: Study, folder: Path) -> None:
    """Print the plan of the variants and of the search."""
    prepared = current_data(study, folder)
    jobs = jobs_of(study, prepared) if prepared else None
    for doubt in sense.doubts(study, prepared.task, prepared.outputs) if prepared else ():
        print(f"plan: {folder / 'params.yaml'}: {doubt}", file=sys.stderr)
    if prepared and jobs and not environment.scheduler():
        memory.check(study, prepared, cluster.worker_count(len(jobs)))
    try:
        timed = json.loads((folder / "data" / "timings.json").read_text())["replicates"]
    except FileNotFoundError:
        timed = {}
    cache = ReplicateCache.of_user()
    looks = Looks(study, jobs, prepared, own_metrics(study, folder)) if prepared and jobs else None
    if looks:
        from_cache(looks, lambda key: cache.get(key, lambda note: print(f"plan: {note}", file=sys.stderr)))
        jobs = looks.needed()
    plans = plan.plan(study, jobs, cache.seconds, timed)
    workers = cluster.worker_count(sum(each.to_train for each in plans))
    print(*plan.lines(plans, workers), sep="\n")
    for line in due_lines(looks, plans, max(workers, 1)) if looks else ():
        print(line)
    if study.search:
        searched = plan.plan_search(study, study.search, plans, jobs, prepared)
        if prepared and not environment.scheduler():
            memory.check_search(study, study.search, prepared, cluster.worker_count(searched.at_once))
        print(*plan.search_lines(searched, cluster.worker_count(searched.at_once)), sep="\n")
    if jobs is None:
        raw = folder / "data" / "raw"
        print(f"{raw} does not hold the data set yet. Once it is fetched, a plan also says which replicates are cached,")
        print("and whether the rows fit the split and the networks.")


def main(given: Sequence[str] | None = None) -> None:
    folder: Path = arguments(__doc__).parse_args(given).study
    with one_line_errors("plan", folder):
        study = load_study(folder)
        check_backend(study.replicates.backend)
        show_plan(study, folder)


if __name__ == "__main__":
    main()
