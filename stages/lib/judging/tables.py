"""The tables of metrics/, from what training wrote."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.lib.cli import UserError
from stages.lib.files import read_arrays
from stages.lib.judging import scores, verdicts
from stages.lib.study.load import measures
from stages.lib.study.metrics import is_metric, is_share, needs_validation, on_demand, rank_value, round_or_word
from stages.lib.study.settings import Claim, Study

DIGITS = 5
"""Decimals in the tables; a test set of 10,000 rows tells accuracies apart to the fourth."""
TENTHS = 10
"""Groups of test rows, by target, that a regression's errors are shown for."""
DIAGNOSTICS = "variant epoch layer weights_norm gradient_norm update_norm zero_share saturated_share".split()
HEADLINES = {"classification": "test_accuracy", "regression": "test_loss"}
"""Task -> the metric that stands for a variant where only one is shown."""
CLAIM_COLUMNS = "claim verdict effect low high close replicates metric expect threshold margin".split()


def metrics_on_demand(study: Study, variant: str) -> list[str]:
    """Metrics of the history that claims and reported numbers name, of any variant, and that this one can have."""
    named = {each.measure for each in measures(study) if is_metric(each.measure) and on_demand(each.measure)}
    return sorted(name for name in named if study.has_validation(variant) or not needs_validation(name))


def read_replicate(folder: Path, labels: dict[str, np.ndarray], task: str, extra: list[str]) -> tuple[dict[str, float], Any]:
    """The metrics of one replicate, and its history. Raises UserError where it was not trained."""
    try:
        history = pd.read_csv(folder / "history.csv")
        split_scores = json.loads((folder / "scores.json").read_text())
        predictions = read_arrays(folder / "predictions.npz")
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing; run `dvc repro`, or the train stage first") from None
    numbers = {split: {name: float(text) for name, text in values.items()} for split, values in split_scores.items()}
    return scores.replicate_metrics(history, numbers, predictions, labels, task, extra), history


def tables_of(
    study: Study, runs: Path, labels: dict[str, np.ndarray], task: str
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """For each variant a row for each replicate with the metrics that it has; and one row for each epoch of each."""
    tables, histories = {}, []
    for variant in study.variants:
        extra, rows, recipe = metrics_on_demand(study, variant), [], study.recipes[variant]
        known = {"test": labels["test"]} if recipe.k_fold or recipe.train.validation_rows else labels
        for seed in study.seeds(variant):
            metrics, history = read_replicate(runs / variant / str(seed), known, task, extra)
            rows.append({"variant": variant, "seed": seed, **metrics})
            histories.append(history.assign(variant=variant, seed=seed))
        tables[variant] = pd.DataFrame(rows)
    return tables, pd.concat(histories)


def summary_of(tables: Mapping[str, pd.DataFrame], confidence: float) -> pd.DataFrame:
    """Mean, standard deviation and interval of every metric of every variant, over its replicates."""
    rows = []
    for variant, table in tables.items():
        for metric in table.columns.drop(["variant", "seed"]):
            values = table[metric].to_numpy()
            interval_of = verdicts.share_interval if is_share(metric) else verdicts.mean_interval
            interval = interval_of(values.tolist(), confidence)
            finite = math.isfinite(interval.mean)
            numbers = {
                "mean": interval.mean if finite else rank_value(metric, math.nan),
                "sd": float(values.std(ddof=1)) if finite and len(values) > 1 else 0.0 if finite else math.nan,
                "low": interval.low,
                "high": interval.high,
            }
            rows.append({"variant": variant, "metric": metric, "replicates": len(table), **shown_row(metric, numbers)})
    return pd.DataFrame(rows)


def shown_row(metric: str, numbers: dict[str, float]) -> dict[str, float | str]:
    return {name: round_or_word(metric, value, DIGITS) for name, value in numbers.items()}


def judged_by(study: Study, claim: Claim, variant: str) -> int:
    """How many replicates of a variant, the first ones, a claim is judged by: all of its folds, or as many as it asks for."""
    return len(study.seeds(variant)) if study.recipes[variant].k_fold else study.claim_seeds(claim)


def values_of(study: Study, claim: Claim, replicates: pd.DataFrame) -> list[list[float]]:
    """For each of a claim's variants the values that it is judged by, the worst infinite.

    They are of the first seeds, as many as the claim asks for, whatever other claims do. `replicates` has a column of the
    claim's metric.
    """
    groups = []
    for variant in claim.variants:
        chosen = (replicates["variant"] == variant) & (replicates["seed"] < judged_by(study, claim, variant))
        groups.append([rank_value(claim.metric, float(value)) for value in replicates.loc[chosen, claim.metric]])
    return groups


def judge_claim(study: Study, claim: Claim, replicates: pd.DataFrame) -> verdicts.Judgement:
    """The verdict of a claim; `replicates` as for values_of."""
    groups, share = values_of(study, claim, replicates), is_share(claim.metric)
    return verdicts.judge(groups, claim.expect, claim.margin, claim.threshold, study.statistics.confidence, share)


def claims_table(study: Study, replicates: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """One row for each of the named claims: what was expected, what was measured, the verdict."""
    rows = []
    for name in names:
        claim = study.claims[name]
        judgement = judge_claim(study, claim, replicates)
        numbers = {"effect": judgement.effect, "low": judgement.low, "high": judgement.high}
        rows.append(
            {
                "claim": name,
                "verdict": judgement.verdict,
                **shown_row(claim.metric, numbers),
                "close": judgement.close,
                "replicates": min(judged_by(study, claim, variant) for variant in claim.variants),
                "metric": claim.metric,
                "expect": claim.expect,
                "threshold": claim.threshold,
                "margin": claim.margin,
            }
        )
    return pd.DataFrame(rows, columns=CLAIM_COLUMNS)


def curves_of(histories: pd.DataFrame) -> pd.DataFrame:
    """Mean, smallest and largest value of every curve at every epoch, over the replicates that were still training.

    Where one of them diverged there is no mean; the extremes are those of the others.
    """
    groups = histories.groupby(["variant", "epoch"], sort=False)
    curves = groups.size().rename("replicates").to_frame()
    for name in histories.columns.drop(["variant", "seed", "epoch"]):
        curves[f"{name}_mean"] = groups[name].mean().where(groups[name].count() == groups.size())
        curves[f"{name}_min"], curves[f"{name}_max"] = groups[name].min(), groups[name].max()
    return curves.reset_index()


def confusion_of(study: Study, runs: Path, labels: np.ndarray, class_names: list[str]) -> pd.DataFrame:
    """For each variant and true class, the test rows by predicted class, and the share that is right.

    Over all replicates but those that diverged: a network of NaN predicts nothing.
    """
    rows = []
    for variant in study.variants:
        counts = np.zeros((len(class_names), len(class_names)), dtype=int)
        for seed in study.seeds(variant):
            predictions = read_arrays(runs / variant / str(seed) / "predictions.npz")["test"]
            if np.isfinite(predictions).all():
                np.add.at(counts, (labels, scores.predicted_classes(predictions)), 1)
        for true, name in enumerate(class_names):
            total = counts[true].sum()
            right = round(float(counts[true, true] / total), DIGITS) if total else math.nan
            rows.append(
                {
                    "variant": variant,
                    "class": name,
                    "accuracy": right,
                    **dict(zip(class_names, counts[true], strict=True)),
                }
            )
    return pd.DataFrame(rows)


def diagnostics_of(study: Study, runs: Path) -> pd.DataFrame:
    """For each variant and layer, before training, after the first epoch and after the last, the mean over the replicates.

    The columns of stages/lib/diagnostics.py, whose docstring says what they are; no rows where the study measures none. Where
    early stopping ended replicates at different epochs, the last epoch is their mean one. What is not finite does not count.
    """
    tables = []
    for variant in study.variants if study.replicates.diagnostics else ():
        for seed in study.seeds(variant):
            table = pd.read_csv(runs / variant / str(seed) / "diagnostics.csv")
            last = table["epoch"] == table["epoch"].max()
            moment = np.where(table["epoch"] == 0, 0, np.where(last & (table["epoch"] > 1), 2, 1))
            tables.append(table.assign(variant=variant, moment=moment))
    if not tables:
        return pd.DataFrame(columns=DIAGNOSTICS)
    means = pd.concat(tables).replace([math.inf, -math.inf], math.nan).groupby(["variant", "moment", "layer"], sort=False)
    return means.mean().reset_index().round({"epoch": 0}).astype({"epoch": int})[DIAGNOSTICS]


def residuals_of(study: Study, runs: Path, targets: np.ndarray) -> pd.DataFrame:
    """For each variant and each tenth of the test rows by target, the mean target, prediction and absolute error.

    Over all replicates but those that diverged, in the target's unit.
    """
    rows = []
    tenths = np.array_split(np.argsort(targets, kind="stable"), min(TENTHS, len(targets)))
    for variant in study.variants:
        predictions = [read_arrays(runs / variant / str(seed) / "predictions.npz")["test"] for seed in study.seeds(variant)]
        kept = [each[:, 0].astype(np.float64) for each in predictions if np.isfinite(each).all()]
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


def metrics_of(summary: pd.DataFrame, claims: pd.DataFrame, task: str) -> dict[str, Any]:
    """What `dvc metrics diff` compares: one headline a variant, and for each claim its verdict and effect."""
    headline = HEADLINES[task]
    chosen = summary[summary["metric"] == headline]
    return {
        "variants": {row.variant: {headline: row.mean} for row in chosen.itertuples()},
        "claims": {row.claim: {"verdict": row.verdict, "effect": row.effect} for row in claims.itertuples()},
    }
