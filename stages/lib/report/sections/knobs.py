"""Which knobs differ between two variants."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from stages.lib.study.recipe import Model, Train
from stages.lib.study.settings import Study


class ChangedKnob(NamedTuple):
    knob: str
    before: str
    after: str


def flat(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every knob of a section with its value, as params.yaml writes it."""
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "all" if value is None else json.dumps(value).strip('"')


def knobs(view: str, model: Model, train: Train) -> dict[str, str]:
    return {"view": view, **dict(flat(model.model_dump())), **dict(flat(train.model_dump()))}


def changed_knobs(study: Study, variant: str, other: str | None) -> list[ChangedKnob]:
    """What a variant changes in another one, or in the study's defaults."""
    base, recipe = study.recipes[other] if other else study, study.recipes[variant]
    before = knobs(study.view_of(other) if other else "", base.model, base.train)
    after = knobs(study.view_of(variant), recipe.model, recipe.train)
    return [ChangedKnob(knob, before[knob], after[knob]) for knob in after if after[knob] != before[knob]]
