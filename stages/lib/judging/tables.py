"""The tables of metrics/ that describe replicates, from what training wrote."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.lib.files import read_arrays
from stages.lib.judging import verdicts
from stages.lib.judging.planned import PerRow, ends_of
from stages.lib.judging.predictions import Function
from stages.lib.judging.replicates import LAYERS, PREDICTIONS, measure, predicted_classes, read
from stages.lib.study.claims import Claim
from stages.lib.study.metrics import DIGITS, is_share, rank_value, round_or_word
from stages.lib.study.settings import Study

TENTHS = 10
"""Groups of test rows, by target, for which a regression's errors are shown."""
DIAGNOSTICS = "variant epoch layer weights_norm gradient_norm update_norm zero_share saturated_share".split()
"""The columns of training/diagnostics.py, which imports Keras, after the variant."""
HEADLINES = {"classification": "test_accuracy", "regression": "test_loss"}
"""Task -> the metric that stands for a variant where only one is shown."""


def csv_text(table: pd.DataFrame) -> str:
    """The table as it is committed: rounded, so that a diff shows what changed and nothing else."""
    return table.round(DIGITS).to_csv(index=False, lineterminator="\n")


def trained_seeds(study: Study, runs: Path, variant: str) -> list[int]:
    """The seeds of a variant that the train stage found to be needed."""
    seeds, first = study.seeds(variant), study.first_seeds(variant)
    return [seed for seed in seeds if seed in first or (runs / variant / str(seed)).is_dir()]


def per_row(study: Study, runs: Path, labels: Mapping[str, np.ndarray]) -> PerRow:
    """What a metric is the mean of, for each row that it is measured on.

    labels: split -> (rows,).
    """

    def scores(claim: Claim, variant: str, seeds: int) -> np.ndarray | None:
        recipe = study.recipes[variant]
        short, _, name = claim.metric.partition("_")
        split = {"test": "test", "val": "validation"}.get(short, "")
        if split not in labels or (split == "validation" and recipe.train.validation_rows):  # which differ from seed to seed
            return None
        found = []
        for seed in range(seeds):
            replicate = read(runs / variant / str(seed))
            values = row_values(name, replicate.predictions[split].astype(np.float64), labels[split], recipe.train.loss)
            if values is None:
                return None
            if name == "loss" and not np.isclose(values.mean(), replicate.scores[split]["loss"], rtol=1e-4):
                return None  # a penalty, smoothed labels or weights of classes are in it
            found.append(values)
        return np.stack(found)

    return scores


def row_values(name: str, predictions: np.ndarray, labels: np.ndarray, loss: str) -> np.ndarray | None:
    """A measure of each row, (rows,); None for what is no mean over rows, or is not computed here.

    name: a metric without the split, such as accuracy. predictions: (rows, outputs). loss: what the network was trained by.
    """
    errors = predictions - labels[:, None]  # of a regression
    if name == "accuracy":
        return np.asarray(predicted_classes(predictions) == labels, dtype=np.float64)
    if name == "mae":
        return np.asarray(np.abs(errors[:, 0]))
    if name == "mse_joint_minus_deep":
        return np.asarray(errors[:, 0] ** 2 - errors[:, 1] ** 2)
    if name in ("mse_joint", "mse_deep"):
        return np.asarray(errors[:, int(name == "mse_deep")] ** 2)
    if name == "loss" and loss in ("categorical_crossentropy", "sparse_categorical_crossentropy"):
        return np.asarray(-np.log(np.clip(predictions[np.arange(len(labels)), labels.astype(int)], 1e-7, 1 - 1e-7)))
    if name == "loss" and loss == "mse" and predictions.shape[1] == 1:
        return np.asarray(errors[:, 0] ** 2)
    return None


def measure_replicates(
    study: Study, runs: Path, labels: Mapping[str, np.ndarray], task: str, functions: Mapping[str, Function]
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """For each variant a table with a row of metrics for each seed; and one table with every epoch of every replicate.

    functions: the study's own metrics.
    """
    tables = {}
    histories = []
    for variant in study.variants:
        rows = []
        for seed in trained_seeds(study, runs, variant):
            replicate = read(runs / variant / str(seed))
            rows.append({"variant": variant, "seed": seed, **measure(study, variant, seed, replicate, labels, task, functions)})
            histories.append(replicate.history.assign(variant=variant, seed=seed))
        tables[variant] = pd.DataFrame(rows)
    return tables, pd.concat(histories)


def summary_of(tables: Mapping[str, pd.DataFrame], confidence: float) -> pd.DataFrame:
    """The mean, standard deviation and interval of every metric of every variant, over its replicates.

    If a value is not finite, the mean is the worst value, and a word stands for the others. A single value has no deviation: 0.
    An accuracy's interval ends at 0 and 1, and values that agree have none.
    """
    rows = []
    for variant, table in tables.items():
        for metric in table.columns.drop(["variant", "seed"]):
            values = table[metric].to_numpy()
            whole = np.isfinite(values).all()
            spread: dict[str, float | str] = {
                "mean": round_or_word(metric, rank_value(metric, float(values.mean()) if whole else math.nan)),
                "sd": round_or_word(metric, float(values.std(ddof=min(1, len(values) - 1))) if whole else math.nan),
            }
            if is_share(metric):
                share = verdicts.share_interval(values.tolist(), confidence)
                spread |= {"low": round_or_word(metric, share.low), "high": round_or_word(metric, share.high)}
            elif whole:
                spread |= ends_of(metric, values, 1 - confidence)
            else:
                spread |= dict.fromkeys(("low", "high"), round_or_word(metric, math.nan))
            rows.append({"variant": variant, "metric": metric, "replicates": len(table), **spread})
    return pd.DataFrame(rows)


def curves_of(histories: pd.DataFrame) -> pd.DataFrame:
    """The mean and the extremes of every curve at every epoch, over the replicates that still trained.

    There is no mean where one of them diverged; the extremes are those of the others.
    """
    groups = histories.groupby(["variant", "epoch"], sort=False)
    curves = groups.size().rename("replicates").to_frame()
    for name in histories.columns.drop(["variant", "seed", "epoch"]):
        curves[f"{name}_mean"] = groups[name].mean().where(groups[name].count() == groups.size())
        curves[f"{name}_min"] = groups[name].min()
        curves[f"{name}_max"] = groups[name].max()
    return curves.reset_index()


def finite_predictions(study: Study, runs: Path, variant: str) -> Iterator[np.ndarray]:
    """The test predictions (n, outputs) of a variant's replicates, without those that diverged."""
    for seed in trained_seeds(study, runs, variant):
        predictions = read_arrays(runs / variant / str(seed) / PREDICTIONS)["test"]
        if np.isfinite(predictions).all():
            yield predictions


def confusion_of(study: Study, runs: Path, labels: np.ndarray, class_names: list[str]) -> pd.DataFrame:
    """For each variant and true class, the test rows by predicted class, and the share that is right.

    Rows are counted over all replicates that did not diverge.
    """
    rows = []
    for variant in study.variants:
        counts = np.zeros((len(class_names), len(class_names)), dtype=int)
        for predictions in finite_predictions(study, runs, variant):
            np.add.at(counts, (labels, predicted_classes(predictions)), 1)
        for true, name in enumerate(class_names):
            total = counts[true].sum()
            right = round(float(counts[true, true] / total), DIGITS) if total else math.nan
            row = {"variant": variant, "class": name, "accuracy": right}
            rows.append(row | dict(zip(class_names, counts[true], strict=True)))
    return pd.DataFrame(rows)


def residuals_of(study: Study, runs: Path, targets: np.ndarray) -> pd.DataFrame:
    """For each variant and each tenth of the test rows by target, the mean target, prediction and absolute error.

    Means are over all replicates that did not diverge, in the target's unit.
    """
    rows = []
    tenths = np.array_split(np.argsort(targets, kind="stable"), min(TENTHS, len(targets)))
    for variant in study.variants:
        kept = [each[:, 0].astype(np.float64) for each in finite_predictions(study, runs, variant)]
        for number, members in enumerate(tenths, 1):
            predicted = np.array([each[members] for each in kept])
            rows.append(
                {
                    "variant": variant,
                    "tenth": number,
                    "target": targets[members].mean(),
                    "prediction": predicted.mean() if kept else math.nan,
                    "mae": np.abs(predicted - targets[members]).mean() if kept else math.nan,
                }
            )
    return pd.DataFrame(rows)


def diagnostics_of(study: Study, runs: Path) -> pd.DataFrame:
    """For each variant and layer, means over the replicates before training, after the first epoch and after the last.

    Its columns are DIAGNOSTICS, explained in training/diagnostics.py. It has no rows if the study measures none. Early stopping
    may end replicates at different epochs; the last epoch is then their mean. Values that are not finite do not count.
    """
    tables = []
    for variant in study.variants if study.replicates.diagnostics else ():
        for seed in trained_seeds(study, runs, variant):
            table = pd.read_csv(runs / variant / str(seed) / LAYERS)
            if table.empty:
                continue
            last = table["epoch"] == table["epoch"].max()
            moment = np.where(table["epoch"] == 0, 0, np.where(last & (table["epoch"] > 1), 2, 1))
            tables.append(table.assign(variant=variant, moment=moment))
    if not tables:
        return pd.DataFrame(columns=DIAGNOSTICS)
    finite = pd.concat(tables).replace([math.inf, -math.inf], math.nan)
    means = finite.groupby(["variant", "moment", "layer"], sort=False).mean().reset_index()
    return means.round({"epoch": 0}).astype({"epoch": int})[DIAGNOSTICS]


def metrics_json(summary: pd.DataFrame, claims: pd.DataFrame, task: str) -> dict[str, Any]:
    """What `dvc metrics diff` compares: a headline for each variant, a verdict and an effect for each claim."""
    headline = HEADLINES[task]
    chosen = summary[summary["metric"] == headline]
    return {
        "variants": {row.variant: {headline: row.mean} for row in chosen.itertuples()},
        "claims": {row.claim: {"verdict": row.verdict, "effect": row.effect} for row in claims.itertuples()},
    }
