"""The review of a change: two sides of every study in, Markdown for a comment out.

Rows are sorted by name and never by size, so that the review of a later push differs only where the results do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from stages.lib.judging.verdicts import FEWEST, FEWEST_RANKED, Judgement, judge
from stages.lib.study import space
from stages.lib.study.metrics import is_share, rank_value, round_or_word
from stages.lib.study.settings import Claim, Recipe, Study, resolve

LIMIT = 60_000
"""Characters; GitHub's comments hold 65,536."""
CAPS = (1000, 300, 100, 50, 20, 10, 5, 2, 0)
"""Rows that a table may keep, tried in turn until the text is short enough."""
OPEN = 15
"""Rows above which a table is folded."""
BEYOND, WITHIN, UNDECIDED = "beyond noise", "within noise", "undecided"
WORDS = ("never", "diverged")
PROSE = ("title", "source", "errata", "notes", "illustrations")
DECISIVE = ("compare", "variant", "metric", "expect", "threshold", "margin", "seeds")
"""The keys of a claim that can change its verdict while every replicate stays."""


@dataclass(frozen=True)
class Side:
    """A study, or its search, before or after the change.

    A search is told like a study: its variants are the strategies, a replicate is the winner that one seed finds, and its
    parameters are named as below `search:`, with `variants` for `strategies`.

    params, metrics: as `dvc params diff` and `dvc metrics diff` name them: `train.epochs`, `claims.NAME.verdict`.
    study: None where the settings cannot be read.
    replicates: metrics/replicates.csv, or None.
    measured: the variants and metrics of summary.csv, which tells a metric that diverged from one that a variant has not.
    claims: the rows of claims.csv, by claim.
    figures: file name -> Git's hash.
    search: the study's search, or None.
    """

    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    study: Study | None = None
    replicates: pd.DataFrame | None = None
    measured: frozenset[tuple[str, str]] | None = None
    claims: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)
    exists: bool = True
    search: Side | None = None
    of_search: bool = False

    @property
    def name(self) -> str:
        name = "starter" if self.path == "." else self.path.rpartition("/")[2]
        return f"{name}, search" if self.of_search else name

    @property
    def recipes(self) -> Mapping[str, object]:
        """What decides the replicates of each variant; none where the settings cannot be read."""
        if self.study is None:
            return {}
        return tried(self.study) if self.of_search else self.study.recipes

    @property
    def said(self) -> Mapping[str, Claim]:
        section = self.study.search if self.study and self.of_search else self.study
        return section.claims if section else {}

    def names(self, section: str) -> list[str]:
        return sorted({key.split(".")[1] for key in self.params if key.startswith(f"{section}.")})

    def values(self, variant: str, metric: str) -> list[float] | None:
        """The metric of each replicate, by seed, with what is not finite on the bad side; None where it was not measured."""
        rows = self._groups.get(variant)
        if rows is None or metric not in rows:
            return None
        column = rows[metric]
        known = not column.isna().all() if self.measured is None else (variant, metric) in self.measured
        return [rank_value(metric, value) for value in column] if known else None

    def has_replicates(self, variant: str) -> bool:
        return variant in self._groups

    @cached_property
    def _groups(self) -> dict[str, pd.DataFrame]:
        if self.replicates is None:
            return {}
        return {str(variant): rows.sort_values("seed") for variant, rows in self.replicates.groupby("variant")}


@dataclass(frozen=True)
class Pair:
    """A study, or a search, on both sides; `variants` and `claims` are what both have: name in the head -> name in the base.

    search: the study's search, where either side has one.
    """

    base: Side
    head: Side
    variants: Mapping[str, str]
    claims: Mapping[str, str]
    search: Pair | None = None

    @property
    def name(self) -> str:
        return self.head.name if self.head.exists else self.base.name

    @property
    def parts(self) -> list[Pair]:
        return [self, self.search] if self.search else [self]

    @property
    def complete(self) -> bool:
        return self.base.exists and self.head.exists

    def shared(self, section: str) -> Mapping[str, str]:
        return self.variants if section == "variants" else self.claims

    def lost(self, section: str) -> list[str]:
        return [name for name in self.base.names(section) if name not in self.shared(section).values()]

    def gained(self, section: str) -> list[str]:
        return [name for name in self.head.names(section) if name not in self.shared(section)]

    @property
    def confidence(self) -> float:
        study = self.head.study or self.base.study
        return study.statistics.confidence if study else 0.99

    @cached_property
    def compared(self) -> list[Change]:
        """Every metric that was measured on both sides."""
        found = []
        for variant, old, metric in measures(self):
            before, after = self.base.values(old, metric), self.head.values(variant, metric)
            if before and after:
                found.append(Change(self.name, variant, old, metric, before, after, self.confidence))
        return found

    @cached_property
    def changes(self) -> list[Change]:
        return [each for each in self.compared if each.changed]


@dataclass(frozen=True)
class Change:
    """A metric of one variant (`old` is its name in the base), replicate by replicate."""

    study: str
    variant: str
    old: str
    metric: str
    before: Sequence[float]
    after: Sequence[float]
    confidence: float

    @cached_property
    def judgement(self) -> Judgement:
        return judge([self.before, self.after], "higher", 0.0, None, self.confidence, is_share(self.metric))

    @property
    def changed(self) -> bool:
        """Whether any value did: one and the same constant did not, whatever the number of seeds."""
        return self.before != self.after and len({*self.before, *self.after}) > 1

    @property
    def continued(self) -> bool:
        """Whether one side's values begin as all of the other's."""
        return all(before == after for before, after in zip(self.before, self.after, strict=False))

    @property
    def by_rank(self) -> bool:
        return bool(np.isnan(self.judgement.low))

    @property
    def apart(self) -> bool:
        return min(self.after) > max(self.before) or max(self.after) < min(self.before)

    @property
    def mark(self) -> str:
        """Whether the interval of the difference leaves zero out, or else, without an interval, the groups lie apart."""
        fewest = min(len(self.before), len(self.after))
        if fewest < FEWEST or (self.by_rank and self.apart and fewest < FEWEST_RANKED):
            return UNDECIDED
        return BEYOND if self.judgement.verdict in ("supported", "refuted") else WITHIN

    @property
    def row(self) -> list[str]:
        if self.by_rank:
            where = "higher" if self.apart and min(self.after) > max(self.before) else "lower"
            difference = f"by rank: {f'all {where}' if self.apart else 'they overlap'}"
        else:
            low, high = figure(self.judgement.low), figure(self.judgement.high)
            difference = f"{figure(self.judgement.effect)} ({low} to {high})"
        sizes = sorted({len(self.before), len(self.after)}, reverse=len(self.before) > len(self.after))
        means = [self.mean(self.before), self.mean(self.after)]
        replicates = " → ".join(map(str, sizes))
        return [self.study, now_and_then(self.variant, self.old), code(self.metric), *means, difference, self.mark, replicates]

    def mean(self, values: Sequence[float]) -> str:
        return figure(round_or_word(self.metric, float(np.mean(values))), 5)


@dataclass(frozen=True)
class Table:
    """Part of the review; without rows it is left out.

    what: of what there are rows, one and many.
    """

    title: str
    text: str
    what: tuple[str, str]
    columns: str
    rows: Sequence[Sequence[str]]
    folded: bool = False


@dataclass(frozen=True)
class Review:
    """What there is to say about the two revisions beside the studies.

    base, commit: the revision as it was named, and its hash.
    about: sentences on what is compared with what.
    other: changed keys of other parameter files, before and after.
    links: what a figure's cell shows: whether of the head, the path.
    """

    base: str
    commit: str
    about: Sequence[str]
    other: Mapping[str, Mapping[str, tuple[Any, Any]]]
    links: Callable[[bool, str], str]


def cut(text: str, most: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


def code(text: object, most: int = 100) -> str:
    """Text as it is; in code nobody is notified and nothing is rendered."""
    return f"`{cut(str(text), most).replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def plain(text: str, most: int = 160) -> str:
    """Text without Markdown, links or notifications."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", cut(text, most)).replace("<", "&lt;").replace("@", "&#64;")


def value_of(value: Any) -> str:
    return "" if value is None else code(value if isinstance(value, str) else json.dumps(value))


def figure(value: object, digits: int = 3) -> str:
    """A number, or the word that stands for one."""
    try:
        return f"{float(str(value)):.{digits}g}"
    except ValueError:
        return "never reached" if value == "never" else plain(str(value))


def counted(number: int, what: tuple[str, str]) -> str:
    return f"{number or 'no'} {what[0] if number == 1 else what[1]}"


def listed(names: Iterable[str], most: int = 8) -> str:
    known = [code(name) for name in names]
    return ", ".join(known[:most]) + (f" and {len(known) - most} more" if len(known) > most else "")


def matched(
    gone: Iterable[str], come: Iterable[str], keys: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> dict[str, str]:
    """Renames, new name -> old name: a new name is the first old one whose key is equal, by the first keys that are."""
    found: dict[str, str] = {}
    for before, after in keys:
        for new in come:
            left = (old for old in gone if new in after and old in before and old not in found.values())
            if new not in found and (old := next((old for old in left if before[old] == after[new]), None)):
                found[new] = old
    return found


def adopted(study: Study, other: Study) -> dict[str, Recipe]:
    """The recipes of a study's variants under the defaults of another: a rename shows even where a default changed."""
    shared = {name: getattr(other, name) for name in ("data", "model", "train", "replicates", "limits")}
    like = study.model_copy(update={**shared, "views": {**study.views, **other.views}})
    found = {}
    for name in study.variants:
        try:
            found[name] = resolve(like, name)
        except (ValidationError, PydanticCustomError):  # such as momentum, for an optimizer that has none
            continue
    return found


def variant_renames(before: Study, after: Study, gone: Sequence[str], come: Sequence[str]) -> dict[str, str]:
    keys: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for old in (before.recipes, adopted(before, after)):
        tipped = {name: (recipe, before.variants[name].tip) for name, recipe in old.items()}
        keys.append((tipped, {name: (recipe, after.variants[name].tip) for name, recipe in after.recipes.items()}))
        keys.append((old, after.recipes))
    return matched(gone, come, keys)


def tried(study: Study) -> dict[str, object]:
    """Strategy -> what decides which trials win; the values of a grid matter to a grid alone."""
    search = study.search
    if search is None:
        return {}
    own = {"variant", "strategies", "trials", "claims"}
    shared = search.model_dump(exclude={**dict.fromkeys(own, True), "space": {"__all__": {"grid"}}})
    return {
        name: (
            study.recipes[search.variant],
            shared,
            each.method,
            [space.points(values) for values in search.space.values()] if each.method == "grid" else None,
            search.trials_of(name),
        )
        for name, each in search.strategies.items()
    }


def strategy_renames(before: Study, after: Study, gone: Sequence[str], come: Sequence[str]) -> dict[str, str]:
    settings = [study.search.strategies if study.search else {} for study in (before, after)]
    return matched(gone, come, [(tried(before), tried(after)), (settings[0], settings[1])])


def claim_renames(
    before: Mapping[str, Claim],
    after: Mapping[str, Claim],
    gone: Sequence[str],
    come: Sequence[str],
    variants: Mapping[str, str],
) -> dict[str, str]:
    now = {old: new for new, old in variants.items()}

    def judged(claim: Claim, names: Iterable[str]) -> tuple[object, ...]:
        return (*names, claim.metric, claim.expect, claim.threshold, claim.margin, claim.seeds)

    old = {name: judged(claim, (now.get(each, each) for each in claim.variants)) for name, claim in before.items()}
    new = {name: judged(claim, claim.variants) for name, claim in after.items()}
    said = ({name: claim.says for name, claim in claims.items()} for claims in (before, after))
    return matched(gone, come, [(old, new), (next(said), next(said))])


def paired(base: Side, head: Side) -> Pair:
    """The two sides of a study, with its variants and claims matched: by name, and else, where renamed, by what they are."""
    variants, claims = (
        {name: name for name in head.names(section) if name in base.names(section)} for section in ("variants", "claims")
    )
    pair = Pair(base, head, variants, claims)
    if base.study and head.study:
        renames = strategy_renames if head.of_search else variant_renames
        variants |= renames(base.study, head.study, pair.lost("variants"), pair.gained("variants"))
        claims |= claim_renames(base.said, head.said, pair.lost("claims"), pair.gained("claims"), variants)
    if head.of_search and pair.complete:
        variants[space.DEFAULT] = space.DEFAULT
    search = paired_search(base, head, variants) if base.search or head.search else None
    return Pair(base, head, dict(sorted(variants.items())), dict(sorted(claims.items())), search)


def paired_search(base: Side, head: Side, variants: Mapping[str, str]) -> Pair:
    """The search of either side, around a variant that may have been renamed."""
    before, after = (side.search or Side(side.path, exists=False, of_search=True) for side in (base, head))
    now = {old: new for new, old in variants.items()}
    around = {key: now.get(value, value) if key == "variant" else value for key, value in before.params.items()}
    return paired(replace(before, params=around), after)


def now_and_then(name: str, old: str) -> str:
    return code(name) if name == old else f"{code(name)} (was {code(old)})"


def both_sides(pair: Pair) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of both sides, with the base's variants and claims under their new names."""
    before, after = (dict(side.params) for side in (pair.base, pair.head))
    variants = {old: new for new, old in pair.variants.items()}
    names = {"variants": variants, "claims": {old: new for new, old in pair.claims.items()}}

    def renamed(key: str, value: Any) -> tuple[str, Any]:
        section, *rest = key.split(".")
        if section not in names or not rest:
            return key, value
        if rest[-1] in ("extends", "variant") and len(rest) == 2:
            value = variants.get(value, value)
        elif rest[-1] == "compare":  # DVC shows a list as text
            value = re.sub(r"'(\w+)'", lambda found: f"'{variants.get(found[1], found[1])}'", str(value))
        return ".".join([section, names[section].get(rest[0], rest[0]), *rest[1:]]), value

    return dict(renamed(key, value) for key, value in before.items()), after


def parameter_changes(pair: Pair) -> dict[str, tuple[Any, Any]]:
    """Key -> before and after, of what both sides have: not of what was added or removed as a whole; prose comes last."""
    before, after = both_sides(pair)
    whole = {(section, name) for section in ("variants", "claims") for name in pair.lost(section) + pair.gained(section)}
    keys = {key for key in {*before, *after} if tuple(key.split(".")[:2]) not in whole}
    chosen = sorted((key for key in keys if before.get(key) != after.get(key)), key=lambda key: (is_prose(key), key))
    return {key: (before.get(key), after.get(key)) for key in chosen}


def written(key: str) -> str:
    """The key of a search's parameter in params.yaml."""
    return f"search.{re.sub('^variants', 'strategies', key)}"


def is_prose(key: str) -> bool:
    return key.split(".")[0] in PROSE or (
        key.startswith(("variants.", "claims.")) and key.split(".")[2:] in (["tip"], ["says"])
    )


def measures(pair: Pair) -> Iterator[tuple[str, str, str]]:
    """What may have been measured on both sides: variant, its old name, metric."""
    tables = [side.replicates for side in (pair.base, pair.head) if side.replicates is not None]
    metrics = sorted({str(column) for table in tables for column in table} - {"variant", "seed"})
    for variant, old in pair.variants.items():
        for metric in metrics:
            yield variant, old, metric


def effect_of(side: Side, claim: str) -> str:
    """A claim's effect with its interval, which claims.csv has."""
    effect, row = side.metrics.get(f"claims.{claim}.effect"), side.claims.get(claim, {})
    if effect is None:
        return ""
    if "low" not in row or "high" not in row:
        return figure(effect)
    interval = "by rank" if row["low"] in WORDS else f"{figure(row['low'])} to {figure(row['high'])}"
    return f"{figure(effect)} ({interval})"


def verdict_of(side: Side, claim: str) -> str:
    verdict = side.metrics.get(f"claims.{claim}.verdict")
    if verdict is None:
        return "not judged"
    return f"{plain(str(verdict))}{' (close)' if side.claims.get(claim, {}).get('close') == 'True' else ''}"


def verdicts_of(pair: Pair, claim: str) -> tuple[object, object]:
    """A claim's verdict in the base and in the head; None where it was not judged."""
    return pair.base.metrics.get(f"claims.{pair.claims[claim]}.verdict"), pair.head.metrics.get(f"claims.{claim}.verdict")


def verdict_rows(pairs: Iterable[Pair]) -> Iterator[list[str]]:
    """Claims that were judged on both sides, and differently."""
    for pair in pairs:
        changed = parameter_changes(pair)
        for claim, old in pair.claims.items():
            before, after = verdicts_of(pair, claim)
            if before is not None and after is not None and before != after:
                moved = [key for key in DECISIVE if f"claims.{claim}.{key}" in changed]
                name = now_and_then(claim, old) + (f"; its {listed(moved)} changed" if moved else "")
                verdicts = [verdict_of(pair.base, old), f"**{verdict_of(pair.head, claim)}**"]
                yield [pair.name, name, *verdicts, effect_of(pair.base, old), effect_of(pair.head, claim)]


def effect_rows(pairs: Iterable[Pair]) -> Iterator[list[str]]:
    """Claims with the same verdict and another effect."""
    for pair in pairs:
        for claim, old in pair.claims.items():
            before, after = verdicts_of(pair, claim)
            effects = pair.base.metrics.get(f"claims.{old}.effect"), pair.head.metrics.get(f"claims.{claim}.effect")
            if before is not None and before == after and effects[0] != effects[1]:
                shown_as = [now_and_then(claim, old), verdict_of(pair.head, claim)]
                yield [pair.name, *shown_as, effect_of(pair.base, old), effect_of(pair.head, claim)]


def settings_of(side: Side, variant: str) -> str:
    """What a variant changes, as in params.yaml."""
    start = f"variants.{variant}."
    own = {key.removeprefix(start): value for key, value in side.params.items() if key.startswith(start)}
    kept = {key: value for key, value in sorted(own.items()) if key.split(".")[0] not in ("tip", "reported", "ours")}
    return code(", ".join(f"{key}: {value if isinstance(value, str) else json.dumps(value)}" for key, value in kept.items()))


def headline_of(side: Side, variant: str) -> str:
    start = f"variants.{variant}."
    found = {key.removeprefix(start): value for key, value in side.metrics.items() if key.startswith(start)}
    known = [f"{code(name)} {figure(value, 5)}" for name, value in sorted(found.items()) if value is not None]
    return ", ".join(known) or "not measured"


def entries(pair: Pair, section: str) -> Iterator[tuple[str, Side, str]]:
    """What became of variants or claims: in words, the side that has it, and its name there."""
    yield from (("added", pair.head, name) for name in pair.gained(section))
    yield from (("removed", pair.base, name) for name in pair.lost(section))
    for name, old in pair.shared(section).items():
        if name != old:
            yield f"renamed from {code(old)}", pair.head, name


def variant_rows(pairs: Iterable[Pair]) -> Iterator[list[str]]:
    for pair in pairs:
        for change, side, name in entries(pair, "variants"):
            yield [pair.name, change, code(name), settings_of(side, name), headline_of(side, name)]


def winner_of(side: Side, now: Mapping[str, str]) -> dict[str, str]:
    """The best trial of a search, in words: who found it, its scores, and its settings by key.

    now: a strategy's name in the base -> its name in the head.
    """
    found = {key.removeprefix("winner."): value for key, value in side.metrics.items() if key.startswith("winner.")}
    if not found:
        return {}
    strategy, seed, trial, low, high = (found.pop(name, None) for name in ("strategy", "seed", "trial", "low", "high"))
    told = {"found by": f"{code(now.get(str(strategy), strategy))}, seed {seed}, trial {trial}"}
    for name, value in sorted(found.items(), key=lambda each: (each[0].startswith("settings."), each[0])):
        if name.startswith("settings."):
            told[code(side.params.get(f"space.{name.removeprefix('settings.')}.key", name))] = value_of(value)
        else:
            interval = f" ({figure(low)} to {figure(high)})" if low is not None and name == side.params.get("metric") else ""
            told[code(name)] = figure(value, 5) + interval
    return told


def winner_rows(searches: Iterable[Pair]) -> Iterator[list[str]]:
    for pair in searches:
        before = winner_of(pair.base, {old: new for new, old in pair.variants.items()})
        after = winner_of(pair.head, {})
        for what in {**before, **after}:
            if before.get(what) != after.get(what):
                yield [pair.name, what, before.get(what, ""), after.get(what, "")]


def claim_rows(pairs: Iterable[Pair]) -> Iterator[list[str]]:
    for pair in pairs:
        found = list(entries(pair, "claims"))
        for name, old in pair.claims.items():
            before, after = verdicts_of(pair, name)
            if name == old and (before is None) != (after is None):
                found.append(("judged for the first time", pair.head, name) if after else ("no longer judged", pair.base, name))
        for change, side, name in found:
            says = plain(str(side.params.get(f"claims.{name}.says", "")))
            yield [pair.name, change, code(name), verdict_of(side, name), effect_of(side, name), says]


def parameter_rows(pairs: Iterable[Pair], other: Mapping[str, Mapping[str, tuple[Any, Any]]]) -> Iterator[list[str]]:
    for pair in pairs:
        if pair.complete:
            changed = [(part, *each) for part in pair.parts for each in parameter_changes(part).items()]
            for part, key, values in sorted(changed, key=lambda each: (is_prose(each[1]), each[0].head.of_search)):
                yield [pair.name, code(written(key) if part.head.of_search else key), *map(value_of, values)]
    for path, keys in sorted(other.items()):
        for key, values in sorted(keys.items()):
            yield [plain(path), code(key), *map(value_of, values)]


def figure_rows(pairs: Iterable[Pair], links: Callable[[bool, str], str]) -> Iterator[list[str]]:
    for pair in pairs:
        before, after = pair.base.figures, pair.head.figures
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                was = links(False, f"{pair.base.path}/metrics/figures/{name}") if name in before else "none"
                now = links(True, f"{pair.head.path}/metrics/figures/{name}") if name in after else "none"
                yield [pair.name, code(name), was, now]


def notes_of(pair: Pair) -> Iterator[str]:
    """What a reviewer must know of a study before its numbers."""
    base, head = pair.base, pair.head
    if not pair.complete:
        side, what = (head, "added") if head.exists else (base, "removed")
        kind, named = ("", "strategies") if side.of_search else ("Study ", "variants")
        sizes = f"{len(side.names('variants'))} {named}, {len(side.names('claims'))} claims"
        yield f"{kind}{code(pair.name)} was {what}: {sizes}{'' if side.metrics else ', no metrics'}."
        return
    if base.path != head.path and not head.of_search:
        yield f"Study {code(head.path)} was {code(base.path)}."
    if base.replicates is not None and head.replicates is None:
        yield f"{code(pair.name)} has no metrics any more."
    elif base.replicates is None and head.replicates is not None:
        yield f"{code(pair.name)} has metrics for the first time: nothing to compare them with."
    elif head.replicates is not None:
        missing = [name for name in head.names("variants") if not head.has_replicates(name)]
        if missing:
            yield f"{code(pair.name)}: not trained yet: {listed(missing)}; `dvc repro` does it."
        known: list[set[str]] = [set(), set()]
        for variant, old, metric in measures(pair):
            before, after = base.values(old, metric), head.values(variant, metric)
            if (before is None) != (after is None) and base.has_replicates(old) and head.has_replicates(variant):
                known[after is not None].add(metric)
        for names, what in zip(known, ("no longer measured", "measured for the first time"), strict=True):
            if names:
                yield f"{code(pair.name)}: {what}: {listed(sorted(names))}."
        if stale := unmoved(pair):
            yield (
                f"{code(pair.name)}: the recipe changed and no result did, of {listed(stale)}: "
                "either `dvc repro` has not run, or the knob does nothing here."
            )


def unmoved(pair: Pair) -> list[str]:
    """Variants with another recipe, or other rows, and the very same replicates."""
    before, after = pair.base.study, pair.head.study
    if not (before and after):
        return []
    recipes, moved = (pair.base.recipes, pair.head.recipes), {change.variant for change in pair.changes}
    return [
        variant
        for variant, old in pair.variants.items()
        if (recipes[0].get(old), before.data, before.limits.rows) != (recipes[1].get(variant), after.data, after.limits.rows)
        and variant not in moved
        and pair.base.has_replicates(old)
        and pair.head.has_replicates(variant)
    ]


def differs(pair: Pair) -> bool:
    """Whether anything of the study changed that this review shows."""
    if pair.base.path != pair.head.path or not pair.complete:
        return True
    if pair.base.figures != pair.head.figures or pair.base.metrics != pair.head.metrics:
        return True
    if pair.search and differs(pair.search):
        return True
    return pair.base.params != pair.head.params or bool(pair.changes)


def commands(pairs: Iterable[Pair], review: Review) -> list[str]:
    """What to type: what trains nothing first."""
    lines = [
        f"python -m stages.tools.review {review.base}",
        f"dvc metrics diff {review.commit[:10]} --all --no-path",
        f"dvc params diff {review.commit[:10]}",
        "dvc repro --dry --allow-missing -P    # do the committed results belong to the committed parameters?",
    ]
    for pair in pairs:
        if pair.head.exists and differs(pair):
            target = "" if pair.head.path == "." else f" studies/{pair.name}/dvc.yaml:plot"
            lines.append(f"dvc repro{target}    # {pair.name}: train what changed, judge it, draw it")
    return lines


def headline(verdicts: int, compared: Sequence[Change], searched: Sequence[Change]) -> str:
    """What changed, in a sentence; scores of searches are counted where one of them did."""
    groups = [(compared, ("metric", "metrics"))] if compared else []
    groups += [(searched, ("score of searches", "scores of searches"))] if any(each.changed for each in searched) else []
    sizes = " and ".join(
        f"{sum(each.changed and each.mark == BEYOND for each in found)} of {counted(len(found), what)}"
        for found, what in groups
    )
    undecided = sum(each.changed and each.mark == UNDECIDED for found, _ in groups for each in found)
    first, second = counted(verdicts, ("verdict", "verdicts")), f"{sizes} beyond noise" if groups else "no metrics to compare"
    return f"{first} changed, {second}{f', {undecided} undecided' if undecided else ''}".capitalize()


def change_tables(title: str, text: str, what: tuple[str, str], columns: str, pairs: Sequence[Pair]) -> list[Table]:
    """What was measured on both sides, and differs; what is within noise comes last, and folded."""
    changes = [change for pair in pairs for change in pair.changes]
    levels = " or ".join(f"{level * 100:g} %" for level in sorted({pair.confidence for pair in pairs}))
    trained = {(change.study, change.variant) for pair in pairs for change in pair.compared if not change.continued}
    apart = [change for change in changes if (change.study, change.variant) in trained]
    chance = sum(1 - change.confidence for change in apart)
    some = "them" if len(apart) == len(changes) else f"{len(apart)} of them"
    sentence = [f"{counted(len(changes), what).capitalize()} changed"]
    if apart:
        sentence.append(f"were it all noise, {chance:.2g} of {some} would be {BEYOND} by chance")
    if len(apart) < len(changes):
        whose = "of the others, " if apart else ""
        sentence.append(
            f"{whose}seeds were only added or taken away, so both sides share replicates and chance has no such count"
        )
    explained = (
        f"{text}The difference is the head's mean over seeds minus the base's, with Welch's {levels} interval; without zero in "
        f"it, it is {BEYOND}. What diverged has no interval: the replicates must then lie wholly apart, {FEWEST_RANKED} or "
        f"more of each. Fewer than {FEWEST} decide nothing. {'; '.join(sentence)}."
    )
    shown_first = [change.row for change in changes if change.mark != WITHIN]
    rest = [change.row for change in changes if change.mark == WITHIN]
    first, last = ((f"{what[0]} {mark}", f"{what[1]} {mark}") for mark in (f"not {WITHIN}", WITHIN))
    heading = ("", "") if shown_first else (title, explained)
    return [
        Table(title, explained, first, columns, shown_first),
        Table(*heading, last, columns, rest, folded=True),
    ]


def tables_of(pairs: Sequence[Pair], review: Review) -> list[Table]:
    every, searches = [part for pair in pairs for part in pair.parts], [pair.search for pair in pairs if pair.search]
    columns = "metric | before | after | difference (interval) | mark | seeds"
    return [
        Table(
            "Verdicts changed",
            "",
            ("verdict", "verdicts"),
            "study | claim | before | after | effect before | effect after",
            list(verdict_rows(every)),
        ),
        *change_tables("Metrics changed", "", ("metric", "metrics"), f"study | variant | {columns}", pairs),
        Table(
            "Effects changed",
            "Claims with the same verdict and another effect.",
            ("effect", "effects"),
            "study | claim | verdict | effect before | effect after",
            list(effect_rows(every)),
            folded=True,
        ),
        *change_tables(
            "Searches: scores changed",
            "Of the best trial that each search finds: its score, and its value on the test rows. ",
            ("score", "scores"),
            f"study | strategy | {columns}",
            searches,
        ),
        Table(
            "Searches: winners",
            "The best trial of all; it is one, so the noise is that of the scores above.",
            ("line", "lines"),
            "study | winner | before | after",
            list(winner_rows(searches)),
        ),
        Table(
            "Searches: strategies",
            "",
            ("strategy", "strategies"),
            "study | change | strategy | settings | measured",
            list(variant_rows(searches)),
        ),
        Table(
            "Variants",
            "",
            ("variant", "variants"),
            "study | change | variant | settings | measured",
            list(variant_rows(pairs)),
        ),
        Table(
            "Claims",
            "",
            ("claim", "claims"),
            "study | change | claim | verdict | effect | says",
            list(claim_rows(every)),
        ),
        Table(
            "Parameters changed",
            "",
            ("parameter", "parameters"),
            "study | parameter | before | after",
            list(parameter_rows(pairs, review.other)),
        ),
        Table(
            "Figures changed",
            "",
            ("figure", "figures"),
            "study | figure | before | after",
            list(figure_rows(pairs, review.links)),
            folded=True,
        ),
    ]


def rendered(table: Table, most: int) -> list[str]:
    """The blocks of a table with at most so many rows."""
    columns = table.columns.split(" | ")
    lines = [f"| {table.columns} |", f"|{' --- |' * len(columns)}", *(f"| {' | '.join(row)} |" for row in table.rows[:most])]
    blocks = [f"### {table.title}"] if table.title else []
    blocks += [table.text] if table.text else []
    left = max(len(table.rows) - most, 0)
    blocks += ["\n".join(lines)] if most else []
    if most and (table.folded or len(table.rows) > OPEN):
        summary = f"<summary>{counted(len(table.rows), table.what)}</summary>"
        blocks[-1] = f"<details>{summary}\n\n{blocks[-1]}\n\n</details>"
    return blocks + ([f"{left} of {counted(len(table.rows), table.what)} left out."] if left else [])


def markdown(pairs: Sequence[Pair], review: Review) -> str:
    """The whole review, in at most LIMIT characters."""
    every = [part for pair in pairs for part in pair.parts]
    tables = [table for table in tables_of(pairs, review) if table.rows]
    verdicts, compared = sum(1 for _ in verdict_rows(every)), [change for pair in pairs for change in pair.compared]
    title = headline(verdicts, compared, [change for pair in pairs if pair.search for change in pair.search.compared])
    notes = [*review.about, *(note for part in every for note in notes_of(part))]
    typed = commands(pairs, review)
    for most in CAPS:
        blocks = [f"## {title}"]
        if most < CAPS[0]:
            blocks.append(f"**Shortened**: a table has at most {most} rows here, since a comment holds {LIMIT:,} characters.")
        blocks.append("\n".join(f"* {note}" for note in notes[: most + 5]))
        blocks += [f"{len(notes) - most - 5} more notes left out."] if len(notes) > most + 5 else []
        for table in tables:
            blocks += rendered(table, most)
        blocks += ["### How to reproduce", "\n".join(f"    {line}" for line in typed[: most + 5])]
        text = "\n\n".join(blocks) + "\n"
        if len(text) <= LIMIT:
            break
    return text
