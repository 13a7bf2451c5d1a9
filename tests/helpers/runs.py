"""Runs that nothing trained, and what a report needs besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from helpers.study import prepared_for, study_with
from stages.lib.data.prepared import Prepared
from stages.lib.files import arrays_to_bytes, write_bytes, write_json
from stages.lib.judging import claims as judging
from stages.lib.judging import tables
from stages.lib.report import drawing
from stages.lib.report.page import page
from stages.lib.report.results import Results, with_single_runs
from stages.lib.training import views

FACTS: dict[str, Any] = {"description": "", "target": "", "feature_names": [], "first_rows": []}
"""What a report says of a data set without more to say."""


TIMED = {
    "says": "Dropout takes longer.",
    "compare": ["plain", "dropped"],
    "metric": "seconds_per_epoch",
    "expect": "higher",
}


def extremes_of(prepared: Prepared) -> dict[str, dict[str, dict[str, float]]]:
    """View -> split -> the smallest and the largest input, as `prepare` notes them."""
    return {
        name: {
            split: {"smallest": float(inputs.min()), "largest": float(inputs.max())}
            for split, inputs in ((split, views.apply(view, x, split)) for split, (x, _) in prepared.splits.items())
        }
        for name, view in prepared.views.items()
    }


def complete_facts(folder: Path, study: Any, **more: Any) -> None:
    prepared = prepared_for(study)
    facts = {**FACTS, "views": extremes_of(prepared), **prepared.facts, **more}
    write_json(folder / "data" / "prepared" / "facts.json", facts)


def write_runs(folder: Path, changes: Mapping[str, Any], diverged: str = "") -> None:
    """Runs of every variant whose predictions are right for three quarters of the rows; those of `diverged` are NaN."""
    study = study_with(changes)
    labels = {split: y for split, (_, y) in prepared_for(study).splits.items()}
    timings: dict[str, Any] = {}
    for variant in study.variants:
        for seed in study.seeds(variant):
            draw = np.random.default_rng([seed, len(variant)])
            run = folder / "data" / "runs" / variant / str(seed)
            predictions = {}
            for split in ("validation", "test"):
                scores = draw.random((len(labels[split]), 4), dtype=np.float32)
                right = draw.random(len(labels[split])) < 0.75
                scores[right, labels[split][right]] += 1
                predictions[split] = scores * np.float32(np.nan if variant == diverged else 1)
            loss = np.nan if variant == diverged else 0.5
            history = pd.DataFrame({"epoch": [1, 2], "loss": [loss, loss], "accuracy": draw.random(2)})
            run.mkdir(parents=True)
            history.assign(val_loss=loss, val_accuracy=0.5).to_csv(run / "history.csv", index=False, na_rep="nan")
            write_json(run / "scores.json", {split: {"loss": str(loss), "accuracy": "0.75"} for split in labels})
            write_bytes(run / "predictions.npz", arrays_to_bytes(predictions))
            if study.replicates.diagnostics:
                layers = [*(f"hidden_{number + 1}" for number in range(len(study.recipes[variant].model.hidden))), "outputs"]
                norms = {layer: 0.001 ** (len(layers) - number) for number, layer in enumerate(layers)}
                lines = [
                    {"epoch": epoch, "layer": layer, "weights_norm": 1.0, "gradient_norm": norm, "saturated_share": 0.25}
                    for epoch in (0, 1, 2)
                    for layer, norm in norms.items()
                ]
                table = pd.DataFrame(lines).assign(update_norm=np.nan, zero_share=np.nan)
                table.to_csv(run / "diagnostics.csv", index=False)
            seconds = 2.0 if variant == "dropped" else 1.0
            seconds += 0.01 * seed
            timings.setdefault(variant, {})[str(seed)] = {"seconds": 2 * seconds, "seconds_per_epoch": seconds}
    stage = {"trained": 9, "cached": 0, "workers": 2, "seconds": 9.0, "busy": 0.9}
    write_json(folder / "data" / "timings.json", {"replicates": timings, "stage": stage, "environment": {"numpy": "2"}})


@dataclass(frozen=True)
class Waves:
    """A regression on features without validation rows, with a source that is a link, and errata that look like tags."""

    results: Results
    prepared: Prepared

    def figures(self) -> dict[str, Figure]:
        return drawing.result_figures(self.results) | drawing.input_figures(self.results.study, self.prepared)

    def page(self) -> str:
        return page(self.results, drawing.encoded(self.figures()), {})


def waves() -> Waves:
    variants = {
        "plain": {"reported": {"test_loss": 0.4, "test_mae": 0.6, "test_rmse": 0.5}},  # one that is not measured here
        "noisy": {"ours": True, "train": {"loss": "mae"}},
    }
    claims = {"noise_hurts": {"metric": "test_loss", "expect": "higher", "margin": 0.01, "reported": "it must"}}
    study = study_with(
        {"source": "https://example.org/?a=1&b=2", "errata": ["x <b> y"], "variants": variants, "claims": claims}
        | {"data": {"split": {"validation": 0}}}
    )
    draw = np.random.default_rng(0)
    replicates = pd.DataFrame(
        {"variant": variant, "seed": seed, **dict.fromkeys(("train_loss", "test_loss", "test_mae", "epochs"), draw.random())}
        for variant in study.variants
        for seed in range(3)
    ).assign(generalization_gap=0.1)
    replicates.loc[replicates["variant"] == "noisy", "test_loss"] = [0.5, np.nan, np.inf]
    curves = replicates[["variant"]].drop_duplicates().assign(epoch=1, loss_mean=1.0, loss_min=0.5, loss_max=2.0)
    timings = {"stage": {"trained": 0, "cached": 9, "workers": 0, "seconds": 0.1, "busy": None}, "environment": {}}
    durations = replicates[["variant", "seed"]].assign(seconds=1.0, seconds_per_epoch=0.1)
    splits = {name: (draw.random((count, 3)), draw.random(count)) for name, count in (("train", 60), ("test", 20))}
    shapes = {
        name: {"shape": [len(y), 3], "type": "float64", "smallest": 0.0, "largest": 1.0} for name, (_, y) in splits.items()
    }
    facts: dict[str, Any] = {"task": "regression", "class_names": [], "title": "Waves", "licence": "none"}
    facts |= {"citation": "none", "splits": shapes}
    rows = {split: x for split, (x, _) in splits.items()}
    prepared = Prepared(splits, {name: views.fit(view, rows) for name, view in study.views.items()}, facts)
    facts |= FACTS | {"views": extremes_of(prepared), "target": "height in metres", "first_rows": [[1.0, 2.0, 3.0, 4.5]]}
    results = Results(
        study=study,
        folder=Path("studies/waves"),
        facts=facts,
        claims=with_single_runs(study, judging.judge_claims(study, replicates, ["noise_hurts"]), replicates),
        timed=with_single_runs(study, judging.judge_claims(study, durations, []), durations),
        summary=tables.summary_of({str(name): table for name, table in replicates.groupby("variant", sort=False)}, 0.99),
        replicates=replicates,
        curves=curves,
        confusion=None,
        residuals=pd.DataFrame(
            {"variant": variant, "tenth": tenth, "target": tenth, "prediction": tenth + 0.5, "mae": 0.5}
            for variant in study.variants
            for tenth in range(1, 11)
        ),
        diagnostics=pd.DataFrame(columns=tables.DIAGNOSTICS),
        durations=durations,
        timings=timings,
    )
    return Waves(results, prepared)
