"""Claims that are judged twice: as given, and with each side at its own best settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stages.lib.judging.outcome import Outcome, Row
from stages.lib.judging.units import Unit, unit_of
from stages.lib.study.claims import Claim
from stages.lib.study.settings import Study


class Twice(NamedTuple):
    """A claim about variants, and the one of the same name about strategies that tune them.

    given, tuned: the rows of claims.csv.
    sides: of each strategy, its name and the settings that its searches found, the most frequent first.
    """

    name: str
    claim: Claim
    unit: Unit
    given: Row
    tuned: Row
    sides: Sequence[tuple[str, str]]


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
            [(side, found_by(tuned, side)) for side in tuned.claims[name].variants],
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


def most_frequent(found: str) -> str:
    """Of what `found_by` says, the settings that most searches found."""
    return found.partition(" (")[0]


def found_by(tuned: Outcome, strategy: str) -> str:
    """What a strategy's searches found, such as `0.003 (7 of 10), 0.01 (3 of 10)`."""
    found = tuned.found.get(strategy, [])
    counts = {each: found.count(each) for each in found}
    ordered = sorted(counts, key=lambda each: (-counts[each], found.index(each)))
    return ", ".join(f"{each} ({counts[each]} of {len(found)})" if len(counts) > 1 else each for each in ordered)
