"""Where replicates train: on threads of this process, or on the cluster that DASK_SCHEDULER_ADDRESS names.

Either way a thread hands each replicate to a trainer, a process of its own with this checkout's source. Where training runs is
not a parameter of the study: it changes neither a result nor what DVC runs again.
"""

from __future__ import annotations

import importlib.metadata
import ipaddress
import logging
import os
import socket
import sysconfig
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import dask
import psutil
from dask.system import cpu_count
from distributed import CancelledError, Client, Future, KilledWorker, LocalCluster, wait
from distributed.system import memory_limit

from stages.lib.cli import UserError
from stages.lib.data.prepared import Prepared, write_prepared
from stages.lib.engine import trainer, worker
from stages.lib.engine.key import DECISIVE_VARIABLES, environment
from stages.lib.engine.source import project_files

VARIABLE = "DASK_SCHEDULER_ADDRESS"
WORKER_MEMORY = 1.5e9
"""Bytes that a trainer is planned for: TensorFlow, one data set and its view, a few traced networks."""
MALLOC = {"MALLOC_TRIM_THRESHOLD_": "1073741824", "MALLOC_MMAP_THRESHOLD_": "33554432"}
"""Variables of glibc's allocator, read as a process starts. Dask's own, made for data frames, hand every freed megabyte back to
the system: page faults then take a third of the time of a step that XLA compiled."""
CONNECT = 10.0
"""Seconds that a scheduler has to answer."""
PATIENCE = 60.0
"""Seconds that a cluster's workers have to come and to answer."""
SILENCE = 20.0
"""Seconds after which the replicates of a worker that says nothing, while others do, are given to these."""
LOOK = 0.5
"""Seconds between two looks at who is there."""
NEEDED: dict[str, tuple[Callable[..., str], *tuple[str, ...]]] = {
    "python": (sysconfig.get_python_version,),
    "distributed": (importlib.metadata.version, "distributed"),
}
"""What a worker and this process must have the same version of to understand each other -> how to ask for it."""
MEND = "install requirements.lock there"
HARDWARE = ("processor", "gpu")
"""What of the environment may be another on a cluster than here: results are cached as those of such hardware."""


class Place(NamedTuple):
    """Where one replicate at a time trains: a worker's address, and which of its threads."""

    worker: str
    thread: int


@dataclass
class Workers:
    """The workers of a run, and what each of them has been told.

    run: a name that no other run at the same cluster has.
    expected: what a trainer must report of itself.
    variables: of a trainer's environment.
    limit: places to use at once.
    say: tells the user a line.
    cores: for each thread of this machine's worker, the core of its trainer; empty where the system chooses.
    """

    client: Client
    expected: dict[str, object]
    variables: dict[str, str | None]
    limit: int
    say: Callable[[str], None]
    cores: Sequence[int] = ()
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    most: int = 0  # places used at once, so far
    _tasks: int = 0
    _looked: float = float("-inf")
    _threads: dict[str, int] = field(default_factory=dict)  # worker -> threads that no other run uses
    _silent: dict[str, float] = field(default_factory=dict)  # worker -> seconds between its last word and the last of any
    _refused: dict[str, str] = field(default_factory=dict)  # worker -> why
    _deserted: bool = False
    _loaded: set[str] = field(default_factory=set)  # workers that were sent the data
    _prepared: Prepared | None = None
    _cargo: int = 0  # which data these are
    _files: dict[str, bytes] = field(default_factory=dict)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        """End the run's trainers, on workers that answer."""
        with suppress(UserError, OSError, CancelledError):  # of a scheduler that is silent or gone, which has been said
            if self.client.status == "running":
                _answers(self.client, worker.ByValue(worker.dismiss), self.run, seconds=5.0)

    def load(self, prepared: Prepared) -> None:
        """Have every trainer use these data from now on."""
        if prepared is not self._prepared:
            self._prepared, self._files = prepared, {**project_files(), **data_files(prepared)}
            self._cargo += 1
            self._loaded.clear()

    def look(self) -> None:
        """See who is there, and say so when nobody is. Raises UserError where every worker was refused."""
        if (now := time.monotonic()) - self._looked < LOOK:
            return
        self._looked = now
        known = _identity(self.client)["workers"]
        others = {each: sum(not self._is_ours(key) for key in keys) for each, keys in self.client.processing().items()}
        newest = max((facts["last_seen"] for facts in known.values()), default=0.0)
        self._silent = {each: newest - facts["last_seen"] for each, facts in known.items()}
        self._threads = {
            each: facts["nthreads"] - others.get(each, 0)
            for each, facts in known.items()
            if each not in self._refused and facts["status"] == "running" and not self.lost(each)
        }
        if known and self._refused.keys() >= known.keys():
            raise UserError(next(iter(self._refused.values())))
        if not known and not self._deserted:
            self.say("the cluster has lost its last worker; training goes on when one joins")
        self._deserted = not known

    def _is_ours(self, key: object) -> bool:
        return str(key).startswith(f"replicate-{self.run}")

    def lost(self, address: str) -> str:
        """Why a worker's replicates have to be given to others; empty where they have not."""
        if address not in self._silent:
            return "its worker died"
        return "its worker fell silent" if self._silent[address] > SILENCE else ""

    def free(self, busy: Collection[Place]) -> list[Place]:
        """The places that can take a replicate."""
        found = []
        for address, threads in sorted(self._threads.items()):
            mine = [place for place in busy if place.worker == address]
            idle = [place for each in range(threads) if (place := Place(address, each)) not in busy]
            found += idle[: max(0, threads - len(mine))]
        return found[: max(0, self.limit - len(busy))]

    def cores_of(self, place: Place, more: bool) -> list[int]:
        """The cores that a trainer keeps to: its own while more waits, so that others leave its caches alone, else any."""
        return [self.cores[place.thread]] if self.cores and more else list(self.cores)

    def submit(self, place: Place, request: dict[str, object], seconds: float) -> Future[worker.Answer]:
        """Have a replicate trained; the first time on a worker, the study's data go with it."""
        cargo = None if place.worker in self._loaded else self._files
        self._loaded.add(place.worker)
        self._tasks += 1
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):  # the cargo is no mistake
            return self.client.submit(
                worker.ByValue(worker.train),
                (self.run, place.thread),
                request,
                seconds,
                self.expected,
                self.variables,
                f"{self.run}-{self._cargo}",
                cargo,
                key=f"replicate-{self.run}-{self._tasks}",
                workers=[place.worker],
                allow_other_workers=False,
            )

    def unload(self, address: str) -> None:
        """Note that a worker does not have the study's data, or no more."""
        self._loaded.discard(address)

    def refuse(self, address: str, why: str) -> None:
        """Use a worker no more."""
        if address not in self._refused:
            self._refused[address] = f"worker {address}: {why}"
            self.say(f"{self._refused[address]}; it is not used")
        self._threads.pop(address, None)


def data_files(prepared: Prepared) -> dict[str, bytes]:
    """The study's data, as files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_prepared(prepared, folder)
        return {(trainer.DATA / path.name).as_posix(): path.read_bytes() for path in folder.iterdir()}


def worker_environment(backend: str) -> dict[str, str]:
    """Environment variables of a process that trains with one thread, set before it imports Keras."""
    single_thread = dict.fromkeys(
        "OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS TF_NUM_INTRAOP_THREADS TF_NUM_INTEROP_THREADS".split(),
        "1",
    )
    xla = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    flags = f"{os.environ.get('XLA_FLAGS', '')} {xla}".strip()
    return {**single_thread, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2", "XLA_FLAGS": flags}


def variables_of(backend: str) -> dict[str, str | None]:
    """What is set, or unset, for a trainer: the variables that decide a result are this process's, wherever it trains."""
    decisive = {name: os.environ.get(name) for name in DECISIVE_VARIABLES}
    return {**decisive, **MALLOC, **worker_environment(backend)}


def expected_of(backend: str, surroundings: Mapping[str, object]) -> dict[str, object]:
    """What a trainer must report of itself."""
    variables = variables_of(backend)
    decisive = {name: variables[name] for name in DECISIVE_VARIABLES if variables[name] is not None}
    hardware = {name: surroundings[name] for name in HARDWARE if name in surroundings}
    here = {name: value for name, value in trainer.report(backend).items() if name not in HARDWARE}
    return {**here, **hardware, "variables": decisive}


def worker_count(jobs: int) -> int:
    """As many as there are cores, memory and jobs for, or threads of a cluster. `TIPS_WORKERS` overrides all but the jobs."""
    chosen = os.environ.get("TIPS_WORKERS")
    if chosen is not None:
        if not chosen.isdecimal() or int(chosen) < 1:
            raise UserError(f"TIPS_WORKERS: {chosen!r} is not allowed; a whole number of at least 1 is")
        return min(int(chosen), jobs)
    if VARIABLE in os.environ:
        with _connected() as client:
            return min(int(sum(client.nthreads().values())), jobs)
    room = int(min(psutil.virtual_memory().available, memory_limit()) // WORKER_MEMORY)
    return min(max(1, min(cpu_count(), room)), jobs)


def own_cores(trainers: int) -> list[int]:
    """One core for each trainer; empty where there are more or fewer, and where two may be threads of one core."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return cores if len(cores) == trainers and psutil.cpu_count() == psutil.cpu_count(logical=False) else []


def surroundings(backend: str) -> dict[str, object]:
    """What of the machine that trains, and of its software, decides a result: `environment`, here or on the cluster's workers.

    Raises UserError for workers that cannot train as this machine would, but for their hardware, or not as each other.
    """
    here = environment(backend)
    if VARIABLE not in os.environ:
        return here
    return {name: value for name, value in here.items() if name not in HARDWARE} | _hardware(backend, os.environ[VARIABLE])


@lru_cache
def _hardware(backend: str, scheduler: str) -> dict[str, object]:
    """HARDWARE as all the cluster's workers report it."""
    with _connected() as client:
        expected = expected_of(backend, {})
        _wait_for_workers(client)
        for name, ask in NEEDED.items():  # or a worker could not read the next task
            for address, there in _answers(client, *ask).items():
                if why := differences({name: there}, {name: ask[0](*ask[1:])}):
                    raise UserError(f"worker {address}: {why}")
        reports = {}
        for address, (how, report) in _answers(
            client, worker.ByValue(worker.ask), project_files(), variables_of(backend)
        ).items():
            if how == "refused":
                raise UserError(f"worker {address}: {report}")
            reports[address] = report
    if not reports:
        raise UserError(f"{VARIABLE}: no worker of {scheduler} answers within {PATIENCE:g} s; are they all busy?")
    first, facts = next(iter(reports.items()))
    for address, report in reports.items():
        if why := differences(report, expected, ignore=HARDWARE):
            raise UserError(f"worker {address}: {why}")
        for name in HARDWARE:
            if report.get(name) != facts.get(name):
                raise UserError(
                    f"workers {first} and {address} have not the same {name} ({_only(facts.get(name), report.get(name))}), "
                    "so results would depend on who trains what; take workers of one kind"
                )
    return {name: facts[name] for name in HARDWARE if name in facts}


def differences(report: Mapping[str, object], expected: Mapping[str, object], ignore: tuple[str, ...] = ()) -> str:
    """What a trainer reports that is not as expected, and what to do; empty where nothing is."""
    for name in dict.fromkeys([*expected, *report]):
        there, here = report.get(name), expected.get(name)
        if there == here or name in ignore:
            continue
        if name in HARDWARE:
            return f"its {name} is not that of the other workers ({_only(here, there)})"
        if name in ("source", "variables"):
            return f"its {name} is not this checkout's; start the stage again"
        return f"{name} is {there} there and {here} here; {MEND}"
    return ""


def _only(one: object, other: object) -> str:
    """What only one of two lists has."""
    first, second = ({*each} if isinstance(each, list) else set() for each in (one, other))
    return "only one has " + " ".join(sorted(map(str, first ^ second)))


def _wait_for_workers(client: Client) -> None:
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        raise UserError(f"{VARIABLE}: {os.environ[VARIABLE]} has no workers, for {PATIENCE:g} s; start some") from None


def _identity(client: Client) -> dict[str, Any]:
    """What the scheduler knows of itself and its workers; `scheduler_info` may answer from a cache without workers.

    Raises UserError where it does not answer.
    """
    ask = client.scheduler.identity  # type: ignore[union-attr]  # connected
    try:
        identity: dict[str, Any] = client.sync(ask, n_workers=-1, callback_timeout=PATIENCE)
    except TimeoutError:
        raise UserError(
            f"the scheduler has not answered for {PATIENCE:g} s; what was trained is kept, so `dvc repro` goes on from there"
        ) from None
    return identity


def _answers(client: Client, task: Callable[..., Any], *arguments: Any, seconds: float = PATIENCE) -> dict[str, Any]:
    """Worker -> what it answers, of those that do so within the seconds, and do not die at it.

    Raises UserError where a task raises.
    """
    asked = {
        each: client.submit(task, *arguments, workers=[each], allow_other_workers=False, pure=False)
        for each in _identity(client)["workers"]
    }
    with suppress(TimeoutError):
        wait(list(asked.values()), timeout=seconds)
    for each, future in asked.items():
        if future.status == "error" and not isinstance(error := future.exception(), KilledWorker):
            raise UserError(f"worker {each}: {type(error).__name__}: {error}")
    return {each: future.result() for each, future in asked.items() if future.status == "finished"}


def _checked(address: str) -> str:
    """The address, if only this machine reaches it, or only those with a certificate, or if the user wants it so."""
    parts = urlsplit(address)
    if parts.scheme in ("tls", "wss") or os.environ.get("TIPS_INSECURE") == "1":
        return address
    found = socket.getaddrinfo(parts.hostname, None)
    if not all(ipaddress.ip_address(each[4][0]).is_loopback for each in found):
        raise UserError(
            f"{VARIABLE}: {address} is neither tls:// nor on this machine; who reaches such a scheduler can run code as you, "
            "here and on its workers. Use certificates or a tunnel; where only friends reach it, TIPS_INSECURE=1 allows it"
        )
    return address


@contextmanager
def _connected() -> Iterator[Client]:
    """A client of the cluster that the variable names. Raises UserError where it cannot be reached, or safely."""
    given = os.environ[VARIABLE]
    address = given if "://" in given else f"tcp://{given}"
    for library in ("distributed", "distributed.client", "tornado", "asyncio"):  # what matters is said in one line
        logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        client = Client(_checked(address), timeout=CONNECT)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{VARIABLE}: {address} does not answer as a scheduler: {error}") from None
    with client:
        info = _identity(client)
        for each in (info["address"], *info["workers"]):
            _checked(each)
        yield client


@contextmanager
def workers(jobs: int, backend: str, say: Callable[[str], None]) -> Iterator[Workers]:
    """Workers for so many jobs, where the user wants them, which is said.

    On this machine they are threads of this process, with a scheduler that listens nowhere; trainers end with it, even when it
    is killed.
    """
    expected, variables = expected_of(backend, surroundings(backend)), variables_of(backend)
    if VARIABLE in os.environ:
        limit = worker_count(jobs) if "TIPS_WORKERS" in os.environ else jobs
        with _connected() as client:
            _wait_for_workers(client)
            say(f"training on the cluster at {os.environ[VARIABLE]}; watch it at {client.dashboard_link}")
            here = environment(backend)
            for name in (name for name in HARDWARE if expected.get(name) != here.get(name)):
                say(f"its workers have another {name} than this machine: the last digits may differ, and are cached as theirs")
            with Workers(client, expected, variables, limit, say) as crew:
                yield crew
        return
    count = worker_count(jobs)
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=count,
            processes=False,
            protocol="inproc://",  # or a configuration for clusters would have it listen
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
            silence_logs="CRITICAL",
        ) as cluster,
        Client(cluster) as client,
        Workers(client, expected, variables, count, say, own_cores(count)) as crew,
    ):
        say(f"watch the workers at http://127.0.0.1:{_identity(client)['services']['dashboard']}/status")
        yield crew
