"""What runs in a Dask worker: many threads start, keep and clear away trainers, here ones that train nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from stages.lib.engine import worker

EXPECTED = {"keras": "3"}
REQUEST = {"variant": "plain"}


class Pretender:
    """A trainer without a process. `end` ends it, as idling or its driver's death would."""

    def __init__(self, files: worker.Files, variables: object, scratch: str) -> None:
        self.cargo, self.files, self.closed = "", files, 0
        self.code: int | None = None
        self.process = SimpleNamespace(poll=lambda: self.code, returncode=0)
        made.append(self)

    def end(self) -> None:
        self.code = 0

    def send(self, message: object) -> None:
        pass

    def receive(self, seconds: float, wanted: Callable[[], bool]) -> Any:
        time.sleep(0.001)  # so that threads take turns
        return reports[0]

    def train(self, request: object, seconds: float, wanted: Callable[[], bool]) -> worker.Answer:
        return "result", self

    def close(self) -> str:
        time.sleep(0.001)
        self.closed += 1
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


def train(thread: int = 0, name: str = "run-1", cargo: worker.Files | None = None, run: str = "run") -> worker.Answer:
    return worker.train((run, thread), REQUEST, 9.0, EXPECTED, {}, name, cargo)


def raising(error: type[Exception]) -> Callable[..., None]:
    def fails(*_: object) -> None:
        raise error

    return fails


def test_a_place_keeps_its_trainer_as_long_as_the_cargo_is_the_same() -> None:
    how, first = train(cargo={"a": b"1"})
    assert (how, first.files) == ("result", {"a": b"1"})
    assert train() == ("result", first)
    how, second = train(name="run-2", cargo={"a": b"2"})
    assert (how, second.files, first.closed) == ("result", {"a": b"2"}, 1)


def test_without_the_cargo_nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 1000, 6))
    monkeypatch.setattr(worker.time, "monotonic", lambda: next(now))
    assert train() == ("empty", None)
    assert made == []


def test_a_trainer_that_reports_something_else_is_closed() -> None:
    reports[:] = [{"keras": "2"}]
    assert train(cargo={}) == ("other", {"keras": "2"})
    assert made[0].closed == 1


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (InterruptedError, ("unwanted", None)),
        (TimeoutError, ("late", None)),
        (EOFError, ("died", "its process ended")),
        (BrokenPipeError, ("died", "its process ended")),
    ],
)
def test_what_ends_a_replicate_ends_its_trainer(
    error: type[Exception], answer: worker.Answer, monkeypatch: pytest.MonkeyPatch, here: SimpleNamespace
) -> None:
    monkeypatch.setattr(Pretender, "train", raising(error))
    assert train(cargo={}) == answer
    assert made[0].closed == 1
    assert here.trainers == {}


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (TimeoutError, ("refused", f"its process does not start within {worker.START:g} s")),
        (EOFError, ("refused", "its process ended")),
    ],
)
def test_a_trainer_that_does_not_start_is_refused(
    error: type[Exception], answer: worker.Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pretender, "receive", raising(error))
    assert train(cargo={}) == answer
    assert made[0].closed == 1


def test_threads_that_clear_away_the_same_dead_trainers_do_not_disturb_each_other(here: SimpleNamespace) -> None:
    """All trainers of a run have ended, idle, when all threads get work of the next run at once."""
    with ThreadPoolExecutor(8) as pool:
        for number in range(10):
            name, run, before = f"run-{number}", f"run{number}", list(made)
            answers = list(pool.map(train, range(8), [name] * 8, [{}] * 8, [run] * 8))
            assert {how for how, _ in answers} == {"result"}
            assert [each.closed for each in before if each.code == 0] == [1] * len(before)
            assert set(here.trainers) == {(run, thread) for thread in range(8)}
            assert name in here.cargos
            for each in made:
                each.end()


def test_the_end_of_a_run_ends_its_trainers_and_no_other(here: SimpleNamespace) -> None:
    train(0, "one-1", {}, "one")
    train(1, "two-1", {}, "two")
    worker.dismiss("one")
    assert [each.closed for each in made] == [1, 0]
    assert set(here.cargos) == {"two-1"}


def test_a_cargo_that_nobody_uses_goes_when_another_comes(monkeypatch: pytest.MonkeyPatch, here: SimpleNamespace) -> None:
    train(0, "one-1", {}, "one")
    later = time.monotonic() + worker.KEPT + 1
    monkeypatch.setattr(worker.time, "monotonic", lambda: later)
    train(1, "two-1", {}, "two")
    assert set(here.cargos) == {"two-1"}
