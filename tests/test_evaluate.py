"""The tables of a study whose runs are made by hand: what a reviewer reads, to the byte."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.checkout import ROOT
from helpers.study import REGRESSION, SMALL
from stages import evaluate
from stages.lib.data.prepared import Prepared, write_prepared
from stages.lib.files import arrays_to_bytes, write_bytes, write_json
from stages.lib.judging import tables
from stages.lib.judging.verdicts import mean_limits
from stages.lib.study.settings import merged

ROWS = 10
LABELS = np.arange(ROWS) % 2
"""Of ten rows of two classes, in every split."""
ENVIRONMENT = {"keras": "3.15.1", "processor": ["avx2", "fma"], "variables": {}}
BETTER = {
    "says": "Good is better.",
    "compare": ["bad", "good"],
    "metric": "test_accuracy",
    "expect": "higher",
    "margin": 0.1,
}
SEEDS = 8
"""A median is decided by as many."""
REPLICATES = {**SMALL["replicates"], "seeds": SEEDS}
VARIANTS = {
    "good": {"tip": "Learns.", "view": "scaled"},
    "bad": {"tip": "Does not.", "extends": "good", "model": {"hidden": [1]}},
}


def predictions_with(right: int) -> np.ndarray:
    """Scores of the two classes, (10, 2), whose first `right` rows are right."""
    answers = np.where(np.arange(ROWS) < right, LABELS, 1 - LABELS)
    return np.eye(2, dtype=np.float32)[answers]


def write_run(
    folder: Path,
    right: int,
    accuracies: tuple[float, ...] = (0.5, 1.0),
    loss: float = 0.25,
    predictions: np.ndarray | None = None,
    validation: int | None = 5,
) -> None:
    """One replicate: `right` of ten test rows, `validation` of ten (none: unmeasured), a history of these accuracies."""
    folder.mkdir(parents=True, exist_ok=True)
    epochs = range(1, len(accuracies) + 1)
    history = pd.DataFrame({"epoch": epochs, "loss": [loss * epoch for epoch in epochs], "accuracy": accuracies})
    splits = ["train", "test"]
    arrays = {"test": predictions_with(right) if predictions is None else predictions}
    if validation is not None:
        splits.append("validation")
        arrays["validation"] = predictions_with(validation)
        history = history.assign(val_loss=loss, val_accuracy=0.5)
    history.to_csv(folder / "history.csv", index=False, na_rep="nan")
    scores = {split: {"loss": f"{loss:.9g}", "accuracy": "0.75"} for split in splits}
    (folder / "scores.json").write_text(json.dumps(scores))
    write_bytes(folder / "predictions.npz", arrays_to_bytes(arrays))


class Made:
    """A study's folder with two variants: `good` has 9, 10, 9, 10, ... of ten test rows right, `bad` 7, 6, 7, 6, ..."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.write(claims={"better": BETTER})
        splits = {split: (np.zeros((ROWS, 3), np.float32), LABELS) for split in ("train", "validation", "test")}
        facts = {"task": "classification", "class_names": ["even", "odd"], "splits": {}}
        write_prepared(Prepared(splits, {}, facts), folder / "data" / "prepared")
        write_json(folder / "data" / "timings.json", {"environment": ENVIRONMENT})
        for seed in range(SEEDS):
            self.run("good", seed, 9 + seed % 2)
            self.run("bad", seed, 7 - seed % 2)

    def write(self, **changes: Any) -> None:
        content = {**SMALL, "variants": VARIANTS, "claims": {}, "replicates": REPLICATES}
        text = json.dumps({**content, **changes})  # which is YAML too
        (self.folder / "params.yaml").write_text(text, encoding="utf-8")

    def run(self, variant: str, seed: int, right: int, **changes: Any) -> None:
        write_run(self.folder / "data" / "runs" / variant / str(seed), right, **changes)

    def evaluate(self) -> None:
        self.monkeypatch.setattr(sys, "argv", ["evaluate", str(self.folder)])
        evaluate.main()

    def refusal(self) -> str:
        with pytest.raises(SystemExit) as caught:
            self.evaluate()
        return str(caught.value.code).replace(str(self.folder), "STUDY")

    def text(self, name: str) -> str:
        return (self.folder / "metrics" / name).read_text(encoding="utf-8")

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.folder / "metrics" / f"{name}.csv")

    def summary(self, variant: str, metric: str) -> list[Any]:
        """Mean, deviation and interval."""
        rows = self.table("summary").to_dict("records")
        (row,) = [row for row in rows if (row["variant"], row["metric"]) == (variant, metric)]
        return [row[name] for name in ("mean", "sd", "low", "high")]

    def metrics(self) -> Any:
        return json.loads(self.text("metrics.json"))

    def tables(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / "metrics").iterdir()}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(tmp_path, monkeypatch)


def test_a_claim_may_judge_a_metric_of_predictions_and_one_of_the_study_s_own(made: Made) -> None:
    """The classes have five rows each; 9 or 10 of ten are right, and 7 or 6."""
    (made.folder / "metrics.py").write_text('def wrong(labels, predictions):\n    """Rows."""\n    return 10.0\n')
    claims = {
        "balanced": {**BETTER, "metric": "test_balanced_accuracy"},
        "own": {**BETTER, "metric": "own.wrong", "margin": 0.0},
        "ranked": {**BETTER, "metric": "test_roc_auc"},
    }
    made.evaluate()
    before = made.table("summary")
    made.write(claims=claims)
    made.evaluate()
    assert made.summary("good", "test_balanced_accuracy") == made.summary("good", "test_accuracy")
    assert made.summary("bad", "own.wrong")[:2] == [10.0, 0.0]
    added = ["test_balanced_accuracy", "test_roc_auc", "own.wrong"]
    assert list(made.table("replicates").columns)[-3:] == added
    kept = made.table("summary")
    pd.testing.assert_frame_equal(kept[~kept["metric"].isin(added)].reset_index(drop=True), before, check_dtype=False)
    assert list(made.table("claims")["verdict"]) == ["supported", "equivalent", "supported"]


def test_a_mistake_in_metrics_py_is_one_line(made: Made) -> None:
    (made.folder / "metrics.py").write_text('def cost(labels, predictions):\n    """Money."""\n    return labels["a"]\n')
    made.write(claims={"own": {**BETTER, "metric": "own.cost"}})
    assert made.refusal().startswith("evaluate: STUDY/metrics.py: line 3: own.cost: IndexError: only integers")


def test_rows_of_one_class_leave_a_metric_undefined_and_say_so(made: Made) -> None:
    splits = {split: (np.zeros((ROWS, 3), np.float32), LABELS * 0) for split in ("train", "validation", "test")}
    write_prepared(
        Prepared(splits, {}, {"task": "classification", "class_names": ["even", "odd"]}), made.folder / "data/prepared"
    )
    made.write(claims={"own": {**BETTER, "metric": "test_roc_auc"}})
    made.evaluate()
    assert made.summary("good", "test_roc_auc")[0] == "undefined"
    assert made.table("claims")["effect"].tolist() == ["undefined"]


def test_metrics_hold_a_headline_for_each_variant_and_a_verdict_for_each_claim(made: Made) -> None:
    """Means of 9, 10, 9, ... and of 7, 6, 7, ... of ten; the tables are sorted and rounded."""
    made.evaluate()
    assert made.text("metrics.json") == (
        "{\n"
        '  "claims": {\n'
        '    "better": {\n'
        '      "effect": 0.3,\n'
        '      "verdict": "supported"\n'
        "    }\n"
        "  },\n"
        '  "variants": {\n'
        '    "bad": {\n'
        '      "test_accuracy": 0.65\n'
        "    },\n"
        '    "good": {\n'
        '      "test_accuracy": 0.95\n'
        "    }\n"
        "  }\n"
        "}\n"
    )


def test_claims_show_the_interval_and_what_was_expected(made: Made) -> None:
    """Both groups have a variance of 0.02 / 7, so 14 degrees of freedom, of which half count: 3.49948 * sqrt(0.04 / 56)."""
    made.evaluate()
    names = ["verdict", "effect", "low", "high", "close", "replicates", "by", "decided_after"]
    row = made.table("claims").iloc[0]
    assert row[names].tolist() == ["supported", 0.3, 0.20647, 0.39353, False, 8, "mean", 8]
    assert (row["metric"], row["expect"], row["margin"]) == ("test_accuracy", "higher", 0.1)


def test_the_summary_has_every_metric_of_every_variant_in_the_order_of_the_file(made: Made) -> None:
    made.evaluate()
    summary = made.table("summary")
    assert list(summary["variant"].unique()) == ["good", "bad"]
    assert set(summary["replicates"]) == {SEEDS}
    low, high = map(float, mean_limits([np.array([0.9, 1.0] * 4)], 0.01))
    measured = [float(cell) for cell in made.summary("good", "test_accuracy")]
    assert measured == pytest.approx([0.95, 0.05345, low, min(high, 1.0)], abs=1e-5)
    assert made.summary("bad", "train_accuracy") == [0.75, 0.0, "none", "none"]


def test_replicates_are_listed_by_variant_and_seed(made: Made) -> None:
    made.evaluate()
    replicates = made.table("replicates")
    assert replicates[["variant", "seed"]].to_numpy().tolist() == [
        [name, seed] for name in ("good", "bad") for seed in range(SEEDS)
    ]
    assert replicates["test_accuracy"].tolist() == [0.9, 1.0] * 4 + [0.7, 0.6] * 4
    assert replicates["generalization_gap"].tolist() == pytest.approx([-0.15, -0.25] * 4 + [0.05, 0.15] * 4)


def test_curves_are_over_the_replicates_that_were_still_training(made: Made) -> None:
    made.run("good", 0, 9, accuracies=(0.25,))
    made.run("good", 1, 10, accuracies=(0.75, 0.5))
    made.evaluate()
    columns = ["variant", "epoch", "replicates", "accuracy_mean", "accuracy_min", "accuracy_max"]
    assert made.table("curves")[columns].to_numpy().tolist() == [
        ["good", 1, 8, 0.5, 0.25, 0.75],
        ["good", 2, 7, 0.92857, 0.5, 1.0],
        ["bad", 1, 8, 0.5, 0.5, 0.5],
        ["bad", 2, 8, 1.0, 1.0, 1.0],
    ]


def test_confusion_counts_the_test_rows_of_all_replicates(made: Made) -> None:
    """`bad` has its first 7 or 6 of the labels 0, 1, 0, 1, ... right: 4 or 3 of 5 zeros, 3 of 5 ones."""
    made.evaluate()
    assert made.text("confusion.csv").splitlines() == [
        "variant,class,accuracy,even,odd",
        "good,even,1.0,40,0",
        "good,odd,0.9,4,36",
        "bad,even,0.7,28,12",
        "bad,odd,0.6,16,24",
    ]


def test_the_same_runs_give_the_same_bytes(made: Made) -> None:
    made.evaluate()
    first = made.tables()
    assert sorted(first) == [
        *("claims.csv", "confusion.csv", "curves.csv", "diagnostics.csv", "environment.json", "metrics.json"),
        *("replicates.csv", "summary.csv"),
    ]
    made.evaluate()
    assert made.tables() == first
    for content in first.values():
        assert content.endswith(b"\n")
        assert b"\r" not in content
        assert b"nan" not in content.lower()


def test_metrics_that_claims_or_the_source_name_become_columns(made: Made) -> None:
    first = {**BETTER, "metric": "accuracy_after_epoch_1"}
    reported = merged(VARIANTS, {"good": {"reported": {"epochs_to_0.9_accuracy": 3}}})
    made.write(claims={"first": first}, variants=reported)
    made.evaluate()
    replicates = made.table("replicates")
    assert replicates["accuracy_after_epoch_1"].tolist() == [0.5] * 2 * SEEDS
    assert replicates["epochs_to_0.9_accuracy"].tolist() == [2] * 2 * SEEDS


# What diverged, or was never reached


def test_what_diverged_says_so_and_loses(made: Made) -> None:
    for seed in range(SEEDS):
        made.run("good", seed, 9)
        made.run("bad", seed, 0, loss=math.nan, predictions=np.full((ROWS, 2), np.nan, np.float32))
    made.evaluate()
    assert made.metrics() == {
        "variants": {"good": {"test_accuracy": 0.9}, "bad": {"test_accuracy": "diverged"}},
        "claims": {"better": {"verdict": "supported", "effect": "diverged"}},
    }
    for metric in ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "generalization_gap", "best_val_loss"):
        assert made.summary("bad", metric) == ["diverged"] * 4
    assert made.text("claims.csv").splitlines()[1].startswith("better,supported,diverged,diverged,diverged,False,8,")
    assert made.table("replicates")["test_accuracy"].isna().tolist() == [False] * SEEDS + [True] * SEEDS


def test_one_replicate_that_diverged_leaves_no_mean(made: Made) -> None:
    made.run("bad", 1, 0, loss=math.nan, predictions=np.full((ROWS, 2), np.nan, np.float32))
    made.evaluate()
    assert made.metrics()["variants"]["bad"]["test_accuracy"] == "diverged"
    row = made.table("claims").iloc[0]
    assert (row["verdict"], row["by"]) == ("supported", "median")


def test_a_level_that_was_never_reached_says_so_and_loses(made: Made) -> None:
    slower = {**BETTER, "metric": "epochs_to_0.9_accuracy", "compare": ["good", "bad"], "margin": 0.0}
    made.write(claims={"slower": slower})
    for seed in range(SEEDS):
        made.run("good", seed, 9)
        made.run("bad", seed, 5, accuracies=(0.5, 0.6, 0.7))
    made.evaluate()
    assert made.metrics()["claims"]["slower"] == {"verdict": "supported", "effect": "never"}
    assert made.summary("bad", "epochs_to_0.9_accuracy") == ["never"] * 4
    assert made.summary("good", "epochs_to_0.9_accuracy") == ["2.0", "0.0", "none", "none"]


# Which replicates decide


def test_a_later_look_moves_no_verdict_of_an_earlier_one(made: Made) -> None:
    """The replicates of the second look are quite different. Only the undecided claim has them."""
    much = {**BETTER, "margin": 0.25}
    made.write(claims={"better": BETTER, "much_better": much}, statistics={"looks": [6, 8]})
    for seed in range(6, 8):
        made.run("good", seed, 1)
        made.run("bad", seed, 10)
    made.evaluate()
    claims = made.table("claims")
    assert claims["replicates"].tolist() == [6, 8]
    assert claims["verdict"].tolist() == ["supported", "inconclusive"]
    assert claims.loc[0, "effect"] == 0.3


def test_a_claim_about_time_is_in_no_tracked_table(made: Made) -> None:
    made.write(claims={"better": BETTER, "faster": {**BETTER, "metric": "seconds_per_epoch", "margin": 0.0}})
    made.evaluate()
    assert list(made.metrics()["claims"]) == ["better"]
    assert made.table("claims")["claim"].tolist() == ["better"]
    assert not any("seconds" in made.text(name) for name in made.tables())


def test_a_study_without_claims_still_has_tables_with_headers(made: Made) -> None:
    made.write()
    made.evaluate()
    assert made.metrics()["claims"] == {}
    assert list(made.table("claims").columns)[:2] == ["claim", "verdict"]
    assert made.table("claims").empty


def test_an_effect_that_rounds_to_nothing_has_no_sign(made: Made) -> None:
    made.write(claims={"same": {**BETTER, "expect": "same", "compare": ["good", "bad"], "metric": "train_loss"}})
    for seed in range(SEEDS):
        made.run("good", seed, 9, loss=0.2500001)
    made.evaluate()
    assert '"effect": 0.0,' in made.text("metrics.json")


def test_a_variant_whose_loss_was_not_finite_says_how_often(made: Made) -> None:
    """Only in the tables of a study that asks for it."""
    made.evaluate()
    assert "diverged" not in made.table("replicates")
    failing = {"says": "It fails.", "variant": "bad", "metric": "diverged", "expect": "at_least", "threshold": 0.1}
    made.write(claims={"fails": failing})
    for seed in range(2):
        made.run("bad", seed, 0, loss=math.nan, predictions=np.full((ROWS, 2), np.nan, np.float32))
    made.evaluate()
    assert made.table("replicates")["diverged"].tolist() == [0] * 8 + [1, 1] + [0] * 6
    assert made.metrics()["claims"]["fails"] == {"verdict": "inconclusive", "effect": 0.25}
    for seed in range(2, SEEDS):
        made.run("bad", seed, 0, loss=math.inf, predictions=np.full((ROWS, 2), np.nan, np.float32))
    made.evaluate()
    assert made.metrics()["claims"]["fails"] == {"verdict": "supported", "effect": 1.0}


# Validation rows that only some variants have

ROWS_AS_GIVEN = {"train": {"part": "all", "rows": [0, 10]}, "test": {"part": "all", "rows": [10, 20]}}
UNVALIDATED = {"dataset": "blobs", "split": {"method": "rows", "validation": "none", **ROWS_AS_GIVEN}}


def without_validation(made: Made, **changes: Any) -> None:
    """The study with a split that sets no validation rows apart."""
    made.write(data=merged(UNVALIDATED, changes.pop("data", {})), **changes)
    (made.folder / "data" / "prepared" / "validation.npz").unlink()


def test_a_variant_with_held_out_rows_has_metrics_that_the_other_lacks(made: Made) -> None:
    """The labels of those rows are in no prepared split: training measured the accuracy on them, 0.75."""
    smooth = {"says": "It is smooth.", "variant": "good", "metric": "val_loss_roughness", "expect": "at_most", "threshold": 1}
    held = merged(VARIANTS, {"good": {"train": {"validation_rows": 5}}, "bad": {"train": {"validation_rows": 0}}})
    without_validation(made, claims={"better": BETTER, "smooth": smooth}, variants=held)
    for seed in range(SEEDS):
        made.run("good", seed, 9, accuracies=(0.5,) * 7, validation=5)
        made.run("bad", seed, 7, validation=None)
    made.evaluate()
    replicates = made.table("replicates")
    assert replicates["val_accuracy"].fillna(-1).tolist() == [0.75] * SEEDS + [-1] * SEEDS
    assert replicates["test_accuracy"].tolist() == [0.9] * SEEDS + [0.7] * SEEDS
    assert float(made.summary("good", "val_accuracy")[0]) == 0.75
    only_good = {"val_loss", "val_accuracy", "best_val_loss", "best_val_accuracy", "best_epoch", "best_val_minus_test_accuracy"}
    metrics = {name: set(table["metric"]) for name, table in made.table("summary").groupby("variant")}
    assert metrics["good"] - metrics["bad"] == only_good | {"val_loss_roughness"}
    assert made.metrics()["claims"]["smooth"] == {"verdict": "supported", "effect": 0.0}
    curves = {variant: table["val_loss_mean"] for variant, table in made.table("curves").groupby("variant")}
    assert curves["good"].tolist() == [0.25] * 7
    assert curves["bad"].isna().all()


def test_a_variant_with_folds_is_judged_by_all_of_them(made: Made) -> None:
    """Whose validation rows are others than the split's, and of another number: four folds, against eight seeds of `bad`."""
    folds = {"folds": 2, "repeats": 2, "seed": 0}
    folded = merged(VARIANTS, {"good": {"k_fold": True}, "bad": {"k_fold": False}})
    data = {**SMALL["data"], "k_fold": folds}
    made.write(claims={"better": BETTER}, variants=folded, data=data)
    for fold in range(4):
        made.run("good", fold, 10 if fold == 3 else 6)
        path = made.folder / "data" / "runs" / "good" / str(fold) / "predictions.npz"
        rows = np.eye(2, dtype=np.float32)[np.zeros(3 + fold, int)]
        write_bytes(path, arrays_to_bytes({"validation": rows, "test": predictions_with(10 if fold == 3 else 6)}))
    made.evaluate()
    replicates = made.table("replicates")
    assert replicates["variant"].tolist() == ["good"] * 4 + ["bad"] * SEEDS
    assert replicates["val_accuracy"].tolist() == [0.75] * 4 + [0.5] * SEEDS
    assert made.metrics()["claims"]["better"]["effect"] == pytest.approx(0.7 - 0.65, abs=1e-5)
    assert made.table("claims")["replicates"].tolist() == [4]


# Gradients, weights and activations

MEASURED = "epoch,layer,weights_norm,gradient_norm,update_norm,zero_share,saturated_share"


def write_diagnostics(made: Made, variant: str, seed: int, *lines: str) -> None:
    path = made.folder / "data" / "runs" / variant / str(seed) / "diagnostics.csv"
    path.write_text("\n".join([MEASURED, *lines]) + "\n")


@pytest.mark.parametrize("metric", ["log10_gradient_ratio_at_start", "log10_update_ratio_of_epoch_1"])
def test_a_claim_may_judge_what_was_measured_of_the_layers(metric: str, made: Made) -> None:
    """The first layer's gradient is a tenth of the output layer's in good, and a hundredth in bad; so are its updates."""
    for variant, first in (("good", 0.1), ("bad", 0.01)):
        for seed in range(SEEDS):
            start = (f"0,hidden_1,1,{first + seed / 1000},,0,", "0,outputs,1,1,,0,")
            write_diagnostics(made, variant, seed, *start, f"1,hidden_1,1,1,{first + seed / 1000},0,", "1,outputs,1,1,1,0,")
    replicates = {**REPLICATES, "diagnostics": True}
    made.write(claims={"flows": {**BETTER, "metric": metric, "margin": 0.01}}, replicates=replicates)
    made.evaluate()
    row = made.table("claims").iloc[0]
    assert row["verdict"] == "supported"
    ratios = [first + seed / 1000 for first in (0.1, 0.01) for seed in range(SEEDS)]
    assert made.table("replicates")[metric].tolist() == pytest.approx([math.log10(ratio) for ratio in ratios], abs=1e-5)


@pytest.mark.parametrize(("penalty", "expected"), [(0.0, True), (0.01, False)])
def test_a_loss_is_judged_on_other_rows_if_it_is_the_mean_of_what_each_row_adds(
    penalty: float, expected: bool, made: Made
) -> None:
    draw = np.random.default_rng(0)
    for variant, right in (("good", 0.9), ("bad", 0.6)):
        for seed in range(6):
            share = np.clip(right + draw.normal(0, 0.005, ROWS), 0.01, 0.99)
            predictions = np.where(np.eye(2)[LABELS] == 1, share[:, None], 1 - share[:, None]).astype(np.float32)
            made.run(variant, seed, 5, predictions=predictions, loss=float(-np.log(share).mean()) + penalty)
    made.write(claims={"lower": {**BETTER, "metric": "test_loss", "expect": "lower"}}, statistics={"looks": [6]})
    made.evaluate()
    row = made.table("claims").iloc[0]
    assert row["verdict"] == "supported"
    assert (row["on_other_rows"] == "supported") == expected
    assert (row["rows_high"] >= row["high"]) == expected


def test_a_study_that_measures_no_gradients_has_a_table_without_rows(made: Made) -> None:
    made.evaluate()
    assert made.text("diagnostics.csv") == f"variant,{MEASURED}\n"


def test_diagnostics_are_means_before_training_after_its_first_epoch_and_after_its_last(made: Made) -> None:
    """Whichever epoch was the last, also the first; what is not finite does not count, and layers keep their order."""
    made.write(replicates={**SMALL["replicates"], "diagnostics": True, "seeds": 2})
    one = "{epoch},outputs,{weights},1,{update},nan,nan\n{epoch},hidden_1,0,{gradient},0,0.5,0.25".format
    before = {"epoch": 0, "update": "nan"}
    first = one(**before, weights=2, gradient="inf"), one(epoch=1, weights=4, update=2, gradient=3)
    write_diagnostics(made, "good", 0, *first, one(epoch=5, weights=6, update=1, gradient=1))
    second = one(**before, weights=4, gradient=7), one(epoch=1, weights=5, update=1, gradient=5)
    write_diagnostics(made, "good", 1, *second, one(epoch=9, weights=9, update=0.33333333, gradient=1))
    for seed in range(2):  # one epoch in all
        write_diagnostics(
            made, "bad", seed, one(**before, weights=1, gradient=1), one(epoch=1, weights=2, update=1, gradient=1)
        )
    made.evaluate()
    assert made.text("diagnostics.csv").splitlines() == [
        f"variant,{MEASURED}",
        "good,0,outputs,3,1,,,",
        "good,0,hidden_1,0,7,0,0.5,0.25",
        "good,1,outputs,4.5,1,1.5,,",
        "good,1,hidden_1,0,4,0,0.5,0.25",
        "good,7,outputs,7.5,1,0.6667,,",
        "good,7,hidden_1,0,1,0,0.5,0.25",
        "bad,0,outputs,1,1,,,",
        "bad,0,hidden_1,0,1,0,0.5,0.25",
        "bad,1,outputs,2,1,1,,",
        "bad,1,hidden_1,0,1,0,0.5,0.25",
    ]


# A regression

TARGETS = np.array([9.0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 19, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20])
"""0 to 20, not in order."""


def write_regression(made: Made, variant: str, seed: int, predictions: np.ndarray) -> None:
    """A replicate whose predictions of the test rows are these."""
    folder = made.folder / "data" / "runs" / variant / str(seed)
    pd.DataFrame({"epoch": [1], "loss": [4.0], "mae": [2.0]}).to_csv(folder / "history.csv", index=False)
    errors = predictions[:, 0] - TARGETS
    numbers = {"loss": f"{np.mean(errors**2):.9g}", "mae": f"{np.abs(errors).mean():.9g}"}
    (folder / "scores.json").write_text(json.dumps({"train": numbers, "test": numbers}))
    write_bytes(folder / "predictions.npz", arrays_to_bytes({"test": predictions.astype(np.float32)}))


def regression(made: Made, **changes: Any) -> None:
    """Make the study a regression: `good` is 0.5 too high, `bad` is 2 too low."""
    made.write(**{name: SMALL[name] | section for name, section in REGRESSION.items()}, **changes)
    splits = {split: (np.zeros((len(TARGETS), 3), np.float32), TARGETS) for split in ("train", "test")}
    prepared = made.folder / "data" / "prepared"
    write_prepared(Prepared(splits, {}, {"task": "regression", "class_names": [], "splits": {}}), prepared)
    (prepared / "validation.npz").unlink()
    for variant, error in (("good", 0.5), ("bad", -2.0)):
        for seed in range(SEEDS):
            write_regression(made, variant, seed, (TARGETS + error)[:, None])


def test_a_regression_is_measured_by_its_errors(made: Made) -> None:
    regression(made, claims={"closer": {**BETTER, "metric": "test_mae", "expect": "lower", "margin": 0.0}})
    made.evaluate()
    assert made.metrics() == {
        "variants": {"good": {"test_loss": 0.25}, "bad": {"test_loss": 4.0}},
        "claims": {"closer": {"verdict": "supported", "effect": -1.5}},
    }
    assert made.summary("bad", "test_rmse") == [2.0, 0.0, "none", "none"]
    assert "confusion.csv" not in made.tables()
    made.write(claims={"better": BETTER})
    assert made.refusal() == (
        "evaluate: STUDY/params.yaml: claims.better.metric: test_accuracy is not measured in a regression"
    )


def test_residuals_are_by_tenths_of_the_targets_over_the_replicates_that_did_not_diverge(made: Made) -> None:
    """The first tenth of 0 to 20 has three rows, the others two; `good` is off by 0.5 in six replicates, by -1.5 in two."""
    regression(made)
    for seed in (1, 2):
        write_regression(made, "good", seed, (TARGETS - 1.5)[:, None])
    write_regression(made, "bad", 0, np.full((len(TARGETS), 1), np.nan))
    made.evaluate()
    lines = made.text("residuals.csv").splitlines()
    assert lines[:3] == ["variant,tenth,target,prediction,mae", "good,1,1.0,1.0,0.75", "good,2,3.5,3.5,0.75"]
    assert lines[10:13] == ["good,10,19.5,19.5,0.75", "bad,1,1.0,-1.0,2.0", "bad,2,3.5,1.5,2.0"]
    assert len(lines) == 21
    for seed in range(SEEDS):
        write_regression(made, "bad", seed, np.full((len(TARGETS), 1), np.inf))
    made.evaluate()
    assert made.text("residuals.csv").splitlines()[11:13] == ["bad,1,1.0,,", "bad,2,3.5,,"]


def test_fewer_test_rows_than_tenths_are_shown_one_by_one(made: Made) -> None:
    for variant in VARIANTS:
        for seed in range(SEEDS):
            path = made.folder / "data" / "runs" / variant / str(seed) / "predictions.npz"
            write_bytes(path, arrays_to_bytes({"test": TARGETS[:4, None] + 1}))
    table = tables.residuals_of(evaluate.load_study(made.folder), made.folder / "data" / "runs", TARGETS[:4])
    assert table["target"].tolist() == [0, 1, 2, 9] * 2
    assert set(table["mae"]) == {1.0}


def test_two_outputs_of_one_variant_alone_can_be_judged(made: Made) -> None:
    """The joint output is 0.5 too high, the deep one 1 too low; the residuals are those of the joint one."""
    two = {"wide_deep": {"api": "functional", "auxiliary_output": True}, "hidden": [2]}
    claim = {"says": "Joint.", "variant": "good", "metric": "test_mse_joint_minus_deep", "expect": "at_most", "threshold": 0.0}
    variants = merged(VARIANTS, {"good": {"model": two}, "bad": {"model": {"wide_deep": {"auxiliary_output": False}}}})
    regression(made, claims={"joint": claim}, variants=variants)
    for seed in range(SEEDS):
        write_regression(made, "good", seed, np.stack([TARGETS + 0.5, TARGETS - 1.0], axis=1))
    made.evaluate()
    assert made.metrics()["claims"]["joint"] == {"verdict": "supported", "effect": -0.75}
    assert made.table("replicates")["test_mse_deep"].fillna(-1).tolist() == [1.0] * SEEDS + [-1] * SEEDS
    residuals = made.table("residuals").set_index("variant").loc["good"]
    assert (residuals["prediction"] - residuals["target"]).tolist() == pytest.approx([0.5] * 10)


# Mistakes


@pytest.mark.parametrize("name", ["history.csv", "scores.json", "predictions.npz"])
def test_a_replicate_that_was_not_trained_is_refused_in_one_line(name: str, made: Made) -> None:
    (made.folder / "data" / "runs" / "bad" / "2" / name).unlink()
    assert made.refusal() == f"evaluate: STUDY/data/runs/bad/2/{name} is missing; run `dvc repro`, or the train stage first"
    assert not (made.folder / "metrics").exists()


def test_data_that_were_not_prepared_are_refused_in_one_line(made: Made) -> None:
    (made.folder / "data" / "prepared" / "facts.json").unlink()
    assert made.refusal() == (
        "evaluate: STUDY/data/prepared/facts.json is missing; run `dvc repro`, or the prepare stage first"
    )


def test_a_mistake_in_the_settings_is_refused_in_one_line(made: Made) -> None:
    made.write(claims={"better": {**BETTER, "metric": "test_acuracy"}})
    assert made.refusal().startswith("evaluate: STUDY/params.yaml: claims.better.metric: unknown metric 'test_acuracy'")


def test_evaluating_imports_no_tensorflow_and_no_keras(made: Made) -> None:
    check = (
        "import sys; from stages import evaluate; evaluate.main(); "
        "print([name for name in ('keras', 'tensorflow', 'jax', 'torch', 'dask') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check, str(made.folder)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert made.metrics()["claims"]["better"]["verdict"] == "supported"


def test_the_environment_is_noted_but_no_duration(made: Made) -> None:
    made.evaluate()
    assert json.loads((made.folder / "metrics" / "environment.json").read_text()) == ENVIRONMENT
    (made.folder / "data" / "timings.json").unlink()
    assert made.refusal() == "evaluate: STUDY/data/timings.json is missing; run `dvc repro`, or the train stage first"
