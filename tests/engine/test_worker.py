"""What runs in a Dask worker: many threads start, keep and clear away trainers, here ones that train nothing."""

from __future__ import annotations

import copy
import gc
import itertools
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stages.lib.engine import trainer, worker
from stages.lib.engine.worker import Answer, Died, Failed, Late, NoFiles, Refused, Reported, Trained, Trainers, Unwanted

EXPECTED = {"keras": "3"}
REQUEST = {"variant": "plain"}


REAL = worker.Trainer


class Pretender:
    """A trainer without a process. `stop` ends it, as idling or its driver's death would."""

    def __init__(self, files: worker.Files, variables: object, scratch: str) -> None:
        self.ready, self.files, self.ended = False, files, 0
        self.code: int | None = None
        self.process = SimpleNamespace(poll=lambda: self.code, returncode=0)
        made.append(self)

    def stop(self) -> None:
        self.code = 0

    def send(self, message: object) -> None:
        pass

    def receive(self, seconds: float, wanted: Callable[[], bool]) -> Any:
        time.sleep(0.001)  # so that threads take turns
        return reports[0]

    def train(self, request: object, seconds: float, wanted: Callable[[], bool]) -> Trained | Failed:
        return Trained({"by": str(id(self)).encode()}, 1.0, 1.0)

    def end(self) -> str:
        time.sleep(0.001)
        self.ended += 1
        return "its process ended"


made: list[Pretender] = []
reports: list[dict[str, str]] = []


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The Dask worker: it runs every task, and its trainers are pretenders."""
    tasks = {"task": SimpleNamespace(state="executing")}
    dask = SimpleNamespace(get_current_task=lambda: "task", state=SimpleNamespace(tasks=tasks), local_directory="/nowhere")
    monkeypatch.setattr(worker, "get_worker", lambda: dask)
    monkeypatch.setattr(worker, "Trainer", Pretender)
    made.clear()
    reports[:] = [EXPECTED]
    return dask


def train(trainers: Trainers, thread: int = 0, files: worker.Files | None = None) -> Answer:
    return worker.train(trainers, thread, REQUEST, 9.0, EXPECTED, {}, files)


def raising(error: type[Exception]) -> Callable[..., None]:
    def fails(*_: object) -> None:
        raise error

    return fails


def test_a_thread_keeps_its_trainer_and_another_one_has_its_own() -> None:
    trainers = Trainers()
    first = train(trainers, files={"a": b"1"})
    assert isinstance(first, Trained)
    assert train(trainers) == first
    assert train(trainers, thread=1) != first
    assert [each.files for each in made] == [{"a": b"1"}] * 2


def test_a_trainer_that_ended_while_it_was_idle_is_replaced() -> None:
    trainers = Trainers()
    first = train(trainers, files={})
    made[0].stop()
    assert train(trainers) != first
    assert [each.ended for each in made] == [1, 0]


def test_without_the_files_nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "FILES_SECONDS", 0.01)
    assert train(Trainers()) == NoFiles()
    assert made == []


def test_files_that_another_task_brings_are_waited_for() -> None:
    trainers = Trainers()
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(train, trainers, 1)
        bringing = pool.submit(train, trainers, 0, {"a": b"1"})
        assert {type(each.result()) for each in (waiting, bringing)} == {Trained}
    assert [each.files for each in made] == [{"a": b"1"}] * 2


def test_trainers_that_dask_moves_to_another_worker_have_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "FILES_SECONDS", 0.01)
    trainers = Trainers()
    train(trainers, files={"a": b"1"})
    moved = copy.copy(trainers)
    assert moved.idle == {}
    assert train(moved) == NoFiles()


def test_a_trainer_that_reports_something_else_is_ended() -> None:
    reports[:] = [{"keras": "2"}]
    assert train(Trainers(), files={}) == Reported({"keras": "2"})
    assert made[0].ended == 1


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (InterruptedError, Unwanted()),
        (TimeoutError, Late()),
        (EOFError, Died("its process ended")),
        (BrokenPipeError, Died("its process ended")),
    ],
)
def test_what_ends_a_replicate_ends_its_trainer(
    error: type[Exception], answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pretender, "train", raising(error))
    trainers = Trainers()
    assert train(trainers, files={}) == answer
    assert made[0].ended == 1
    assert trainers.idle == {}


def test_a_replicate_that_fails_does_not_end_its_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pretender, "train", lambda *_: Failed("ValueError: no"))
    trainers = Trainers()
    assert train(trainers, files={}) == Failed("ValueError: no")
    assert made[0].ended == 0
    assert trainers.idle.keys() == {0}


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (TimeoutError, Refused(f"its process does not start within {worker.TRAINER_START_SECONDS:g} s")),
        (EOFError, Refused("its process ended")),
    ],
)
def test_a_trainer_that_does_not_start_is_refused(
    error: type[Exception], answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pretender, "receive", raising(error))
    assert train(Trainers(), files={}) == answer
    assert made[0].ended == 1


def test_threads_that_meet_dead_trainers_do_not_disturb_each_other() -> None:
    """All trainers have ended, idle, when all threads get work at once."""
    trainers = Trainers()
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            before = list(made)
            answers = list(pool.map(train, [trainers] * 8, range(8), [{}] * 8))
            assert {type(answer) for answer in answers} == {Trained}
            assert [each.ended for each in before] == [1] * len(before)
            assert trainers.idle.keys() == set(range(8))
            for each in made:
                each.stop()


def test_trainers_end_with_the_run_that_dask_kept_them_for() -> None:
    one, other = Trainers(), Trainers()
    train(one, files={})
    train(other, files={})
    del one
    gc.collect()
    assert [each.ended for each in made] == [1, 0]


# How a process ended


def ended(tmp_path: Path, code: str, seconds: float = 60.0, ends: bool = True) -> Answer:
    """The answer when the process of a trainer does this in the place of training."""
    files = {f"{folder}/__init__.py": b"" for folder in ("stages", "stages/lib", "stages/lib/engine")}
    script = f"import json, os, resource, signal, sys\nfrom multiprocessing.connection import Connection\n{code}\n"
    trainer = REAL({**files, "stages/lib/engine/trainer.py": script.encode()}, {}, str(tmp_path))
    trainer.ready = "pipe" not in code
    answer = worker._answer(trainer, REQUEST, seconds, EXPECTED, lambda: True)
    assert (trainer.process.poll() is not None) == ends
    if not ends:
        trainer.end()
    return answer


KILL = "os.kill(os.getpid(), signal.SIGKILL)"


def test_a_process_that_the_system_killed_for_want_of_memory_says_so_and_how_much_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = itertools.count(7)  # also counted when an earlier test's process is cleared away
    # What Trainer itself calls: once cloudpickle has read the module by value in this process, its methods have other globals.
    names = REAL.end.__globals__
    told = names["_number"]
    monkeypatch.setitem(names, "_number", lambda path, name: next(kills) if name == "oom_kill" else told(path, name))
    answer = ended(tmp_path, f"import time; held = bytearray(200_000_000); time.sleep(1.2); {KILL}")
    assert isinstance(answer, Died)
    assert re.fullmatch(r"the system ran out of memory and ended its process when it had 0\.2\d? GB", answer.why)


def test_a_process_that_somebody_else_killed_is_not_said_to_want_memory(tmp_path: Path) -> None:
    assert ended(tmp_path, KILL) == Died("its process was ended by signal 9")


def test_a_replicate_past_its_time_limit_is_late_and_its_process_ends(tmp_path: Path) -> None:
    answer = ended(tmp_path, f"open('{tmp_path}/started', 'w').close(); import time; time.sleep(600)", seconds=1.0)
    assert answer == Late()
    assert (tmp_path / "started").exists()
    assert list(tmp_path.glob("trainer-*")) == []


def test_a_limit_of_the_user_is_said_beside_the_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker.resource, "getrlimit", lambda _: (1_500_000_000, 0))
    answer = ended(tmp_path, "os.kill(os.getpid(), signal.SIGSEGV)")
    assert answer == Died("its process was ended by signal 11 (`ulimit -v` allows it 1.5 GB)")


@pytest.mark.parametrize(
    ("why", "told"),
    [
        ("MemoryError: std::bad_alloc", "MemoryError: std::bad_alloc (`ulimit -v` allows it 1.5 GB)"),
        ("ValueError: no", "ValueError: no"),
    ],
)
def test_a_limit_of_the_user_is_said_beside_a_lack_of_memory_alone(
    why: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.resource, "getrlimit", lambda _: (1_500_000_000, 0))
    connect = "pipe = Connection(int(sys.argv[1])); say = lambda it: pipe.send_bytes(json.dumps(it).encode())"
    code = (
        f"{connect}; say({EXPECTED}); pipe.recv_bytes(); say('ready'); pipe.recv_bytes(); say({ {'failed': why, 'trace': ''} })"
    )
    answer = ended(tmp_path, f"{code}; pipe.recv_bytes()", ends=False)
    assert answer == Failed(told, "")


def test_keras_that_cannot_be_imported_is_one_short_line(tmp_path: Path) -> None:
    say = "pipe = Connection(int(sys.argv[1])); say = lambda it: pipe.send_bytes(json.dumps(it).encode())"
    code = (
        f"{say}; say({EXPECTED}); pipe.recv_bytes(); say(dict(failed='Keras cannot be imported: no room')); pipe.recv_bytes()"
    )
    assert ended(tmp_path, code) == Refused("Keras cannot be imported: no room")


def test_the_first_cause_is_said_and_not_the_page_around_it() -> None:
    """As TensorFlow raises it."""
    page = ImportError("Failed to load the native TensorFlow runtime.\nSee https://tensorflow.org\n" * 9)
    page.__context__ = ImportError("/some/where/tensorflow/python/_pywrap.so: failed to map segment from shared object")
    assert trainer.reason(page) == "_pywrap.so: failed to map segment from shared object"
    assert trainer.reason(MemoryError()) == "MemoryError"
