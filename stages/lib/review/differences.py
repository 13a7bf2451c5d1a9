"""What differs between the two sides of a study besides its metrics: settings, verdicts, and notes for the reviewer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from stages.lib.cli import first_of
from stages.lib.markdown import code
from stages.lib.review.pairs import Pair, gained, lost
from stages.lib.review.sides import Side

PROSE = ("title", "source", "errata", "notes", "illustrations")


def is_prose(key: str) -> bool:
    section, *rest = key.removeprefix("search.").split(".")
    return section in PROSE or (section in ("variants", "claims") and rest[1:] in (["tip"], ["says"]))


def with_new_names(pair: Pair) -> Iterator[tuple[str, Any]]:
    """The settings of the base, with variants, strategies and claims under their names in the head."""
    base = pair.base
    names = {old: new for new, old in pair.names.items()}
    sections = {base.section: names, base.claims_section: {old: new for new, old in pair.claims.items()}}
    for key, value in base.settings.items():
        section = next((section for section in sections if key.startswith(f"{section}.")), None)
        if section is None:
            yield key, value
            continue
        name, _, rest = key.removeprefix(f"{section}.").partition(".")
        if rest in ("extends", "variant"):
            value = names.get(value, value)
        elif rest == "compare" and isinstance(value, list):
            value = [names.get(each, each) for each in value]
        yield f"{section}.{sections[section].get(name, name)}.{rest}", value


def parameter_changes(pair: Pair) -> dict[str, tuple[Any, Any]]:
    """Key -> before and after, prose last. What was added or removed as a whole has rows of its own, and is left out."""
    base, head = pair.base, pair.head
    before, after = dict(with_new_names(pair)), head.settings
    whole = [f"{base.section}.{name}." for name in lost(base.names, pair.names) + gained(head.names, pair.names)]
    whole += [f"{base.claims_section}.{name}." for name in lost(base.claims, pair.claims) + gained(head.claims, pair.claims)]
    keys = [key for key in {**before, **after} if not key.startswith(tuple(whole)) and before.get(key) != after.get(key)]
    return {key: (before.get(key), after.get(key)) for key in sorted(keys, key=lambda key: (is_prose(key), key))}


def unmoved(pair: Pair) -> list[str]:
    """Variants or strategies whose recipe or rows changed, and whose replicates did not."""
    before, after = pair.base.study, pair.head.study
    if not (before and after):
        return []
    moved = {change.name for change in pair.changes}
    rows_changed = (before.data, before.limits.rows) != (after.data, after.limits.rows)
    return [
        name
        for name, old in pair.names.items()
        if (rows_changed or pair.base.recipes.get(old) != pair.head.recipes.get(name))
        and name not in moved
        and pair.base.outcome.has_replicates(old)
        and pair.head.outcome.has_replicates(name)
    ]


def judged_on_both(pair: Pair) -> Iterator[tuple[str, str]]:
    """The claims with a verdict on both sides: name in the head, name in the base."""
    return (each for each in pair.claims.items() if pair.head.verdict(each[0]) and pair.base.verdict(each[1]))


def verdict_changes(pair: Pair) -> list[tuple[str, str]]:
    return [(name, old) for name, old in judged_on_both(pair) if pair.head.verdict(name) != pair.base.verdict(old)]


def effect_changes(pair: Pair) -> list[tuple[str, str]]:
    """The claims with the same verdict on both sides, and another effect."""
    before, after = pair.base.outcome.verdicts, pair.head.outcome.verdicts
    same = [each for each in judged_on_both(pair) if each not in verdict_changes(pair)]
    return [(name, old) for name, old in same if after[name]["effect"] != before[old]["effect"]]


# Notes


def listed(names: Iterable[str], most: int = 8) -> str:
    return first_of([code(name) for name in names], most)


def notes_of(pair: Pair) -> list[str]:
    """Sentences about a study that come before its numbers."""
    base, head = pair.base, pair.head
    if not base.exists:
        return [came_or_went(head, "added")]
    if not head.exists:
        return [came_or_went(base, "removed")]
    notes = []
    if base.folder != head.folder and not head.of_search:
        notes.append(f"Study {code(head.folder.as_posix())} was {code(base.folder.as_posix())}.")
    return notes + list(notes_on_metrics(pair))


def came_or_went(side: Side, what: str) -> str:
    kind, members = ("", "strategies") if side.of_search else ("Study ", "variants")
    sizes = f"{len(side.names)} {members}, {len(side.claims)} claims{'' if side.metrics else ', no metrics'}"
    return f"{kind}{code(side.name)} was {what}: {sizes}."


def notes_on_metrics(pair: Pair) -> Iterator[str]:
    base, head, name = pair.base, pair.head, code(pair.name)
    before, after = (len(side.outcome.replicates) > 0 for side in (base, head))
    if not after:
        if before:
            yield f"{name} has no metrics any more."
        return
    if not before:
        yield f"{name} has metrics for the first time, so there is nothing to compare them with."
        return
    if missing := [each for each in head.names if not head.outcome.has_replicates(each)]:
        yield f"{name}: not trained yet: {listed(missing)}; `dvc repro` trains them."
    for by_head, what in ((False, "no longer measured"), (True, "measured for the first time")):
        if metrics := measured_on_one(pair, by_head):
            yield f"{name}: {what}: {listed(metrics)}."
    if stale := unmoved(pair):
        yield (
            f"{name}: the recipe changed, but no result did: {listed(stale)}. "
            "Either `dvc repro` has not run, or the knob has no effect here."
        )


def measured_on_one(pair: Pair, by_head: bool) -> list[str]:
    """The metrics that one side alone measured, of a variant or strategy that both sides trained."""
    found = set()
    for name, old in pair.names.items():
        if not (pair.base.outcome.has_replicates(old) and pair.head.outcome.has_replicates(name)):
            continue
        for metric in pair.metrics:
            before, after = pair.base.outcome.values(old, metric), pair.head.outcome.values(name, metric)
            if (before is None, after is None) == (by_head, not by_head):
                found.add(metric)
    return sorted(found)
