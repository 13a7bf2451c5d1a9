"""Which replicate a place gets next, and how a failure is told."""

from __future__ import annotations

import pytest

from helpers.crew import Crew, trained_by
from helpers.study import study_with
from stages.lib.cli import UserError
from stages.lib.engine import dispatch
from stages.lib.engine.jobs import Job
from stages.lib.engine.worker import Died, Trained


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


WANT = "the system ran out of memory and ended its process when it had 2.1 GB"


def test_a_process_that_died_is_told_with_its_replicate_and_the_replicate_is_trained_again() -> None:
    crew = Crew(Died(WANT), Trained({}, 1.0, 1.0))
    assert trained_by(crew) == ["plain, seed 0"]
    assert crew.said == [f"plain, seed 0: {WANT}; it is trained again"]


def test_what_dies_every_time_is_given_up_with_one_line_that_says_what_to_do() -> None:
    crew = Crew(*[Died(WANT)] * dispatch.ATTEMPTS)
    with pytest.raises(UserError) as caught:
        trained_by(crew)
    assert str(caught.value) == (
        f"plain, seed 0: {WANT}, the last of 3 times; more memory, fewer workers (TIPS_WORKERS) or a smaller network may help"
    )
    assert len(crew.said) == dispatch.ATTEMPTS - 1
