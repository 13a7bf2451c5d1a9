"""Train every variant with every seed, in parallel, and remember each replicate.

Reads data/prepared and params.yaml. Writes data/runs/VARIANT/SEED/ (history.csv, scores.json, predictions.npz, model.json and
model.weights.h5) and data/timings.json. A replicate that was trained before, here or in another checkout, comes from the user's
cache; so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout
from ruamel.yaml import YAML

from stages.lib import cluster, engine, plan
from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.datasets import CATALOGUE, load_catalogue, pick, read_parts, sha256_of
from stages.lib.files import write_bytes, write_json
from stages.lib.prepared import Prepared, read_prepared
from stages.lib.progress import ReplicateProgress
from stages.lib.replicates import ReplicateCache, replicate_key, training_source
from stages.lib.result import Result
from stages.lib.settings import Recipe, Study
from stages.lib.strict_yaml import unknown
from stages.lib.study import check_task, load_study

WEIGHTS = ".weights.h5"
SECTIONS = ("data", "model", "train", "views", "replicates", "limits", "variants", "claims")
"""What of params.yaml this stage depends on, by dvc.yaml."""


def jobs_of(study: Study, prepared: Prepared) -> list[engine.Job]:
    """Every replicate of the study, in the order of params.yaml. Raises UserError for a network that the data do not allow."""
    fingerprint, surroundings = prepared.fingerprint(), cluster.surroundings(study.replicates.backend)
    rows, *input_shape = prepared.splits["train"][0].shape
    jobs = []
    for variant, recipe in study.recipes.items():
        view = study.view_of(variant)
        train = recipe.train
        try:
            price = engine.cost(recipe.model, train.epochs, train.batch_size, rows, input_shape, prepared.outputs)
        except ValueError as error:
            raise UserError(f"params.yaml: variants.{variant}.model.{error}") from None
        for seed in study.seeds(variant):
            key = replicate_key(recipe, prepared.views[view], seed, fingerprint, surroundings)
            jobs.append(engine.Job(variant, seed, recipe, view, key, price))
    return jobs


def write_replicate(folder: Path, result: Result, keep_model: bool) -> None:
    for name, content in result.files.items():
        if keep_model or not name.endswith(WEIGHTS):
            write_bytes(folder / name, content)


class Trained(NamedTuple):
    """How many replicates were trained, how many the cache had, how many workers trained, and the seconds of all replicates."""

    replicates: int
    cached: int
    workers: int
    seconds: float


Start = Callable[[int, Callable[[str], None]], cluster.Workers]
"""Gives the workers for a number of replicates, which say through the second argument what there is to know of them."""


@contextmanager
def workers_on_demand(backend: str) -> Iterator[Start]:
    """A function that starts the workers when it is first called, and then hands the same ones on until the end."""
    started: list[cluster.Workers] = []
    with ExitStack() as stack:

        def start(jobs: int, say: Callable[[str], None]) -> cluster.Workers:
            if not started:
                started.append(stack.enter_context(cluster.workers(jobs, backend, say)))
            started[0].say = say
            return started[0]

        yield start


def train_missing(
    jobs: Sequence[engine.Job],
    prepared: Prepared,
    cache: ReplicateCache,
    time_limit: float,
    start: Start,
    finish: Callable[[engine.Job, Result], None],
    stage: str = "train",
) -> Trained:
    """Hand every job's result to `finish`, from the cache or from training; what several jobs ask for is trained once.

    Args:
        start: gives the workers, and is called only where something is missing.
        stage: the name that its messages begin with.
    """
    notes: list[str] = []
    alike: dict[str, list[engine.Job]] = {}
    for job in jobs:
        alike.setdefault(job.key, []).append(job)
    missing = []
    for key, same in alike.items():
        if result := cache.get(key, notes.append):
            for job in same:
                finish(job, result)
        else:
            missing.append(same[0])
    workers, seconds = 0, 0.0
    with ReplicateProgress(len(alike), len(alike) - len(missing), sum(job.cost for job in missing), stage) as progress:
        for note in notes:
            progress.say(note)
        if missing:
            crew = start(len(missing), progress.say)

            def tick(running: int) -> None:
                progress.tick(running)
                stop_when_orphaned()

            for job, result in engine.run(crew, missing, prepared, time_limit, tick):
                cache.put(job.key, result)
                for each in alike[job.key]:
                    finish(each, result)
                seconds += result.seconds
                progress.finished(job.cost)
            workers = crew.most
            cache.prune()
    shared = sum(len(alike[job.key]) - 1 for job in missing)
    return Trained(len(missing), len(jobs) - len(missing) - shared, workers, seconds)


def train_study(study: Study, prepared: Prepared, runs: Path, cache: ReplicateCache) -> dict[str, object]:
    """Put every replicate into `runs`, training those that the cache does not hold, and return the timings."""
    started = time.perf_counter()
    jobs = jobs_of(study, prepared)
    shutil.rmtree(runs, ignore_errors=True)
    keep = study.replicates.keep_models
    timings: dict[str, dict[str, dict[str, float]]] = {variant: {} for variant in study.variants}

    def finish(job: engine.Job, result: Result) -> None:
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


_PARENT = os.getppid()


def stop_when_orphaned() -> None:
    """End when DVC, which started this stage, is gone: the next `dvc repro` starts a stage of its own."""
    if "DVC_STAGE" in os.environ and os.getppid() != _PARENT:
        raise UserError("dvc, which started this stage, is gone; run `dvc repro` to go on where this stopped")


@contextmanager
def alone(lock: Path, stage: str = "train") -> Iterator[None]:
    """Hold the study's lock, waiting for another such stage of it to end; the system frees the lock of one that was killed."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    file_lock = FileLock(lock)
    try:
        file_lock.acquire(timeout=0)
    except Timeout:
        waiting = f"{stage}: another {stage} stage of this study is running; waiting for it to end"
        print(waiting, file=sys.stderr, flush=True)
        while not file_lock.is_locked:
            stop_when_orphaned()
            try:
                file_lock.acquire(timeout=0.5)
            except Timeout:
                continue
    try:
        yield
    finally:
        file_lock.release()


def check_backend(study: Study) -> None:
    """Raises UserError where the environment asks for another backend than the study."""
    chosen = os.environ.get("KERAS_BACKEND", study.replicates.backend)
    if chosen != study.replicates.backend:
        raise UserError(f"KERAS_BACKEND is {chosen}, but replicates.backend is {study.replicates.backend}; unset or change one")


@contextmanager
def unchanged(study: Study, folder: Path, sections: Sequence[str]) -> Iterator[None]:
    """Raises UserError where these sections, or the training code, are edited meanwhile.

    DVC would take what is made for the result of what they are at the end.
    """
    source = training_source()
    yield
    now = load_study(folder)
    edited = [name for name in sections if getattr(now, name) != getattr(study, name)]
    if edited or training_source() != source:
        what = f"{folder / 'params.yaml'}: {', '.join(edited)}" if edited else "the training code"
        raise UserError(f"{what}: edited while this trained; `dvc repro` again, what was trained is kept")


def show(study: Study, variant: str) -> None:
    """Print a variant's full recipe as YAML."""
    if variant not in study.variants:
        raise UserError(f"--show: {unknown('variant', variant, study.variants)}")
    recipe: Recipe = study.recipes[variant]
    content = {"variant": variant, "tip": study.variants[variant].tip, "seeds": len(study.seeds(variant))}
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(content | {"view_name": study.view_of(variant)} | json.loads(recipe.model_dump_json()), sys.stdout)


def data_of(study: Study, folder: Path) -> Prepared | None:
    """The study's data as `prepare` would hand them on now, from data/raw; failing that, as it did; None without either.

    Raises UserError for a split that the data set does not allow, or a measure that its task does not have.
    """
    from stages.prepare import prepare

    dataset = pick(load_catalogue(CATALOGUE), study.data.dataset)
    check_task(study, dataset.task)
    raw = folder / "data" / "raw"
    found = {file.sha256: raw / file.name for file in dataset.files.values() if (raw / file.name).is_file()}
    if len(found) == len(dataset.files) and all(sha256_of(path) == digest for digest, path in found.items()):
        return prepare(study, dataset, read_parts(dataset, raw))
    prepared = folder / "data" / "prepared"
    return read_prepared(prepared) if prepared.is_dir() and not found else None


def show_plan(study: Study, folder: Path) -> None:
    """Print what a run would train, and about how long that takes; nothing is trained."""
    prepared = data_of(study, folder)
    jobs = jobs_of(study, prepared) if prepared else None
    try:
        timed = json.loads((folder / "data" / "timings.json").read_text())["replicates"]
    except FileNotFoundError:
        timed = {}
    plans = plan.plan(study, jobs, ReplicateCache.of_user().seconds, timed)
    for line in plan.lines(plans, cluster.worker_count(sum(each.to_do for each in plans))):
        print(line)
    if study.search:
        searched = plan.plan_search(study, study.search, plans, jobs, prepared)
        for line in plan.search_lines(searched, cluster.worker_count(searched.at_once)):
            print(line)
    if jobs is None:
        raw = folder / "data" / "raw"
        print(f"{raw} does not hold the data set yet; once fetched, a plan also says which replicates are cached,")
        print("and whether the rows fit the split and the networks")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--show", metavar="VARIANT", help="print the full recipe of a variant and train nothing")
    parser.add_argument("--plan", action="store_true", help="print what would be trained, and how long it takes; train nothing")
    options = parser.parse_args()
    with one_line_errors("train"):
        study = load_study(options.study)
        if options.show:
            show(study, options.show)
            return
        check_backend(study)
        if options.plan:
            show_plan(study, options.study)
            return
        data = options.study / "data"
        with alone(data / ".train.lock"), unchanged(study, options.study, SECTIONS):
            prepared = read_prepared(data / "prepared")
            check_task(study, prepared.task)
            timings = train_study(study, prepared, data / "runs", ReplicateCache.of_user())
            write_json(data / "timings.json", timings)


if __name__ == "__main__":
    main()
