"""A whole params.yaml, and every variant's `extends` chain resolved into one full recipe."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr

from stages.lib.cli import SettingError, as_yaml
from stages.lib.study.claims import Claim, Illustration, IllustrationName, Statistics, TextOrNote
from stages.lib.study.keras_names import Backend
from stages.lib.study.networks import Networks
from stages.lib.study.recipe import OWN, Architecture, Recipe, Train
from stages.lib.study.rows import Data, Limits, View
from stages.lib.study.search import Search
from stages.lib.study.strict_yaml import Name, Section, at, listed, unknown
from stages.lib.study.values import Positive, Replications, Reported


class Replicates(Section):
    """How often, and by what, everything is trained. No variant overrides it."""

    seeds: Replications = 5
    """Replicates of each variant, seeds 0, 1, ... Where `statistics.looks` are planned, of a variant without a claim."""
    backend: Backend = "tensorflow"
    """Keras's backend, which must be installed."""
    keep_models: Literal["first", "all", "none"] = "first"
    """The replicates whose weights go to data/runs."""
    jit_compile: bool = False
    """XLA on TensorFlow, for dense networks without dropout. Pays where training takes minutes."""
    diagnostics: bool = False
    """Also measure gradients, weights and activations, layer by layer."""
    time_limit: Annotated[Positive, Field(le=10_000_000)] = 3600.0
    """Seconds. A replicate that takes longer is stopped and tried again, three times in all."""


class Variant(Section):
    """One training recipe, by what it changes against the one that it extends."""

    tip: str
    """The advice that it tries, one sentence."""
    extends: Name | None = None
    """The variant whose changes it inherits."""
    view: Name | None = None
    """What it is trained on. Default: the view of the variant that it extends."""
    k_fold: bool | None = None
    """Validate each replicate on another fold, as data.k_fold says. Inherited."""
    model: dict[str, Any] = {}
    """Keys of the model section, with other values."""
    train: dict[str, Any] = {}
    """Keys of the train section, with other values."""
    reported: Reported = {}
    """The numbers that the source prints."""
    ours: bool = False
    """A control that is not in the source."""


class Study(Section):
    """A whole params.yaml."""

    title: str
    """The title of the study and of its report."""
    source: str
    """What is re-run, and where it was published."""
    data: Data
    """The data set, and its rows."""
    views: dict[Name, View]
    """How raw values become inputs."""
    model: Architecture
    """The architecture that every variant inherits."""
    train: Train
    """The training that every variant inherits."""
    replicates: Replicates
    """How often everything is trained, and by what."""
    variants: Annotated[dict[Name, Variant], Field(max_length=500)]
    """What is trained: recipes, by what they change."""
    claims: dict[Name, Claim] = {}
    """What is said, and how it is judged."""
    statistics: Statistics
    """What all verdicts have in common."""
    limits: Limits = Limits()
    """How much is trained at most, to try everything in little time."""
    illustrations: dict[IllustrationName, Illustration] = {}
    """What the source draws or computes without training."""
    errata: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """What the source gets wrong."""
    notes: Annotated[tuple[TextOrNote, ...], Field(strict=False)] = ()
    """What we assumed, and what we found."""
    search: Search | None = None
    """What is searched for, and how."""
    _networks: Networks = PrivateAttr(default_factory=Networks)

    @property
    def networks(self) -> Networks:
        """The study's own networks."""
        return self._networks

    def with_networks(self, networks: Networks) -> Study:
        """The study, which then finds its own networks there."""
        self._networks = networks
        return self

    @property
    def repeats_a_source(self) -> bool:
        """Whether something is reported by the source, or marked as not in it."""
        claims = [*self.claims.values(), *(self.search.claims.values() if self.search else ())]
        variants = self.variants.values()
        return any(each.reported or each.ours for each in variants) or any(each.reported or each.ours for each in claims)

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """Variant -> its full recipe, in the order of the file."""
        return {name: resolve(self, name) for name in self.variants}

    def view_of(self, variant: str) -> str:
        """The name of the view that a variant trains on: its own, or that of its nearest ancestor with one."""
        for ancestor in reversed(chain(self, variant)):
            if ancestor.view:
                return ancestor.view
        raise SettingError(f"is missing, here and in what it extends; known: {listed(self.views, variant)}", "view")

    def seeds(self, variant: str) -> range:
        """The seeds that a variant is trained with at most: those of the last look or, without a claim, `replicates.seeds`.

        With k-fold validation, there is one for each fold of each repeat.
        """
        if k_fold := self.recipes[variant].k_fold:
            return range(min(k_fold.folds * k_fold.repeats, self.limits.seeds or sys.maxsize))
        return range(self.looks[-1] if self._claimed(variant) else self._limited(self.replicates.seeds))

    def first_seeds(self, variant: str) -> range:
        """The seeds that are trained before any claim is judged: those of the first look, or all."""
        looked_at = self._claimed(variant) and not self.recipes[variant].k_fold
        return range(self.looks[0]) if looked_at else self.seeds(variant)

    @property
    def looks(self) -> tuple[int, ...]:
        """Replicates after which claims are judged, within the limit of replicates: the planned looks, or one."""
        return tuple(dict.fromkeys(map(self._limited, self.statistics.looks or (self.replicates.seeds,))))

    def _limited(self, replicates: int) -> int:
        return min(replicates, self.limits.seeds or sys.maxsize)

    def _claimed(self, variant: str) -> bool:
        return any(variant in claim.variants for claim in self.claims.values())

    def has_validation(self, variant: str) -> bool:
        """Whether some rows are set apart to validate a variant on."""
        recipe = self.recipes[variant]
        return self.data.sets_validation_apart or recipe.train.validation_rows > 0 or recipe.k_fold is not None


def chain(study: Study, name: str) -> list[Variant]:
    """A variant and its ancestors, the eldest first. Raises SettingError for an unknown parent or a loop."""
    seen: list[str] = []
    current: str | None = name
    while current is not None:
        if current in seen:
            loop = " -> ".join([*seen[:4], *(["..."] if len(seen) > 4 else []), current])
            raise SettingError(f"goes round in a loop: {loop}", "extends")
        if current not in study.variants:
            raise unknown("variant", current, study.variants).below("extends")
        seen.append(current)
        current = study.variants[current].extends
    return [study.variants[ancestor] for ancestor in reversed(seen)]


def tests_of_tip(study: Study, variant: str) -> list[str]:
    """The claims whose verdicts say whether a variant's tip holds.

    A claim about two variants tests the tip of the one that is further from the variant that all extend, or of the second.
    """
    found = []
    for name, claim in study.claims.items():
        depths = [(len(chain(study, each)), position, each) for position, each in enumerate(claim.variants)]
        if max(depths)[2] == variant:
            found.append(name)
    return found


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, mapping by mapping."""
    result = dict(base)
    for key, value in changes.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return result


def _retrained(train: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`train` with the changes of a variant. Another optimizer, or kind of schedule, takes over no key of the one before."""
    result = merged(train, changes)
    for section, chosen in (("optimizer", "name"), ("schedule", "kind")):
        before, after = train[section], changes.get(section)
        if isinstance(after, Mapping):
            before = {chosen: before} if isinstance(before, str) else before
            result[section] = {**before, **after} if after.get(chosen, before[chosen]) == before[chosen] else after
    return result


def _model(study: Study, layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The model section with the changes of each layer. Options stay with their network, and go when another one comes.

    Raises SettingError for a layer that sets what its network does not read.
    """
    model = study.model.model_dump()
    for changes in layers:
        before, name = model["network"], changes.get("network", model["network"]) or "none"
        if "none" not in (before, name) and name != before:
            model["options"] = {}
        model = {**merged(model, changes), "network": name}
        for key in changes if name != "none" else ():
            if key not in Architecture.model_fields:
                raise unknown("key", key, Architecture.model_fields).below("model")
            if key not in OWN:
                raise SettingError(f"the network {as_yaml(name)} does not read it; it reads options", "model", key)
        if name == "none" and changes.get("options"):
            raise SettingError("is for a network of your own, which model.network names", "model", "options")
    if model["network"] != "none":
        with at("model", "network"):
            model["network"] = study.networks[model["network"]]
    return model


def resolve(study: Study, name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The full recipe of a variant: the study's defaults, then what each ancestor changes, then its own changes.

    Raises SettingError, with a place below the variant, for changes that are not allowed.

    Args:
        changes: some more, of model and train, as another variant that extends this one would write them.
    """
    variants = chain(study, name)
    train = study.train.model_dump()
    folded = False
    for variant in variants:
        train = _retrained(train, variant.train)
        folded = folded if variant.k_fold is None else variant.k_fold
    further = changes or {}
    train = _retrained(train, further.get("train", {}))
    content = {
        "view": study.views[study.view_of(name)],
        "model": _model(study, [*(variant.model for variant in variants), further.get("model", {})]),
        "train": train,
        "k_fold": study.data.k_fold if folded else None,
        "backend": study.replicates.backend,
        "jit_compile": study.replicates.jit_compile,
        "diagnostics": study.replicates.diagnostics,
    }
    with at():
        recipe = Recipe.model_validate(content)
    return recipe.model_copy(update={"train": recipe.train.settled(study.limits.epochs)})
