"""The run itself: durations, versions and environment."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import pandas as pd

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
