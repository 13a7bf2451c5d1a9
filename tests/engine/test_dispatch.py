"""Which replicate a place gets next, and how a failure is told."""

from __future__ import annotations

from helpers.study import study_with
from stages.lib.engine import dispatch
from stages.lib.engine.jobs import Job


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
