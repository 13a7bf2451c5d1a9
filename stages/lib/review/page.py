"""The review as Markdown, short enough for a comment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.lib.judging.verdicts import FEWEST
from stages.lib.markdown import table
from stages.lib.review.changes import BEYOND, FEWEST_APART, UNDECIDED, WITHIN
from stages.lib.review.differences import notes_of, verdict_changes
from stages.lib.review.pairs import Pair
from stages.lib.review.rows import (
    Links,
    Row,
    Values,
    altered_rows,
    change_row,
    claim_rows,
    effect_rows,
    figure_rows,
    parameter_rows,
    variant_rows,
    verdict_rows,
    winner_rows,
)
from stages.lib.study.places import STARTER, target_of
from stages.lib.templates import render

LIMIT = 60_000
"""Characters; GitHub's comments hold 65,536."""
CAPS = (1000, 300, 100, 50, 20, 10, 5, 2, 0)
"""Rows that a table may keep. They are tried in turn until the text is short enough."""
OPEN = 15
"""Longer tables are folded."""


@dataclass(frozen=True)
class Table:
    """Part of the review; one without rows is left out. `folded`: whether it is folded although it is short."""

    title: str
    text: str
    header: str
    rows: Sequence[Row]
    what: str = "rows"
    folded: bool = False


def counted(count: int, what: tuple[str, str]) -> str:
    return f"{count or 'no'} {what[0] if count == 1 else what[1]}"


def chance(pairs: Iterable[Pair]) -> str:
    """How many of the changes would be beyond noise by chance.

    Where seeds were only added or taken away, both sides share replicates, and no such number can be given.
    """
    changes, independent = 0, []
    for pair in pairs:
        trained = {change.name for change in pair.compared if not change.continued}
        changes += len(pair.changes)
        independent += [change for change in pair.changes if change.name in trained]
    expected = sum(1 - change.confidence for change in independent)
    some = "them" if len(independent) == changes else f"{len(independent)} of them"
    sentences = [f"If all of it were noise, {expected:.2g} of {some} would be {BEYOND} by chance."] if independent else []
    if len(independent) < changes:
        start = "Of the others, seeds" if independent else "Seeds"
        sentences.append(f"{start} were only added or taken away, so both sides share replicates, and no such number is known.")
    return " ".join(sentences)


def change_tables(title: str, text: str, what: tuple[str, str], header: str, pairs: Sequence[Pair]) -> list[Table]:
    """What was measured on both sides, and differs. What is within noise comes last, and is folded."""
    changes = [(pair.name, change) for pair in pairs for change in pair.changes]
    levels = " or ".join(f"{level * 100:g} %" for level in sorted({pair.confidence for pair in pairs}))
    explained = (
        f"{text}The difference is the head's mean over seeds minus the base's, with its {levels} interval. It is {BEYOND} "
        f"if the interval leaves zero out. A metric that diverged, or whose replicates agree, has none: all replicates of one "
        f"side must then lie above all of the other, with {FEWEST_APART} or more on each. Fewer than {FEWEST} leave it "
        f"{UNDECIDED}. "
        f"{counted(len(changes), what).capitalize()} changed. {chance(pairs)}"
    )
    first = [change_row(study, change) for study, change in changes if change.mark != WITHIN]
    rest = [change_row(study, change) for study, change in changes if change.mark == WITHIN]
    heading = ("", "") if first else (title, explained)
    return [
        Table(title, explained, header, first, f"{what[1]} not {WITHIN}"),
        Table(*heading, header, rest, f"{what[1]} {WITHIN}", folded=True),
    ]


def tables_of(pairs: Sequence[Pair], other: Mapping[str, Values], links: Links) -> list[Table]:
    parts = [part for pair in pairs for part in pair.parts]
    searches = [pair.search for pair in pairs if pair.search]
    measured = "metric | before | after | difference (interval) | mark | seeds"
    effects = "effect before | effect after"
    same = "Claims with the same verdict and another effect."
    said_before = "A claim that is altered after its verdict was not said in advance of these results."
    altered = "what changed | verdict before | as it stood before, by the new results | verdict now"
    scores = "Of the best trial that each search finds: its score, and its value on the test rows. "
    winners = "The best of all trials. It is a single trial, so the scores above tell its noise."
    return [
        Table("Verdicts changed", "", f"study | claim | before | after | {effects}", [*verdict_rows(parts)]),
        Table("Claims altered after their results", said_before, f"study | claim | {altered}", [*altered_rows(parts)]),
        *change_tables("Metrics changed", "", ("metric", "metrics"), f"study | variant | {measured}", pairs),
        Table("Effects changed", same, f"study | claim | verdict | {effects}", [*effect_rows(parts)], folded=True),
        *change_tables("Searches: scores changed", scores, ("score", "scores"), f"study | strategy | {measured}", searches),
        Table("Searches: winners", winners, "study | winner | before | after", [*winner_rows(searches)]),
        Table("Searches: strategies", "", "study | change | strategy | settings | measured", [*variant_rows(searches)]),
        Table("Variants", "", "study | change | variant | settings | measured", [*variant_rows(pairs)]),
        Table("Claims", "", "study | change | claim | verdict | effect | says", [*claim_rows(parts)]),
        Table("Parameters changed", "", "study | parameter | before | after", [*parameter_rows(pairs, other)]),
        Table("Figures changed", "", "study | figure | before | after", [*figure_rows(pairs, links)], folded=True),
    ]


def headline(pairs: Sequence[Pair]) -> str:
    """What changed, in a sentence. Scores of searches are counted if one of them changed."""
    metrics = [change for pair in pairs for change in pair.compared]
    scores = [change for pair in pairs if pair.search for change in pair.search.compared]
    groups = [(metrics, ("metric", "metrics"))] if metrics else []
    if any(change.changed for change in scores):
        groups.append((scores, ("score of searches", "scores of searches")))
    marks = [[change.mark for change in compared if change.changed] for compared, _ in groups]
    sizes = [f"{of.count(BEYOND)} of {counted(len(each), what)}" for of, (each, what) in zip(marks, groups, strict=True)]
    undecided = sum(of.count(UNDECIDED) for of in marks)
    verdicts = sum(len(verdict_changes(part)) for pair in pairs for part in pair.parts)
    changed = f"{' and '.join(sizes)} beyond noise" if groups else "no metrics to compare"
    text = f"{counted(verdicts, ('verdict', 'verdicts'))} changed, {changed}{f', {undecided} undecided' if undecided else ''}"
    return text.capitalize()


def commands(pairs: Iterable[Pair], base: str, commit: str) -> list[str]:
    """What to type: what trains nothing comes first."""
    lines = [
        f"python -m stages.tools review {base}",
        f"dvc metrics diff {commit[:10]} --all --no-path",
        f"dvc params diff {commit[:10]}",
        "python -m stages.tools lock    # do the committed results belong to the committed parameters?",
    ]
    for pair in pairs:
        if pair.head.exists and pair.differs:
            target = "" if pair.head.folder == STARTER else f" {target_of(pair.head.folder, 'plot')}"
            lines.append(f"dvc repro{target}    # {pair.name}: train what changed, judge it, draw it")
    return lines


def markdown(
    pairs: Sequence[Pair], base: str, commit: str, about: Sequence[str], other: Mapping[str, Values], links: Links
) -> str:
    """The whole review, in at most LIMIT characters.

    base, commit: the revision as it was named, and its hash.
    about: sentences on what is compared with what.
    other: changed keys of other parameter files, before and after.
    """
    content = {
        "title": headline(pairs),
        "notes": [*about, *(note for pair in pairs for part in pair.parts for note in notes_of(part))],
        "tables": [each for each in tables_of(pairs, other, links) if each.rows],
        "commands": commands(pairs, base, commit),
    }
    for most in CAPS:
        text = render(
            Path(__file__).with_name("review.md.j2"),
            **content,
            most=most,
            shortened=most < CAPS[0],
            limit=f"{LIMIT:,}",
            longest_open=OPEN,
            markdown_table=table,
        )
        if len(text) <= LIMIT:
            break
    return text
