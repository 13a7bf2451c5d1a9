"""Variants and strategies have the same form, whatever of metrics/ is there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from helpers.checkout import ROOT
from helpers.study import study_with
from stages.lib.files import write_text
from stages.lib.judging.outcome import Compared, Outcome, of_strategies, of_variants
from stages.lib.study.load import load_study

SEARCH = {
    "variant": "plain",
    "space": {"rate": {"key": "train.learning_rate", "log_uniform": [0.001, 0.1]}},
    "strategies": {"blind": {"method": "random", "reported": {"val_loss": 0.4}}, "clever": {"method": "tpe"}},
    "trials": 4,
    "batch": 2,
    "seeds": 2,
    "folds": 2,
    "refits": 1,
    "metric": "val_loss",
    "claims": {
        "clever_is_better": {
            "says": "TPE does better.",
            "compare": ["blind", "clever"],
            "metric": "val_loss",
            "expect": "lower",
        }
    },
}
CLAIMS = "claim,verdict,effect,low,high,close\n{},supported,-0.1,-0.2,-0.05,False\n"
FILES = {
    "claims.csv": CLAIMS.format("noise_hurts"),
    "summary.csv": "variant,metric,replicates,mean,sd,low,high\nplain,test_loss,2,diverged,diverged,diverged,diverged\n",
    "replicates.csv": "variant,seed,test_loss,epochs\nplain,1,0.25,3\nplain,0,,3\n",
    "search/claims.csv": CLAIMS.format("clever_is_better"),
    "search/winners.csv": "strategy,seed,trial,val_loss\nblind,0,1,0.5\nblind,1,0,0.3\nclever,0,1,diverged\n",
}
STUDY = study_with({"search": SEARCH, "variants": {"dropped": {"ours": True, "reported": {"epochs": 3}}}})


def written(folder: Path, files: Mapping[str, str] = FILES) -> Path:
    """The folder, with these files in it."""
    for name, text in files.items():
        write_text(folder / name, text)
    return folder


def test_variants_have_their_claims_numbers_and_replicates(tmp_path: Path) -> None:
    outcome = of_variants(STUDY, written(tmp_path))
    assert outcome.kind == "variant"
    assert list(outcome.names) == ["plain", "noisy", "dropped"]
    assert outcome.names["plain"] == Compared("A start.", False, {}, [], [])
    assert outcome.names["noisy"].claims == ["noise_hurts"]
    assert outcome.names["dropped"] == Compared("Dropout.", True, {"epochs": 3}, ["epochs"], [])
    assert list(outcome.claims) == ["noise_hurts"]
    assert outcome.verdicts["noise_hurts"]["verdict"] == "supported"
    assert outcome.numbers["plain", "test_loss"]["mean"] == "diverged"
    assert outcome.values("plain", "test_loss") == [math.inf, 0.25]


def test_what_was_not_measured_has_no_values(tmp_path: Path) -> None:
    outcome = of_variants(STUDY, written(tmp_path))
    assert outcome.has_replicates("plain")
    assert outcome.values("plain", "epochs") is None  # the summary lacks it
    assert outcome.values("plain", "test_accuracy") is None
    assert not outcome.has_replicates("noisy")
    assert outcome.values("noisy", "test_loss") is None


def test_strategies_are_told_like_variants(tmp_path: Path) -> None:
    outcome = of_strategies(STUDY, written(tmp_path))
    assert outcome.kind == "strategy"
    assert list(outcome.names) == ["default", "blind", "clever"]
    assert outcome.names["default"] == Compared("plain, as it is", False, {}, ["val_loss", "test_loss"])
    assert outcome.names["blind"] == Compared("random, 4 trials", False, {"val_loss": 0.4}, ["val_loss", "test_loss"])
    assert list(outcome.claims) == list(outcome.verdicts) == ["clever_is_better"]
    row = outcome.numbers["blind", "val_loss"]
    assert {name: row[name] for name in ("replicates", "mean", "low", "high")} == {
        **{"replicates": 2, "mean": 0.4},
        **{"low": "none", "high": "none"},  # of two values
    }
    assert row["sd"] == pytest.approx(0.2 / 2**0.5, abs=1e-5)
    assert outcome.numbers["clever", "val_loss"]["mean"] == "diverged"
    assert outcome.values("blind", "val_loss") == [0.5, 0.3]
    assert outcome.values("clever", "val_loss") == [math.inf]


@pytest.mark.parametrize("make", [of_variants, of_strategies])
@pytest.mark.parametrize("text", [None, "", "variant\n"])
def test_without_metrics_the_tables_are_empty(make: Callable[..., Outcome], text: str | None, tmp_path: Path) -> None:
    written(tmp_path, {} if text is None else dict.fromkeys(FILES, text))
    for study in (STUDY, study_with(), None):
        outcome = make(study, tmp_path)
        assert (outcome.verdicts, outcome.numbers, len(outcome.replicates)) == ({}, {}, 0)
        assert not outcome.has_replicates("plain")


@pytest.mark.parametrize("folder", [".", "studies/housing"])
def test_the_committed_metrics_are_complete(folder: str) -> None:
    study = load_study(ROOT / folder)
    variants, strategies = (make(study, ROOT / folder / "metrics") for make in (of_variants, of_strategies))
    judged = {name for name, claim in variants.claims.items() if not claim.about_time}
    assert judged == set(variants.verdicts)
    assert set(strategies.claims) == set(strategies.verdicts)
    for outcome in (variants, strategies):
        assert {name for name, _ in outcome.numbers} == set(outcome.names) == {*outcome.replicates["name"]}
