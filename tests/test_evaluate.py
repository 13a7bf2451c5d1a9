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
from conftest import ROOT, SMALL, merged

from stages import evaluate
from stages.lib.files import arrays_to_bytes, write_bytes
from stages.lib.prepared import Prepared, write_prepared
from stages.lib.verdicts import mean_interval

ROWS = 10
LABELS = np.arange(ROWS) % 2
"""Of ten rows of two classes, in every split."""
BETTER = {
    "says": "Good is better.",
    "compare": ["bad", "good"],
    "metric": "test_accuracy",
    "expect": "higher",
    "margin": 0.1,
}
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
) -> None:
    """One replicate: `right` of ten test rows, and a history with these training accuracies."""
    folder.mkdir(parents=True, exist_ok=True)
    epochs = range(1, len(accuracies) + 1)
    history = pd.DataFrame({"epoch": epochs, "loss": [loss * epoch for epoch in epochs], "accuracy": accuracies})
    history.assign(val_loss=loss, val_accuracy=0.5).to_csv(folder / "history.csv", index=False, na_rep="nan")
    scores = {split: {"loss": f"{loss:.9g}", "accuracy": "0.75"} for split in ("train", "validation", "test")}
    (folder / "scores.json").write_text(json.dumps(scores))
    test = predictions_with(right) if predictions is None else predictions
    write_bytes(folder / "predictions.npz", arrays_to_bytes({"validation": predictions_with(5), "test": test}))


class Made:
    """A study's folder with two variants: `good` has 9, 10, 9, 10, ... of ten test rows right, `bad` 5, 4, 5, 4, ..."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.write(claims={"better": BETTER})
        splits = {split: (np.zeros((ROWS, 3), np.float32), LABELS) for split in ("train", "validation", "test")}
        facts = {"task": "classification", "class_names": ["even", "odd"], "splits": {}}
        write_prepared(Prepared(splits, {}, facts), folder / "data" / "prepared")
        for seed in range(3):
            self.run("good", seed, 9 + seed % 2)
            self.run("bad", seed, 5 - seed % 2)

    def write(self, **changes: Any) -> None:
        content = {**SMALL, "variants": VARIANTS, "claims": {}}
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


def test_metrics_hold_a_headline_for_each_variant_and_a_verdict_for_each_claim(made: Made) -> None:
    """Means of 9, 10, 9 and of 5, 4, 5 of ten; the tables are sorted and rounded."""
    made.evaluate()
    assert made.text("metrics.json") == (
        "{\n"
        '  "claims": {\n'
        '    "better": {\n'
        '      "effect": 0.46667,\n'
        '      "verdict": "supported"\n'
        "    }\n"
        "  },\n"
        '  "variants": {\n'
        '    "bad": {\n'
        '      "test_accuracy": 0.46667\n'
        "    },\n"
        '    "good": {\n'
        '      "test_accuracy": 0.93333\n'
        "    }\n"
        "  }\n"
        "}\n"
    )


def test_claims_show_the_interval_and_what_was_expected(made: Made) -> None:
    """Both groups have a deviation of 0.1 / sqrt(3), so 4 degrees of freedom: 4.60409 * sqrt(2 / 3 / 300) at 99 %."""
    made.evaluate()
    assert made.text("claims.csv").splitlines() == [
        "claim,verdict,effect,low,high,close,replicates,metric,expect,threshold,margin",
        "better,supported,0.46667,0.24963,0.68371,False,3,test_accuracy,higher,,0.1",
    ]


def test_the_summary_has_every_metric_of_every_variant_in_the_order_of_the_file(made: Made) -> None:
    made.evaluate()
    summary = made.table("summary")
    assert list(summary["variant"].unique()) == ["good", "bad"]
    assert set(summary["replicates"]) == {3}
    interval = mean_interval([0.9, 1.0, 0.9], 0.99)
    assert made.summary("good", "test_accuracy") == pytest.approx([0.93333, 0.05774, interval.low, interval.high], abs=1e-5)
    assert made.summary("bad", "train_accuracy") == [0.75, 0, 0.75, 0.75]


def test_replicates_are_listed_by_variant_and_seed(made: Made) -> None:
    made.evaluate()
    replicates = made.table("replicates")
    assert replicates[["variant", "seed"]].to_numpy().tolist() == [
        [name, seed] for name in ("good", "bad") for seed in range(3)
    ]
    assert replicates["test_accuracy"].tolist() == [0.9, 1.0, 0.9, 0.5, 0.4, 0.5]
    assert replicates["generalization_gap"].tolist() == pytest.approx([-0.15, -0.25, -0.15, 0.25, 0.35, 0.25])


def test_curves_are_over_the_replicates_that_were_still_training(made: Made) -> None:
    made.run("good", 0, 9, accuracies=(0.25,))
    made.run("good", 1, 10, accuracies=(0.75, 0.5))
    made.evaluate()
    columns = ["variant", "epoch", "replicates", "accuracy_mean", "accuracy_min", "accuracy_max"]
    assert made.table("curves")[columns].to_numpy().tolist() == [
        ["good", 1, 3, 0.5, 0.25, 0.75],
        ["good", 2, 2, 0.75, 0.5, 1.0],
        ["bad", 1, 3, 0.5, 0.5, 0.5],
        ["bad", 2, 3, 1.0, 1.0, 1.0],
    ]


def test_confusion_counts_the_test_rows_of_all_replicates(made: Made) -> None:
    """`bad` has its first 5, 4 and 5 of the labels 0, 1, 0, 1, ... right: 3 + 2 + 3 of 15 zeros, 2 + 2 + 2 of 15 ones."""
    made.evaluate()
    assert made.text("confusion.csv").splitlines() == [
        "variant,class,accuracy,even,odd",
        "good,even,1.0,15,0",
        "good,odd,0.86667,2,13",
        "bad,even,0.53333,8,7",
        "bad,odd,0.4,9,6",
    ]


def test_the_same_runs_give_the_same_bytes(made: Made) -> None:
    made.evaluate()
    first = made.tables()
    assert sorted(first) == ["claims.csv", "confusion.csv", "curves.csv", "metrics.json", "replicates.csv", "summary.csv"]
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
    assert replicates["accuracy_after_epoch_1"].tolist() == [0.5] * 6
    assert replicates["epochs_to_0.9_accuracy"].tolist() == [2] * 6


# What diverged, or was never reached


def test_what_diverged_says_so_and_loses(made: Made) -> None:
    made.write(claims={"better": BETTER}, replicates={**SMALL["replicates"], "seeds": 5})
    for seed in range(5):
        made.run("good", seed, 9)
        made.run("bad", seed, 0, loss=math.nan, predictions=np.full((ROWS, 2), np.nan, np.float32))
    made.evaluate()
    assert made.metrics() == {
        "variants": {"good": {"test_accuracy": 0.9}, "bad": {"test_accuracy": "diverged"}},
        "claims": {"better": {"verdict": "supported", "effect": "diverged"}},
    }
    for metric in ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "generalization_gap", "best_val_loss"):
        assert made.summary("bad", metric) == ["diverged"] * 4
    assert made.text("claims.csv").splitlines()[1].startswith("better,supported,diverged,diverged,diverged,False,5,")
    assert made.table("replicates")["test_accuracy"].isna().tolist() == [False] * 5 + [True] * 5


def test_one_replicate_that_diverged_leaves_no_mean_and_no_verdict(made: Made) -> None:
    made.run("bad", 1, 0, loss=math.nan, predictions=np.full((ROWS, 2), np.nan, np.float32))
    made.evaluate()
    assert made.metrics()["variants"]["bad"]["test_accuracy"] == "diverged"
    assert made.metrics()["claims"]["better"]["verdict"] == "inconclusive"


def test_a_level_that_was_never_reached_says_so_and_loses(made: Made) -> None:
    slower = {**BETTER, "metric": "epochs_to_0.9_accuracy", "compare": ["good", "bad"], "margin": 0.0}
    made.write(claims={"slower": slower}, replicates={**SMALL["replicates"], "seeds": 5})
    for seed in range(5):
        made.run("good", seed, 9)
        made.run("bad", seed, 5, accuracies=(0.5, 0.6, 0.7))
    made.evaluate()
    assert made.metrics()["claims"]["slower"] == {"verdict": "supported", "effect": "never"}
    assert made.summary("bad", "epochs_to_0.9_accuracy") == ["never"] * 4
    assert made.summary("good", "epochs_to_0.9_accuracy") == ["2.0", "0.0", "2.0", "2.0"]


# Which replicates decide


def test_a_claim_with_more_seeds_moves_no_other_verdict(made: Made) -> None:
    """The replicates that only the second claim asks for are quite different."""
    made.evaluate()
    before = made.text("claims.csv").splitlines()
    made.write(claims={"better": BETTER, "still_better": {**BETTER, "seeds": 6}})
    for seed in range(3, 6):
        made.run("good", seed, 1)
        made.run("bad", seed, 10)
    made.evaluate()
    after = made.text("claims.csv").splitlines()
    assert after[:2] == before
    assert after[2].startswith("still_better,inconclusive,")
    assert made.metrics()["claims"]["still_better"]["effect"] == pytest.approx((2.8 + 0.3 - 1.4 - 3.0) / 6, abs=1e-5)
    assert len(made.table("replicates")) == 12


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
    for seed in range(3):
        made.run("good", seed, 9, loss=0.2500001)
    made.evaluate()
    assert '"effect": 0.0,' in made.text("metrics.json")


# A regression


def test_a_regression_is_measured_by_its_errors(made: Made) -> None:
    made.write(claims={"closer": {**BETTER, "metric": "test_mae", "expect": "lower", "margin": 0.0}})
    targets = np.linspace(0, 9, ROWS)
    splits = {split: (np.zeros((ROWS, 3), np.float32), targets) for split in ("train", "test")}
    facts = {"task": "regression", "class_names": [], "splits": {}}
    prepared = made.folder / "data" / "prepared"
    write_prepared(Prepared(splits, {}, facts), prepared)
    (prepared / "validation.npz").unlink()
    for variant, error in (("good", 0.5), ("bad", 2.0)):
        for seed in range(3):
            folder = made.folder / "data" / "runs" / variant / str(seed)
            pd.DataFrame({"epoch": [1], "loss": [4.0], "mae": [2.0]}).to_csv(folder / "history.csv", index=False)
            scores = {split: {"loss": f"{error**2}", "mae": f"{error}"} for split in ("train", "test")}
            (folder / "scores.json").write_text(json.dumps(scores))
            wrong = (targets + error)[:, None].astype(np.float32)
            write_bytes(folder / "predictions.npz", arrays_to_bytes({"test": wrong}))
    made.evaluate()
    assert made.metrics() == {
        "variants": {"good": {"test_loss": 0.25}, "bad": {"test_loss": 4.0}},
        "claims": {"closer": {"verdict": "supported", "effect": -1.5}},
    }
    assert "confusion.csv" not in made.tables()
    made.write(claims={"better": BETTER})
    assert made.refusal() == ("evaluate: params.yaml: claims.better.metric: test_accuracy is not measured in a regression")


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
