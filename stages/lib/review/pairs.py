"""Two sides of a study. Variants, strategies and claims are matched by name or, if they were renamed, by what they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from stages.lib.cli import SettingError
from stages.lib.review.changes import Change
from stages.lib.review.sides import Side, absent, search_recipes
from stages.lib.study.claims import Claim
from stages.lib.study.recipe import Recipe
from stages.lib.study.settings import Study, resolve
from stages.lib.study.space import DEFAULT

AROUND = re.compile(r"search\.(strategies\.[^.]+\.)?variant")
"""The keys of the variants whose recipes a search changes."""

Renames = dict[str, str]
"""Name in the head -> name in the base."""


@dataclass(frozen=True)
class Pair:
    """A study, or its search, on both sides.

    names, claims: what both sides have: name in the head -> name in the base.
    search: the study's search, if either side has one.
    """

    base: Side
    head: Side
    names: Mapping[str, str]
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

    @property
    def confidence(self) -> float:
        study = self.head.study or self.base.study
        return study.statistics.confidence if study else 0.99

    @property
    def metrics(self) -> list[str]:
        """The metrics that either side has."""
        return sorted({metric for side in (self.base, self.head) for _, metric in side.outcome.numbers})

    @cached_property
    def compared(self) -> list[Change]:
        """Every metric that was measured on both sides."""
        found = []
        for name, old in self.names.items():
            for metric in self.metrics:
                before = self.base.outcome.values(old, metric)
                after = self.head.outcome.values(name, metric)
                if before and after:
                    found.append(Change(name, old, metric, before, after, self.confidence))
        return found

    @cached_property
    def changes(self) -> list[Change]:
        return [change for change in self.compared if change.changed]

    @property
    def differs(self) -> bool:
        """Whether a review shows anything of it."""
        if self.base.folder != self.head.folder or not self.complete or self.changes:
            return True
        sides = [(side.settings, side.metrics, side.figures, side.outcome.verdicts) for side in (self.base, self.head)]
        return sides[0] != sides[1] or bool(self.search and self.search.differs)


def lost(before: Iterable[str], shared: Mapping[str, str]) -> list[str]:
    """The names that only the base has."""
    return [name for name in before if name not in shared.values()]


def gained(after: Iterable[str], shared: Mapping[str, str]) -> list[str]:
    """The names that only the head has."""
    return [name for name in after if name not in shared]


def matched(gone: Iterable[str], come: Iterable[str], keys: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Renames:
    """Renames, by what names stand for.

    gone, come: the names that only the base, and only the head, has.
    keys: what a name stands for in the base and in the head, the surest first. A new name is the first old one that stands for
    the same and is not taken yet.
    """
    found: Renames = {}
    for before, after in keys:
        for new in come:
            left = (old for old in gone if new in after and old in before and old not in found.values())
            if new not in found and (old := next((old for old in left if before[old] == after[new]), None)):
                found[new] = old
    return found


def adopted(study: Study, other: Study) -> dict[str, Recipe]:
    """The recipes of a study's variants under the defaults of another, so that a change of a default hides no rename."""
    shared = {name: getattr(other, name) for name in ("data", "model", "train", "replicates", "limits")}
    like = study.model_copy(update={**shared, "views": {**study.views, **other.views}})
    found = {}
    for name in study.variants:
        try:
            found[name] = resolve(like, name)
        except SettingError:  # such as momentum, for an optimizer that has none
            continue
    return found


def variant_renames(before: Study, after: Study, gone: Sequence[str], come: Sequence[str]) -> Renames:
    """The same recipe and tip, the same recipe, or the same under the head's defaults."""
    keys: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for recipes in (before.recipes, adopted(before, after)):
        tipped = {name: (recipe, before.variants[name].tip) for name, recipe in recipes.items()}
        keys.append((tipped, {name: (recipe, after.variants[name].tip) for name, recipe in after.recipes.items()}))
        keys.append((recipes, after.recipes))
    return matched(gone, come, keys)


def strategy_renames(before: Study, after: Study, gone: Sequence[str], come: Sequence[str]) -> Renames:
    """The same search, or else the same settings of the strategy."""
    strategies = [study.search.strategies if study.search else {} for study in (before, after)]
    recipes = (search_recipes(before), search_recipes(after))
    return matched(gone, come, [recipes, (strategies[0], strategies[1])])


def claim_renames(base: Side, head: Side, names: Mapping[str, str], claims: Renames) -> Renames:
    """The same judgement, or else the same sentence.

    names: of variants or strategies. claims: those that kept their name.
    """
    now = {old: new for new, old in names.items()}
    before, after = base.outcome.claims, head.outcome.claims

    def judged(claim: Claim, compared: Iterable[str]) -> tuple[object, ...]:
        return (*compared, claim.metric, claim.expect, claim.threshold, claim.margin)

    old = {name: judged(claim, (now.get(each, each) for each in claim.variants)) for name, claim in before.items()}
    new = {name: judged(claim, claim.variants) for name, claim in after.items()}
    says = [{name: claim.says for name, claim in side.items()} for side in (before, after)]
    return matched(lost(before, claims), gained(after, claims), [(old, new), (says[0], says[1])])


def paired(base: Side, head: Side) -> Pair:
    names: Renames = {name: name for name in head.names if name in base.names}
    claims: Renames = {name: name for name in head.claims if name in base.claims}
    if base.study and head.study:
        gone, come = lost(base.names, names), gained(head.names, names)
        renames = strategy_renames if head.of_search else variant_renames
        names |= renames(base.study, head.study, gone, come)
        claims |= claim_renames(base, head, names, claims)
    if head.of_search and base.exists and head.exists:
        names[DEFAULT] = DEFAULT
    return Pair(base, head, dict(sorted(names.items())), dict(sorted(claims.items())), paired_search(base, head, names))


def paired_search(base: Side, head: Side, names: Mapping[str, str]) -> Pair | None:
    """The search of either side. The variant that it starts from may have been renamed."""
    if not (base.search or head.search):
        return None
    before, after = base.search or absent(base.folder, "strategy"), head.search or absent(head.folder, "strategy")
    now = {old: new for new, old in names.items()}
    around = {key: now.get(value, value) if AROUND.fullmatch(key) else value for key, value in before.settings.items()}
    return paired(replace(before, settings=around), after)
