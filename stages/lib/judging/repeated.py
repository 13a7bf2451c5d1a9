"""Numbers that were measured again, compared with the committed ones.

On the machine and the software that made the metrics, every number must be the same to its last digit. Elsewhere it must lie
where one more run may fall: in Student's prediction interval by comparable runs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from scipy import stats

from stages.lib.cli import UserError

CONFIDENCE = 0.999
"""Of the prediction interval."""
FLOOR = 0.001
"""The smallest tolerance, as a share of the mean, or of 1 for smaller means. It matters where comparable runs agree."""

Run = tuple[str, str]
"""A variant and a seed, or a trial and a fold. Runs of one variant, or of one trial, are comparable."""
Numbers = Mapping[Run, Mapping[str, float]]
"""The metrics of a replicate, or the score of a fold."""


def committed_replicates(metrics: Path) -> Numbers:
    """metrics/replicates.csv. Raises UserError if the study was not run."""
    path = metrics / "replicates.csv"
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)  # a variant may be called nan
    except FileNotFoundError:
        raise UserError(f"{path} is missing: the study was not run, so there is nothing to verify") from None
    return {
        (str(row.pop("variant")), f"seed {row.pop('seed')}"): {str(name): float(value or "nan") for name, value in row.items()}
        for row in table.to_dict("records")
    }


def differences(here: Mapping[str, object], path: Path) -> list[str]:
    """What of the machine and its software differs from metrics/environment.json; nothing if numbers must be the same.

    Raises UserError if other training code made the metrics.
    """
    if not path.is_file():
        return [f"{path} is missing, so it is not known what made the metrics"]
    there: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    if there.get("source") != here["source"]:
        raise UserError(f"{path}: other training code made these metrics; `dvc repro` first")
    names = [name for name in dict.fromkeys([*here, *there]) if there.get(name) != here.get(name)]
    return [f"{name}: {_fact(there.get(name))} then, {_fact(here.get(name))} here" for name in names]


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={each}" for name, each in sorted(value.items())) or "none"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def tolerance(values: Sequence[float]) -> tuple[float, float]:
    """Student's prediction interval for one more value, at CONFIDENCE.

    It is infinite if there is one value, or if one is not finite. It reaches at least one to both sides for whole numbers, such
    as epochs, and FLOOR for others.
    """
    data = pd.Series(values, dtype=float)
    if len(data) < 2 or not data.map(math.isfinite).all():
        return -math.inf, math.inf
    mean = float(data.mean())
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(data) - 1) * data.std() * math.sqrt(1 + 1 / len(data)))
    whole = bool((data == data.round()).all()) and abs(mean) > 1
    reach = max(reach, 1.0 if whole else FLOOR * max(1.0, abs(mean)))
    return mean - reach, mean + reach


def compare(committed: Numbers, again: Numbers, exact: bool) -> dict[str, list[str]]:
    """Run -> a line for each number that is wrong.

    exact: whether numbers must be the same.
    Raises UserError if a run, or one of its metrics, is not committed.
    """
    found: dict[str, list[str]] = {}
    for run, numbers in again.items():
        name = ", ".join(run)
        before = committed.get(run, {})
        if not numbers.keys() <= before.keys():
            raise UserError(f"metrics/replicates.csv has not all of {name}; `dvc repro` first")
        found[name] = []
        for metric, value in numbers.items():
            if before[metric] == value or (math.isnan(before[metric]) and math.isnan(value)):
                continue
            low, high = tolerance([metrics[metric] for (group, _), metrics in committed.items() if group == run[0]])
            if exact or not (math.isinf(high) or low <= value <= high):
                limits = "" if exact else f", beyond {low:.6g} to {high:.6g}"
                found[name].append(f"{name}: {metric} is {value:.6g}, but {before[metric]:.6g} is committed{limits}")
    return found
