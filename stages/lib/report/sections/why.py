"""Why a result is as it is: what else was measured of a variant and of the one that it is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from stages.lib.report.evidence import sentences, table_of
from stages.lib.report.results import Results


@dataclass(frozen=True)
class Why:
    """The numbers of one variant or two.

    names: the columns; rows: label and a number for each column.
    notes: those of params.yaml that are about the claim or the variant.
    """

    names: list[str]
    rows: list[tuple[str, list[str]]]
    sentences: list[str]
    notes: list[str]


def why(results: Results, subject: str, variant: str, other: str | None) -> Why:
    """subject: the claim or the variant that notes may be about; other: what the variant is compared with."""
    own, others = results.evidence[variant], results.evidence[other] if other else None
    said = sentences(other, others) if other and others else []
    return Why(
        names=[*([other] if other else []), variant],
        rows=table_of(*([others] if others else []), own),
        sentences=[*said, *sentences(variant, own, other or "", others)],
        notes=[note.says for note in results.study.notes if subject in note.about],
    )
