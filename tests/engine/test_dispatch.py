"""Which replicate a place gets next, and how a failure is told."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, cast

import pytest

from helpers.study import prepared_for, study_with
from stages.lib.cli import UserError
from stages.lib.engine import dispatch
from stages.lib.engine.cluster import Workers
from stages.lib.engine.jobs import Job
from stages.lib.engine.roster import Place
from stages.lib.engine.worker import Answer, Died, Trained


def test_what_a_worker_says_is_one_plain_line() -> None:
    assert dispatch.plain("Exception\n\n\x1b[1mInput 0 \x1b[0mis wrong") == "Exception Input 0 is wrong"


def test_the_longest_replicate_is_first_and_a_worker_keeps_its_network() -> None:
    def job(seed: int, units: int, cost: float) -> Job:
        recipe = study_with({"model": {"hidden": [units]}}).recipes["plain"]
        return Job("plain", seed, recipe, "scaled", str(seed), cost)

    waiting = [job(0, 8, 3.0), job(1, 8, 3.0), job(2, 4, 2.0), job(3, 2, 1.0)]
    small, smaller = waiting[2].group, waiting[3].group
    assert dispatch._next(waiting, set(), set()).seed == 0
    assert dispatch._next(waiting[1:], set(), {waiting[0].group}).seed == 2
    assert dispatch._next(waiting, {smaller}, set()).seed == 3
    assert dispatch._next(waiting[2:], set(), {small, smaller}).seed == 2


class Crew:
    """One place, whose tasks end at once with the next of these answers."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.said: list[str] = []
        self.roster = self.tasks = self.client = self
        self.say, self.most, self.status = self.said.append, 0, "running"

    def submit(self, *_: object) -> Future[Answer]:
        ended: Any = Future()
        ended.set_result(self.answers.pop(0))
        ended.release = lambda: None
        return cast("Future[Answer]", ended)

    def free(self, busy: object) -> list[Place]:
        return [] if busy else [Place("here", 0)]

    def cores_of(self, *_: object) -> list[int]:
        return []

    def lost(self, _: str) -> str:
        return ""

    def look(self, *_: object) -> None:
        """Nothing changes."""

    load = forget = look

    def train(self) -> list[str]:
        """The replicates that ended."""
        study = study_with()
        job = Job("plain", 0, study.recipes["plain"], "scaled", "key", 1.0)
        trained = dispatch.run(cast(Workers, self), [job], prepared_for(study), 60.0, lambda _: None)
        return [str(job) for job, _ in trained]


WANT = "the system ran out of memory and ended its process when it had 2.1 GB"


def test_a_process_that_died_is_told_with_its_replicate_and_the_replicate_is_trained_again() -> None:
    crew = Crew(Died(WANT), Trained({}, 1.0, 1.0))
    assert crew.train() == ["plain, seed 0"]
    assert crew.said == [f"plain, seed 0: {WANT}; it is trained again"]


def test_what_dies_every_time_is_given_up_with_one_line_that_says_what_to_do() -> None:
    crew = Crew(*[Died(WANT)] * dispatch.ATTEMPTS)
    with pytest.raises(UserError) as caught:
        crew.train()
    assert str(caught.value) == (
        f"plain, seed 0: {WANT}, the last of 3 times; more memory, fewer workers (TIPS_WORKERS) or a smaller network may help"
    )
    assert len(crew.said) == dispatch.ATTEMPTS - 1
