"""What runs in a Dask worker: tasks that hand replicates to trainers, processes of their own, and watch over them.

A worker has the packages of requirements.lock and not this project. So this module is sent to it by value, and uses the
standard library and Dask alone. A trainer gets the driver's source, data and variables, whatever else its worker has imported
or is busy with. They speak through a pipe: JSON, and after an answer the files that it names, as they are.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import cloudpickle
from distributed import get_worker

START = 600.0
"""Seconds in which a trainer must have imported Keras, from a slow network disk for example."""

KEPT = 600.0
"""Seconds after its last use that a worker keeps a cargo: the driver that would have it removed may have been killed."""

Files = Mapping[str, bytes]
"""Path below a folder -> content."""
Answer = tuple[str, Any]
"""How a task ended, in one word, and what belongs to that."""

cloudpickle.register_pickle_by_value(sys.modules[__name__])


class ByValue:
    """A function of this module, for workers that cannot import it."""

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
            variables: of the process's environment; None unsets one.
            scratch: the worker's folder for what is gone when it is.
        """
        self.cargo = ""
        self.folder = Path(tempfile.mkdtemp(prefix="trainer-", dir=scratch))
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.pipe, theirs = Pipe()
        environment = {**os.environ, **variables, "PYTHONPATH": str(self.folder)}
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
        """The next message. Raises TimeoutError, InterruptedError where nobody wants it any more, or EOFError or OSError."""
        deadline = time.monotonic() + seconds
        while not self.pipe.poll(0.5):
            if time.monotonic() > deadline:
                raise TimeoutError
            if not wanted():
                raise InterruptedError
        return json.loads(self.pipe.recv_bytes())

    def train(self, request: object, seconds: float, wanted: Callable[[], bool]) -> Answer:
        self.send(request)
        answer = self.receive(seconds, wanted)
        if "failed" in answer:
            return "failed", answer["failed"]
        files = {name: self.pipe.recv_bytes() for name in answer["files"]}
        return "result", (files, answer["seconds"], answer["seconds_per_epoch"])

    def close(self) -> str:
        """End the process, remove its folder, and say how it had ended by itself, if it had."""
        self.pipe.close()
        try:
            status = self.process.wait(1)
        except subprocess.TimeoutExpired:
            status = 0
        self.process.kill()
        self.process.wait()
        said = (self.folder / "errors").read_text(errors="replace").strip().splitlines()
        shutil.rmtree(self.folder, ignore_errors=True)
        if status < 0:
            return f"its process was ended by signal {-status}"
        return f"its process ended: {said[-1].strip()}" if said else "its process ended"


def ask(source: Files, variables: Mapping[str, str | None]) -> Answer:
    """Task: ("other", what a trainer on this worker reports of itself), or ("refused", why it does not start)."""
    trainer = Trainer(source, variables, get_worker().local_directory)
    try:
        answer = "other", trainer.receive(START, lambda: True)
    except (EOFError, OSError):
        return "refused", trainer.close()
    trainer.close()
    return answer


def _kept(worker: Any, name: str, cargo: Files | None, wanted: Callable[[], bool]) -> Files | None:
    """The cargo of that name, which comes with one task of several that a worker gets at once; None where it does not come."""
    cargos: dict[str, tuple[Files, float]] = vars(worker).setdefault("cargos", {})
    if cargo is not None:
        for each, (_, used) in list(cargos.items()):
            if time.monotonic() - used > KEPT:
                cargos.pop(each, None)
        cargos[name] = cargo, time.monotonic()
    deadline = time.monotonic() + 10
    while name not in cargos and wanted() and time.monotonic() < deadline:
        time.sleep(0.1)
    if name not in cargos:
        return None
    cargos[name] = cargos[name][0], time.monotonic()
    return cargos[name][0]


def train(
    place: tuple[str, int],
    request: Mapping[str, object],
    seconds: float,
    expected: Mapping[str, object],
    variables: Mapping[str, str | None],
    name: str,
    cargo: Files | None,
) -> Answer:
    """Task: have a replicate trained by this place's trainer, which is started where there is none.

    Args:
        place: the run, and which of the worker's threads this is.
        request: recipe, view and seed.
        seconds: within which the replicate must be trained; the start of the trainer is not counted.
        expected: what a trainer must report of itself.
        variables: as for Trainer.
        name: of the cargo that the trainer must have.
        cargo: the project's source and the study's data, which the worker keeps; None where it should have them.

    Returns:
        ("result", (files, seconds, seconds per epoch)), ("failed", why), ("died", how), ("late", None) or ("unwanted", None);
        ("refused", why) or ("other", its report) where this worker cannot train; ("empty", None) where the cargo is missing.
    """
    here = get_worker()
    key = here.get_current_task()
    idle: dict[tuple[str, int], Trainer] = vars(here).setdefault("trainers", {})

    def wanted() -> bool:
        """Whether the driver has neither given up nor died: the task would be cancelled."""
        task = here.state.tasks.get(key)
        return task is not None and task.state == "executing"

    files = _kept(here, name, cargo, wanted)
    known = idle.pop(place, None)
    if known and (known.process.poll() is not None or known.cargo != name):
        known.close()
        known = None
    if known is None:
        if files is None:
            return "empty", None
        for each, other in list(idle.items()):  # of drivers that were killed
            if other.process.poll() is not None and (gone := idle.pop(each, None)):  # unless another thread was faster
                gone.close()
    trainer = known or Trainer(files or {}, variables, here.local_directory)
    try:
        if known is None:
            if (report := trainer.receive(START, wanted)) != expected:
                trainer.close()
                return "other", report
            trainer.send("import Keras")
            trainer.receive(START, wanted)
            trainer.cargo = name
        answer = trainer.train(request, seconds, wanted)
    except InterruptedError:
        trainer.close()
        return "unwanted", None
    except TimeoutError:
        trainer.close()
        return ("late", None) if trainer.cargo else ("refused", f"its process does not start within {START:g} s")
    except (EOFError, OSError):
        why = trainer.close()
        return "died" if trainer.cargo or trainer.process.returncode < 0 else "refused", why
    idle[place] = trainer
    return answer


def dismiss(run: str) -> None:
    """Task: end the trainers of a run, and forget its cargo."""
    cargos: dict[str, Any] = vars(get_worker()).get("cargos", {})
    for name in list(cargos):
        if name.startswith(run):
            cargos.pop(name, None)
    idle: dict[tuple[str, int], Trainer] = vars(get_worker()).get("trainers", {})
    for place in list(idle):
        if place[0] == run and (trainer := idle.pop(place, None)):
            trainer.close()
