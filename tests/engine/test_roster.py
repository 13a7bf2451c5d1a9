"""Who is there: workers that join, die, fall silent, or are refused, as the scheduler tells of them."""

from __future__ import annotations

import errno
import time
from typing import Any, cast

import pytest
from distributed import Client
from distributed.comm import CommClosedError

from helpers.study import prepared_for, study_with
from stages.lib.cli import UserError
from stages.lib.engine import dispatch, roster, scheduler
from stages.lib.engine.cluster import Workers
from stages.lib.engine.jobs import Job
from stages.lib.engine.roster import SILENCE, Place, Roster
from stages.lib.engine.tasks import Tasks


class Known:
    """A client of a scheduler that knows these workers."""

    def __init__(self, **facts: dict[str, Any]) -> None:
        self.facts = {name: {"nthreads": 2, "last_seen": 100.0, "status": "running", **each} for name, each in facts.items()}
        self.tasks: dict[str, list[str]] = {}
        self.scheduler = self
        self.identity = None
        self.status = "running"

    def sync(self, function: None, n_workers: int, callback_timeout: float) -> dict[str, Any]:
        return {"workers": self.facts}

    def processing(self) -> dict[str, list[str]]:
        return self.tasks


class Gone(Known):
    """A client that has not noticed yet that its scheduler is gone."""

    def sync(self, function: None, n_workers: int, callback_timeout: float) -> dict[str, Any]:
        raise CommClosedError("Connection reset by peer")


def roster_of(client: Known, said: list[str] | None = None) -> Roster:
    made = Roster(cast(Client, client), "replicate-ours", (said if said is not None else []).append)
    made.look()
    return made


def workers_of(client: Known, limit: int = 9) -> Workers:
    made = cast(Client, client)
    return Workers(made, Roster(made, "replicate-ours", print), Tasks(made, {}, {}), limit)


def test_a_connection_that_breaks_is_the_scheduler_s_end_and_a_full_disk_is_not() -> None:
    study = study_with()
    job = Job("plain", 0, study.recipes["plain"], "scaled", "key", 1.0)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for client, error, said in ((Gone(), UserError, "the scheduler is gone"), (Known(), OSError, "No space left")):
        workers = workers_of(client)
        with pytest.raises(error, match=said):
            list(dispatch.run(workers, [job], prepared_for(study), 60.0, full))


def test_a_place_is_a_thread_that_nobody_uses() -> None:
    client = Known(a={}, b={"nthreads": 1}, paused={"status": "paused"})
    client.tasks = {"b": ["somebody-s"]}
    there = roster_of(client)
    first, second = Place("a", 0), Place("a", 1)
    assert there.free([]) == [first, second]
    assert there.free([first]) == [second]
    assert there.free([first, second]) == []
    limited = workers_of(client, limit=1)
    limited.roster.look()
    assert limited.free([]) == [first]
    client.tasks = {"b": ["replicate-ours-1"]}
    there._looked = float("-inf")
    there.look()
    assert there.free([first, second]) == [Place("b", 0)]


def test_a_worker_is_lost_when_it_is_gone_or_alone_in_its_silence() -> None:
    there = roster_of(Known(a={}, b={"last_seen": 101 - SILENCE}, c={"last_seen": 99 - SILENCE}))
    assert [there.lost(each) for each in "abcd"] == ["", "", "its worker fell silent", "its worker died"]
    assert {place.worker for place in there.free([])} == {"a", "b"}
    assert not roster_of(Known(a={"last_seen": -1e9})).lost("a")


@pytest.mark.parametrize("moved", [3600.0, -3600.0], ids=["forward", "back"])
def test_a_scheduler_whose_clock_is_set_loses_nobody_but_who_is_silent(moved: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """All speak every second. The clock is set between the words of `a` and those of `b`, and later `b` falls silent."""
    client = Known(a={}, b={})
    now = time.monotonic()
    monkeypatch.setattr(roster.time, "monotonic", lambda: now)
    there = roster_of(client)
    clock = 100.0
    lost = []
    for second in range(1, 4 + int(SILENCE)):
        now += 1
        clock += 1 + (moved if second == 1 else 0)
        client.facts["a"]["last_seen"] = clock
        there.look()
        lost.append(there.lost("b"))
        if second == 1:
            client.facts["b"]["last_seen"] = clock + 0.5  # which is seen in second 2
        assert not there.lost("a")
    assert lost == [""] * (2 + int(SILENCE)) + ["its worker fell silent"]


def test_the_only_worker_is_refused_in_one_line() -> None:
    said: list[str] = []
    there = roster_of(Known(a={}), said)
    there.refuse("a", "Keras cannot be imported")
    there._looked = float("-inf")
    with pytest.raises(UserError, match=r"^worker a: Keras cannot be imported$"):
        there.look()
    assert said == []


def test_a_worker_that_is_refused_is_named_once_and_used_no_more() -> None:
    said: list[str] = []
    there = roster_of(Known(a={}, b={}), said)
    there.refuse("a", "keras is 2 there")
    there.refuse("a", "keras is 2 there")
    assert said == ["worker a: keras is 2 there; it is not used"]
    assert {place.worker for place in there.free([])} == {"b"}
    there.refuse("b", "as well")
    there._looked = float("-inf")
    with pytest.raises(UserError, match=r"^worker a: keras is 2 there$"):
        there.look()


class Hung(Known):
    """A client whose scheduler answers once and never again. It notes how long it would have waited."""

    def __init__(self) -> None:
        super().__init__(a={})
        self.waited: list[float] = []

    def sync(self, function: None, n_workers: int, callback_timeout: float) -> dict[str, Any]:
        self.waited.append(callback_timeout)
        if len(self.waited) > 1:
            raise TimeoutError
        return {"workers": self.facts}


def test_a_scheduler_that_hangs_is_noticed_within_a_minute_also_while_a_result_is_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fetching a result waits for the scheduler too. Both waits together are within the minute that the docs promise."""
    client = Hung()
    there = roster_of(client)
    fetched = time.monotonic() + scheduler.ANSWER_SECONDS
    monkeypatch.setattr(roster.time, "monotonic", lambda: fetched)
    with pytest.raises(UserError, match=r"^the scheduler has not answered for 50 s\. Trained replicates are kept"):
        there.look()
    assert client.waited[0] == pytest.approx(scheduler.ANSWER_SECONDS, abs=1.0)
    assert scheduler.ANSWER_SECONDS + client.waited[1] <= 55.0
