"""Tasks of Dask workers. They hand replicates to trainers, processes of their own, and watch over them.

Why replicates do not train in the Dask worker itself:

* Dask has no time limit for a task. `Client.restart_workers` ends a task that hangs, but with it everybody else's tasks on that
  worker, and only if the worker has a nanny.
* A worker keeps its interpreter. Variables such as OMP_NUM_THREADS are read once, when a process starts. `UploadDirectory` and
  `Environ` restart the worker for a new source or environment, also for users who have other code.
* On one machine, worker processes listen on a port of loopback, where every other user of the machine could run code. Here the
  worker is a thread pool of the driver, which listens nowhere.
* A plugin of a driver that was killed would stay on the workers. `Trainers` goes with its driver.
* `Client.scatter` waits for a worker that hangs. Files go with a task instead, and the scheduler does not keep them.

A worker has the packages of requirements.lock and not this project. So this module is sent to it by value, and it uses the
standard library and Dask alone. A trainer gets the driver's source, data and variables, whatever its worker has imported. They
speak through a pipe: JSON, and after an answer the files that it names.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import cloudpickle
from distributed import get_worker

TRAINER_START_SECONDS = 600.0
"""A trainer must have imported Keras within this time, from a slow network disk for example."""
FILES_SECONDS = 10.0
"""How long a task waits for the files that another task brings to the same worker."""

Files = Mapping[str, bytes]
"""Path below a folder -> content."""
Report = Mapping[str, object]
"""What a trainer says about its machine and software."""

cloudpickle.register_pickle_by_value(sys.modules[__name__])


@dataclass(frozen=True)
class Trained:
    """The replicate's files and durations."""

    files: dict[str, bytes]
    seconds: float
    seconds_per_epoch: float


@dataclass(frozen=True)
class Failed:
    """Training raised an exception. `trace` is its traceback."""

    why: str
    trace: str = ""


@dataclass(frozen=True)
class Died:
    """The trainer ended before the replicate did."""

    why: str


@dataclass(frozen=True)
class Late:
    """The replicate took longer than its time limit."""


@dataclass(frozen=True)
class Unwanted:
    """The driver gave the task up, or died."""


@dataclass(frozen=True)
class NoFiles:
    """The worker does not have the files that a trainer starts from."""


@dataclass(frozen=True)
class Refused:
    """No trainer can start on this worker."""

    why: str


@dataclass(frozen=True)
class Reported:
    """A trainer's report, which is not the expected one."""

    report: Report


Answer = Trained | Failed | Died | Late | Unwanted | NoFiles | Refused | Reported


class ByValue:
    """A function or class of this module, for workers that cannot import it."""

    def __init__(self, task: Callable[..., Any]) -> None:
        self.task = task
        self.__name__ = task.__name__  # for the dashboard

    def __call__(self, *arguments: Any) -> Any:
        return self.task(*arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return cloudpickle.loads, (_pickled(self.task),)


@lru_cache
def _pickled(task: Callable[..., Any]) -> bytes:
    return bytes(cloudpickle.dumps(task))


class Trainer:
    """The worker's end of the pipe to a process that trains."""

    def __init__(self, files: Files, variables: Mapping[str, str | None], scratch: str) -> None:
        """Start the process.

        Args:
            files: the project's source and the study's data.
            variables: for the process's environment. None unsets a variable.
            scratch: the worker's folder for temporary files.
        """
        self.ready = False
        self.folder = Path(tempfile.mkdtemp(prefix="trainer-", dir=scratch))
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.pipe, theirs = Pipe()
        self.memory = 0
        self.kills = _number("/proc/vmstat", "oom_kill")
        own = {"PYTHONPATH": str(self.folder), "KERAS_HOME": str(self.folder)}  # not the settings in ~/.keras
        environment = {**os.environ, **variables, **own}
        with theirs, (self.folder / "errors").open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stages.lib.engine.trainer", str(theirs.fileno())],
                cwd=self.folder,
                env={name: value for name, value in environment.items() if value is not None},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )

    def send(self, message: object) -> None:
        self.pipe.send_bytes(json.dumps(message).encode())

    def receive(self, seconds: float, wanted: Callable[[], bool]) -> Any:
        """The next message. Raises TimeoutError, InterruptedError if it is no longer wanted, EOFError or OSError."""
        deadline = time.monotonic() + seconds
        while not self.pipe.poll(0.5):
            self.memory = _number(f"/proc/{self.process.pid}/status", "VmHWM:") or self.memory
            if time.monotonic() > deadline:
                raise TimeoutError
            if not wanted():
                raise InterruptedError
        return json.loads(self.pipe.recv_bytes())

    def train(self, request: object, seconds: float, wanted: Callable[[], bool]) -> Trained | Failed:
        """Have a replicate trained. Raises as `receive`."""
        self.send(request)
        answer = self.receive(seconds, wanted)
        if "failed" in answer:
            why = str(answer["failed"])
            return Failed(why + (_limit() if "MemoryError" in why or "allocate memory" in why else ""), answer["trace"])
        files = {name: self.pipe.recv_bytes() for name in answer["files"]}
        return Trained(files, answer["seconds"], answer["seconds_per_epoch"])

    def end(self) -> str:
        """End the process, and say how it had ended by itself, if it had."""
        self.pipe.close()
        try:
            status = self.process.wait(1)
        except subprocess.TimeoutExpired:
            status = 0
            self.process.kill()
            self.process.wait()
        said: list[str] = []
        with suppress(OSError):  # the worker has removed its folder already
            said = (self.folder / "errors").read_text(errors="replace").strip().splitlines()
        shutil.rmtree(self.folder, ignore_errors=True)
        if status == -signal.SIGKILL and _number("/proc/vmstat", "oom_kill") > self.kills:
            held = f" when it had {self.memory / 1e6:.2g} GB" if self.memory else ""
            return f"the system ran out of memory and ended its process{held}"
        if status < 0:
            return f"its process was ended by signal {-status}{_limit()}"
        return f"its process ended: {said[-1].strip()}" if said else "its process ended"


def _number(path: str, name: str) -> int:
    """The number behind a name in one of Linux's own files: kilobytes, or a count. 0 on other systems."""
    try:
        found = re.search(rf"^{name}\s+(\d+)", Path(path).read_text(), flags=re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _limit() -> str:
    """The limit that may be why a process ended, if its user has set one."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return "" if limit == resource.RLIM_INFINITY else f" (`ulimit -v` allows it {limit / 1e9:.2g} GB)"


class Trainers:
    """The trainers of one run on one worker, by thread, and the files that they start from.

    Dask keeps it on the worker as the result of a task, for as long as the driver wants that result. When the driver ends, even
    by a kill, Dask drops the result, and the processes end with it.
    """

    def __init__(self) -> None:
        self.files: Files = {}
        self.loaded = threading.Event()
        self.idle: dict[int, Trainer] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Trainers, ()  # if Dask moves it, the processes and the files stay behind

    def __del__(self) -> None:
        for trainer in self.idle.values():
            trainer.end()

    def load(self, files: Files) -> None:
        self.files = files
        self.loaded.set()

    def take(self, thread: int) -> Trainer | None:
        """The trainer of a thread, which is then not idle. None if there is none, or if it has ended by itself."""
        trainer = self.idle.pop(thread, None)
        if trainer and trainer.process.poll() is not None:
            trainer.end()
            return None
        return trainer


def ask(files: Files, variables: Mapping[str, str | None]) -> Reported | Refused:
    """Task: what a trainer on this worker reports."""
    trainer = Trainer(files, variables, get_worker().local_directory)
    try:
        answer = Reported(trainer.receive(TRAINER_START_SECONDS, lambda: True))
    except (EOFError, OSError):
        return Refused(trainer.end())
    trainer.end()
    return answer


def train(
    trainers: Trainers,
    thread: int,
    request: Mapping[str, object],
    seconds: float,
    expected: Report,
    variables: Mapping[str, str | None],
    files: Files | None = None,
) -> Answer:
    """Task: have a replicate trained by this thread's trainer. It is started if there is none.

    Args:
        trainers: of this run on this worker.
        thread: the number of the worker's thread.
        request: recipe and its own network, view, seed, cores, and whether the network is only checked.
        seconds: the time limit of the replicate. The start of the trainer is not counted.
        expected: the report that a trainer must make.
        variables: as for Trainer.
        files: as for Trainer. None if another task brings them.
    """
    here = get_worker()
    key = here.get_current_task()

    def wanted() -> bool:
        """Whether the driver still waits for this task. Otherwise Dask has cancelled it."""
        task = here.state.tasks.get(key)
        return task is not None and task.state == "executing"

    if files is not None:
        trainers.load(files)
    elif not trainers.loaded.wait(FILES_SECONDS):
        return NoFiles()
    trainer = trainers.take(thread) or Trainer(trainers.files, variables, here.local_directory)
    answer = _answer(trainer, request, seconds, expected, wanted)
    if isinstance(answer, Trained | Failed):
        trainers.idle[thread] = trainer
    return answer


def _answer(
    trainer: Trainer, request: Mapping[str, object], seconds: float, expected: Report, wanted: Callable[[], bool]
) -> Answer:
    """Have the trainer import Keras, unless it has, and train. The trainer ends unless the answer is Trained or Failed."""
    try:
        if not trainer.ready:
            report = trainer.receive(TRAINER_START_SECONDS, wanted)
            if report != expected:
                trainer.end()
                return Reported(report)
            trainer.send("import Keras")
            answer = trainer.receive(TRAINER_START_SECONDS, wanted)
            if "failed" in answer:
                trainer.end()
                return Refused(answer["failed"] + _limit())
            trainer.ready = True
        return trainer.train(request, seconds, wanted)
    except InterruptedError:
        trainer.end()
        return Unwanted()
    except TimeoutError:
        trainer.end()
        return Late() if trainer.ready else Refused(f"its process does not start within {TRAINER_START_SECONDS:g} s")
    except (EOFError, OSError):
        why = trainer.end()
        return Died(why) if trainer.ready or trainer.process.returncode < 0 else Refused(why)
