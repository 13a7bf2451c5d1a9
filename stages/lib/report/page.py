"""The report of a study: one page that needs no other file."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stages.lib.judging.reported import STANDINGS
from stages.lib.judging.verdicts import FEWEST, FEWEST_RANKED
from stages.lib.report.commands import command_of
from stages.lib.report.document import MARKS, document
from stages.lib.report.illustrations.illustrated import Illustrated
from stages.lib.report.results import Results
from stages.lib.report.sections.claims import JudgedClaim, claim_cards
from stages.lib.report.sections.run import fingerprint, illustration_cards, mean_durations, versions
from stages.lib.report.sections.search import SearchSection
from stages.lib.report.sections.variants import (
    curve_pictures,
    curve_values,
    gradient_rows,
    gradient_sentence,
    other_losses,
    reported_rows,
    strips_of,
    variant_cards,
)
from stages.lib.study.metrics import metric_of
from stages.lib.study.settings import Study

MIME = {".svg": "image/svg+xml", ".png": "image/png"}


@dataclass(frozen=True)
class Verdicts:
    """How many claims ended in which verdict, of those about variants, about time and about strategies.

    expected_false: how many of them luck makes false, on average and at most.
    """

    counts: dict[str, int]
    total: int
    expected_false: float


def verdicts_of(judged: Iterable[JudgedClaim], confidence: float) -> Verdicts:
    counts = Counter(each.verdict for each in judged)
    return Verdicts(
        {verdict: counts[verdict] for verdict in MARKS}, counts.total(), round(counts.total() * (1 - confidence), 4)
    )


def metric_meanings(names: Iterable[str]) -> dict[str, str]:
    """Metric -> what it is, by name."""
    return {name: metric_of(name).meaning for name in sorted(set(names))}


def named_metrics(study: Study) -> list[str]:
    """The metrics of the claims, of the reported numbers and of the search."""
    claimed = [claim.metric for claim in study.claims.values()]
    printed = [metric for each in study.variants.values() for metric in each.reported]
    return claimed + printed + ([study.search.metric, study.search.judged_by] if study.search else [])


def embedded(name: str, content: bytes) -> str:
    """A picture as a data URI."""
    return f"data:{MIME[Path(name).suffix]};base64,{base64.b64encode(content).decode()}"


def page(
    results: Results,
    pictures: Mapping[str, bytes],
    illustrated: Mapping[str, Illustrated],
    search: SearchSection | None = None,
    same_test: bool = False,
) -> str:
    """The page as HTML.

    pictures: file name -> content, of every figure.
    illustrated: name -> illustration. Its figure is among the pictures.
    same_test: whether the validation rows are the test rows.
    """
    study = results.study
    claims, timed = (claim_cards(results, table) for table in (results.claims, results.timed))
    judged = [card.judged for card in (*claims, *timed)]
    reported, gradients = reported_rows(results), gradient_rows(results)
    axis, strips = strips_of(results)
    return document(
        "report.html.j2",
        study=study,
        facts=results.facts,
        task=results.task,
        metric=results.headline,
        same_test=same_test,
        limits=study.limits.model_dump(exclude_none=True),
        marks=MARKS,
        verdicts=verdicts_of([*judged, *(search.claims if search else ())], study.statistics.confidence),
        claims=claims,
        claim_counts=Counter(card.judged.verdict for card in claims),
        timed=timed,
        variants=variant_cards(results, {each.name: each.verdict for each in judged}, strips),
        axis=axis,
        show=command_of("stages.tools show", results.folder),
        other_losses=other_losses(study) if results.task == "regression" else [],
        validated=[name for name in study.variants if study.has_validation(name)],
        curves=curve_pictures(results.curves, results.parents),
        longest=int(results.curves["epoch"].max()),
        values=curve_values(results.curves),
        reported=reported,
        standings={name: sum(row.standing == name for row in reported) for name in STANDINGS},
        search=search,
        gradients=gradients,
        gradient_sentence=gradient_sentence(gradients),
        illustrations=illustration_cards(study, illustrated),
        pictures={name: embedded(name, content) for name, content in pictures.items()},
        durations=mean_durations(results.durations),
        timings=results.timings,
        versions=versions(),
        fingerprint=fingerprint(results.timings["environment"]),
        meanings=metric_meanings([*named_metrics(study), results.headline]),
        fewest=FEWEST,
        fewest_ranked=FEWEST_RANKED,
    )
