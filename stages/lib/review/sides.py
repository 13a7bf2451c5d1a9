"""One side of a comparison: the variants of a study, or the strategies of its search, in one revision.

Both have settings, claims and replicates. A replicate of a strategy is the best trial of one seed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from ruamel.yaml import YAML, YAMLError

from stages.lib.cli import UserError
from stages.lib.files import sha256_of
from stages.lib.judging.outcome import Outcome, of_strategies, of_variants
from stages.lib.study import space
from stages.lib.study.load import load_study
from stages.lib.study.places import SETTINGS, STARTER, name_of
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import flattened

FIGURES = "metrics/figures"


@dataclass(frozen=True)
class Side:
    """The variants of a study, or the strategies of its search.

    exists: whether the revision has the study, or the search.
    settings: dotted key in params.yaml -> value. Those of a search are no part of its study's.
    study: None if params.yaml cannot be read by this version.
    metrics: metrics.json, or search.json.
    figures: file name -> SHA-256.
    search: the study's search, if it has one.
    """

    folder: Path
    outcome: Outcome
    exists: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    study: Study | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)
    search: Side | None = None

    @property
    def of_search(self) -> bool:
        return self.outcome.kind == "strategy"

    @property
    def name(self) -> str:
        return f"{name_of(self.folder)}, search" if self.of_search else name_of(self.folder)

    @property
    def section(self) -> str:
        """The key of the variants, or strategies, in params.yaml."""
        return "search.strategies" if self.of_search else "variants"

    @property
    def claims_section(self) -> str:
        return "search.claims" if self.of_search else "claims"

    @cached_property
    def names(self) -> list[str]:
        """The variants, or strategies."""
        return names_below(self.section, self.settings)

    @cached_property
    def claims(self) -> list[str]:
        return names_below(self.claims_section, self.settings)

    @cached_property
    def recipes(self) -> Mapping[str, object]:
        """What decides the replicates of each variant or strategy; nothing if params.yaml cannot be read."""
        if self.study is None:
            return {}
        return search_recipes(self.study) if self.of_search else self.study.recipes

    def settings_below(self, section: str, name: str) -> dict[str, Any]:
        start = f"{section}.{name}."
        return {key.removeprefix(start): value for key, value in sorted(self.settings.items()) if key.startswith(start)}

    def headlines(self, name: str) -> dict[str, Any]:
        """Metric -> mean of a variant or strategy, as metrics.json or search.json has it."""
        measured = self.metrics.get("strategies" if self.of_search else "variants", {}).get(name, {})
        return {metric: value["mean"] if isinstance(value, dict) else value for metric, value in sorted(measured.items())}

    def verdict(self, claim: str) -> str | None:
        """None if the claim was not judged."""
        return self.outcome.verdicts.get(claim, {}).get("verdict")


def names_below(section: str, settings: Mapping[str, Any]) -> list[str]:
    start = f"{section}."
    return sorted({key.removeprefix(start).partition(".")[0] for key in settings if key.startswith(start)})


def search_recipes(study: Study) -> dict[str, object]:
    """Strategy -> what decides which trials win. The points of a grid matter to a grid alone."""
    search = study.search
    if search is None:
        return {}
    own = dict.fromkeys(("variant", "strategies", "trials", "claims"), True)
    shared = search.model_dump(exclude={**own, "space": {"__all__": {"grid"}}})
    points = [space.points(values) for values in search.space.values()]
    return {
        name: (
            study.recipes[search.variant_of(name)],
            shared,
            strategy.method,
            points if strategy.method == "grid" else None,
            search.trials_of(name),
        )
        for name, strategy in search.strategies.items()
    }


def settings_in(path: Path) -> dict[str, Any]:
    """Dotted key -> value of a YAML file; nothing for one that is missing or cannot be read."""
    try:
        return dict(flattened(YAML(typ="safe", pure=True).load(path)))
    except (OSError, YAMLError, ValueError):
        return {}


def json_in(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; nothing for one that is missing or cannot be read."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def read_side(folder: Path, root: Path = STARTER) -> tuple[Side, str]:
    """A study in one revision, and what is wrong with its settings.

    root: a folder with the files of the revision.
    """
    place = root / folder
    study, wrong = None, ""
    try:
        study = load_study(place)
    except UserError as error:
        wrong = str(error) if root == STARTER else str(error).replace(f"{root}{os.sep}", "")
    settings = settings_in(place / SETTINGS)
    of_search = {key: value for key, value in settings.items() if key.startswith("search.")}
    metrics = place / "metrics"
    search = None
    if of_search:
        found = json_in(metrics / "search.json")
        search = Side(folder, of_strategies(study, metrics), settings=of_search, study=study, metrics=found)
    side = Side(
        folder,
        of_variants(study, metrics),
        settings={key: value for key, value in settings.items() if key not in of_search},
        study=study,
        metrics=json_in(metrics / "metrics.json"),
        figures={path.name: sha256_of(path) for path in (place / FIGURES).glob("*") if path.is_file()},
        search=search,
    )
    return side, wrong


def absent(folder: Path, kind: Literal["variant", "strategy"] = "variant") -> Side:
    """The side of a revision that does not have the study, or the search."""
    return Side(folder, Outcome(kind, {}, {}, {}, {}, pd.DataFrame(columns=["name", "seed"])), exists=False)
