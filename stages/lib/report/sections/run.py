"""Illustrations, and the run itself: durations, versions and environment."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import pandas as pd

from stages.lib.judging.units import with_minus
from stages.lib.report.illustrations.illustrated import Illustrated, compare_printed, file_of, printed_decimals
from stages.lib.study.settings import Study


@dataclass(frozen=True)
class PrintedNumbers:
    """numbers: the printed one, ours with as many decimals, and whether they agree."""

    key: str
    numbers: list[tuple[str, str, bool]]

    @property
    def agreeing(self) -> int:
        return sum(agrees for *_, agrees in self.numbers)


@dataclass(frozen=True)
class IllustrationCard:
    """says: what the source does."""

    name: str
    file: str
    says: str
    drawn: Illustrated
    printed: list[PrintedNumbers]


def illustration_cards(study: Study, illustrated: Mapping[str, Illustrated]) -> list[IllustrationCard]:
    """In the order of params.yaml."""
    table = compare_printed(study, illustrated)
    cards = []
    for name, each in illustrated.items():
        settings = study.illustrations[name]
        printed = []
        for key, reported in settings.reported.items():
            rows = table[(table["name"] == name) & (table["key"] == key)]
            digits = printed_decimals(reported)
            theirs, ours = ([with_minus(f"{value:,.{digits}f}") for value in rows[who]] for who in ("reported", "measured"))
            printed.append(PrintedNumbers(key, list(zip(theirs, ours, rows["agrees"], strict=True))))
        cards.append(IllustrationCard(name, file_of(name, each), settings.says, each, printed))
    return cards


LIBRARIES = (
    "tensorflow tensorflow-cpu keras jax torch numpy pandas scipy scikit-learn optuna matplotlib dask pydantic dvc"
).split()


@dataclass(frozen=True)
class Duration:
    """Means over the replicates, in seconds."""

    variant: str
    seconds: float
    seconds_per_epoch: float
    replicates: int


def mean_durations(durations: pd.DataFrame) -> list[Duration]:
    """durations: columns variant, seed, seconds, seconds_per_epoch."""
    groups = durations.groupby("variant", sort=False)
    return [
        Duration(str(name), group["seconds"].mean(), group["seconds_per_epoch"].mean(), len(group)) for name, group in groups
    ]


def versions() -> dict[str, str]:
    """Library -> version, as far as it is installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def fingerprint(environment: Mapping[str, Any]) -> str:
    """Twelve characters that are the same for the same environment."""
    return hashlib.sha256(json.dumps(environment, sort_keys=True).encode()).hexdigest()[:12]
