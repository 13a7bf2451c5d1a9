"""Illustrations: what the source says, what we drew, and the numbers that it prints beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stages.lib.judging.units import with_minus
from stages.lib.report.illustrations.illustrated import Illustrated, file_of
from stages.lib.report.illustrations.printed import compare_printed, printed_decimals
from stages.lib.study.settings import Study


@dataclass(frozen=True)
class PrintedNumbers:
    """numbers: the printed one, ours with as many decimals, and whether they agree."""

    key: str
    numbers: list[tuple[str, str, bool]]

    @property
    def agreeing(self) -> int:
        return sum(agrees for *_, agrees in self.numbers)


@dataclass(frozen=True)
class IllustrationCard:
    """says: what the source does."""

    name: str
    file: str
    says: str
    drawn: Illustrated
    printed: list[PrintedNumbers]


def illustration_cards(study: Study, illustrated: Mapping[str, Illustrated]) -> list[IllustrationCard]:
    """In the order of params.yaml."""
    table = compare_printed(study, illustrated)
    cards = []
    for name, each in illustrated.items():
        settings = study.illustrations[name]
        printed = []
        for key, reported in settings.reported.items():
            rows = table[(table["name"] == name) & (table["key"] == key)]
            digits = printed_decimals(reported)
            theirs, ours = ([with_minus(f"{value:,.{digits}f}") for value in rows[who]] for who in ("reported", "measured"))
            printed.append(PrintedNumbers(key, list(zip(theirs, ours, rows["agrees"], strict=True))))
        cards.append(IllustrationCard(name, file_of(name, each), settings.says, each, printed))
    return cards
