"""Rows of the review's tables. They are sorted by name and not by size, so that a later review differs where results do."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.lib.judging.claims import judge_claims
from stages.lib.judging.planned import NO_END
from stages.lib.judging.units import WORDS
from stages.lib.markdown import code, escape
from stages.lib.review.changes import Change
from stages.lib.review.differences import effect_changes, is_prose, listed, parameter_changes, verdict_changes
from stages.lib.review.pairs import Pair, gained, lost
from stages.lib.review.sides import FIGURES, Side
from stages.lib.study.metrics import finite, round_or_word
from stages.lib.study.strict_yaml import flattened

DECISIVE = ("compare", "variant", "metric", "expect", "threshold", "margin")
"""The keys of a claim that can change its verdict although no replicate changed."""
ALTERED = ("says", *DECISIVE, "exploratory")
"""The keys of a claim that say what is claimed."""

Row = Sequence[str]
Values = Mapping[str, tuple[Any, Any]]
"""Key -> its value before and after."""
Links = Callable[[bool, Path], str]
"""What the cell of a figure shows: (whether of the head, path) -> Markdown."""


def value_cell(value: Any) -> str:
    return "" if value is None else code(value if isinstance(value, str) else json.dumps(value))


def figure(value: object, digits: int = 3) -> str:
    """A number, or what readers see for the word that stands for one."""
    number = finite(value)
    return WORDS.get(str(value), escape(str(value))) if math.isnan(number) else f"{number:.{digits}g}"


def now_and_then(name: str, old: str) -> str:
    return code(name) if name == old else f"{code(name)} (was {code(old)})"


def effect_cell(side: Side, claim: str) -> str:
    """A claim's effect with its interval."""
    row = side.outcome.verdicts.get(claim)
    if row is None:
        return ""
    interval = "no interval" if row["low"] == NO_END else f"{figure(row['low'])} to {figure(row['high'])}"
    return f"{figure(row['effect'])} ({interval})"


def verdict_cell(side: Side, claim: str) -> str:
    row = side.outcome.verdicts.get(claim)
    if row is None:
        return "not judged"
    after = f" after {escape(row['decided_after'])} replicates" if row.get("decided_after") else ""
    return f"{escape(row['verdict'])}{after}{' (close)' if row['close'] == 'True' else ''}"


def verdict_rows(pairs: Iterable[Pair]) -> Iterator[Row]:
    """Claims that were judged on both sides, and differently."""
    for pair in pairs:
        changed = parameter_changes(pair)
        for name, old in verdict_changes(pair):
            moved = [key for key in DECISIVE if f"{pair.head.claims_section}.{name}.{key}" in changed]
            claim = now_and_then(name, old) + (f"; its {listed(moved)} changed" if moved else "")
            verdicts = [verdict_cell(pair.base, old), f"**{verdict_cell(pair.head, name)}**"]
            yield [pair.name, claim, *verdicts, effect_cell(pair.base, old), effect_cell(pair.head, name)]


def altered_rows(pairs: Iterable[Pair]) -> Iterator[Row]:
    """Claims that had a verdict before they were altered: what one says after its results was not said in advance."""
    for pair in pairs:
        changed = parameter_changes(pair)
        for name, old in pair.claims.items():
            keys = [key for key in ALTERED if f"{pair.head.claims_section}.{name}.{key}" in changed]
            if keys and pair.base.verdict(old):
                values = (changed[f"{pair.head.claims_section}.{name}.{key}"] for key in keys)
                moves = [f"{key}: {value_cell(was)} → {value_cell(now)}" for key, (was, now) in zip(keys, values, strict=True)]
                verdicts = [verdict_cell(pair.base, old), verdict_as_before(pair, old), verdict_cell(pair.head, name)]
                yield [pair.name, now_and_then(name, old), "; ".join(moves), *verdicts]


def verdict_as_before(pair: Pair, old: str) -> str:
    """The verdict of a claim of the base, as it stood there, by the replicates of the head."""
    study, claim = pair.head.study, pair.base.outcome.claims.get(old)
    now = {was: name for name, was in pair.names.items()}
    if study is None or claim is None or pair.head.of_search:
        return "not judged"
    names = [now.get(each, "") for each in claim.variants]
    if not all(pair.head.outcome.values(name, claim.metric) for name in names):
        return "not judged"
    renamed = {"compare": tuple(names)} if claim.compare else {"variant": names[0]}
    as_before = study.model_copy(update={"claims": {old: claim.model_copy(update=renamed)}})
    replicates = pair.head.outcome.replicates.rename(columns={"name": "variant"})
    return escape(str(judge_claims(as_before, replicates, [old]).iloc[0]["verdict"]))


def effect_rows(pairs: Iterable[Pair]) -> Iterator[Row]:
    for pair in pairs:
        for name, old in effect_changes(pair):
            claim = [now_and_then(name, old), verdict_cell(pair.head, name)]
            yield [pair.name, *claim, effect_cell(pair.base, old), effect_cell(pair.head, name)]


def change_row(study: str, change: Change) -> Row:
    if change.by_rank:
        difference = f"by rank: {'they overlap' if not change.apart else 'all higher' if change.rose else 'all lower'}"
    elif change.judged.low < change.judged.high:
        difference = f"{figure(change.judged.effect)} ({figure(change.judged.low)} to {figure(change.judged.high)})"
    else:
        difference = f"{figure(change.judged.effect)} (no interval)"
    means = [figure(round_or_word(change.metric, mean), 5) for mean in change.means]
    sizes = dict.fromkeys((len(change.before), len(change.after)))
    seeds = " → ".join(map(str, sizes))
    return [study, now_and_then(change.name, change.old), code(change.metric), *means, difference, change.mark, seeds]


def came_and_went(
    base: Iterable[str], head: Iterable[str], shared: Mapping[str, str], pair: Pair
) -> Iterator[tuple[str, Side, str]]:
    """What became of variants, strategies or claims: in words, the side that has it, and its name there."""
    yield from (("added", pair.head, name) for name in gained(head, shared))
    yield from (("removed", pair.base, name) for name in lost(base, shared))
    yield from ((f"renamed from {code(old)}", pair.head, name) for name, old in shared.items() if name != old)


def variant_rows(pairs: Iterable[Pair]) -> Iterator[Row]:
    """Variants or strategies that came, went or were renamed, with what they change and what was measured."""
    for pair in pairs:
        for change, side, name in came_and_went(pair.base.names, pair.head.names, pair.names, pair):
            own = side.settings_below(side.section, name).items()
            kept = {key: value for key, value in own if key.split(".")[0] not in ("tip", "reported", "ours")}
            texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in kept.items()}
            settings = code(", ".join(f"{key}: {text}" for key, text in texts.items()))
            measured = [f"{code(metric)} {figure(value, 5)}" for metric, value in side.headlines(name).items()]
            yield [pair.name, change, code(name), settings, ", ".join(measured) or "not measured"]


def claim_rows(pairs: Iterable[Pair]) -> Iterator[Row]:
    """Claims that came, went or were renamed, or that one side alone judged."""
    for pair in pairs:
        found = list(came_and_went(pair.base.claims, pair.head.claims, pair.claims, pair))
        for name, old in pair.claims.items():
            before, after = pair.base.verdict(old), pair.head.verdict(name)
            if name == old and (before is None) != (after is None):
                found.append(("judged for the first time", pair.head, name) if after else ("no longer judged", pair.base, name))
        for change, side, name in found:
            says = escape(str(side.settings.get(f"{side.claims_section}.{name}.says", "")))
            yield [pair.name, change, code(name), verdict_cell(side, name), effect_cell(side, name), says]


def winner_rows(searches: Iterable[Pair]) -> Iterator[Row]:
    """What differs in the best trial of a search: what found it, its scores, and its settings by the name of the range."""
    for pair in searches:
        before, after = (dict(flattened(side.metrics.get("winner", {}))) for side in (pair.base, pair.head))
        for key in {**before, **after}:
            if before.get(key) != after.get(key):
                yield [pair.name, code(key), value_cell(before.get(key)), value_cell(after.get(key))]


def parameter_rows(pairs: Iterable[Pair], other: Mapping[str, Values]) -> Iterator[Row]:
    for pair in pairs:
        if pair.complete:
            changed = [item for part in pair.parts for item in parameter_changes(part).items()]
            for key, values in sorted(changed, key=lambda item: is_prose(item[0])):
                yield [pair.name, code(key), *map(value_cell, values)]
    for path, keys in sorted(other.items()):
        for key, values in sorted(keys.items()):
            yield [escape(path), code(key), *map(value_cell, values)]


def figure_rows(pairs: Iterable[Pair], links: Links) -> Iterator[Row]:
    for pair in pairs:
        before, after = pair.base.figures, pair.head.figures
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                was = links(False, pair.base.folder / FIGURES / name) if name in before else "none"
                now = links(True, pair.head.folder / FIGURES / name) if name in after else "none"
                yield [pair.name, code(name), was, now]
