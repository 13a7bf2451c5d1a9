"""Claims that are judged twice: as given, and with each side at its own best settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from stages.lib.judging.outcome import Outcome, Row
from stages.lib.judging.units import Unit, unit_of
from stages.lib.study.claims import Claim
from stages.lib.study.settings import Study


class Twice(NamedTuple):
    """A claim about variants, and the one of the same name about strategies that tune them.

    given, tuned: the rows of claims.csv.
    sides: of each strategy, its name, and how many of its searches found which settings.
    """

    name: str
    claim: Claim
    unit: Unit
    given: Row
    tuned: Row
    sides: Sequence[tuple[str, Counter[str]]]


def judged_twice(study: Study, given: Outcome, tuned: Outcome, task: str) -> list[Twice]:
    """The claims that two strategies, each around its own variant, repeat under the same name, and that both have a verdict."""
    names = [name for name in twins(study) if name in given.verdicts and name in tuned.verdicts]
    return [
        Twice(
            name,
            given.claims[name],
            unit_of(given.claims[name].metric, task),
            given.verdicts[name],
            tuned.verdicts[name],
            [(side, Counter(tuned.found.get(side, []))) for side in tuned.claims[name].variants],
        )
        for name in names
    ]


def twins(study: Study) -> list[str]:
    """The claims about variants that the search repeats, in the order of params.yaml."""
    if study.search is None:
        return []
    found = []
    for name, claim in study.search.claims.items():
        own, around = study.claims.get(name), tuple(map(study.search.variant_of, claim.variants))
        if own and own.compare == around and asked(own) == asked(claim):
            found.append(name)
    return found


def asked(claim: Claim) -> tuple[object, ...]:
    return claim.metric, claim.expect, claim.margin, claim.threshold
