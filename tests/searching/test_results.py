"""The tables of a search agree with each other."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from helpers.search import Pretender, edited, found_by, searching
from helpers.study import study_with
from stages import search
from stages.lib.cli import UserError
from stages.lib.judging import claims as claims_of
from stages.lib.report import results
from stages.lib.searching.results import judge_strategies, read_trials
from stages.lib.study.settings import Study


@pytest.fixture
def written(pretender: Pretender, tmp_path: Path) -> Callable[..., tuple[Study, Path]]:
    """Search, and write what was found; returns the study and the folder of its metrics."""

    def make(**changes: Any) -> tuple[Study, Path]:
        study, settings = searching(**changes)
        search.write_found(study, settings, found_by(study, settings, tmp_path / "cache"), tmp_path / "metrics")
        return study, tmp_path / "metrics"

    return make


def test_the_tables_agree_with_each_other(written: Callable[..., tuple[Study, Path]]) -> None:
    _, metrics = written()
    trials, winners, claims = (pd.read_csv(metrics / "search" / f"{name}.csv") for name in ("trials", "winners", "claims"))
    assert list(trials)[:4] == ["strategy", "seed", "trial", "state"]
    assert {"model.hidden.layers", "train.learning_rate", "val_accuracy", "fold_0", "fold_1", "epochs"} <= set(trials)
    complete = trials[trials["val_accuracy"] != "diverged"].astype({"val_accuracy": float})
    best = complete.groupby(["strategy", "seed"])["val_accuracy"].max()
    for row in winners.to_dict("records"):
        assert float(row["val_accuracy"]) == best[row["strategy"], row["seed"]]
        assert float(row["test_accuracy"]) == pytest.approx((row["refit_0"] + row["refit_1"]) / 2, abs=1e-5)
        assert row["low"] < row["val_accuracy"] < row["high"]
    found = json.loads((metrics / "search.json").read_text())
    searched = winners[winners["strategy"] != "default"]
    assert found["winner"]["val_accuracy"] == searched["val_accuracy"].max()
    assert set(found["winner"]["settings"]) == {"layers", "rate"}
    assert set(found["strategies"]) == {"default", "spread", "few", "blind", "clever"}
    means = searched.groupby("strategy")["test_accuracy"].mean()
    clever = found["strategies"]["clever"]["test_accuracy"]
    assert clever["mean"] == pytest.approx(means["clever"], abs=1e-5)
    assert clever["low"] < clever["mean"] < clever["high"]
    assert claims.loc[0, "claim"] == "clever_is_better"
    values = {name: searched.loc[searched["strategy"] == name, "test_accuracy"].to_numpy() for name in ("blind", "clever")}
    effect = means["clever"] - means["blind"]
    if claims.loc[0, "by"] == "median":
        effect = float(pd.Series(values["clever"] - values["blind"]).median())
    assert claims.loc[0, "effect"] == pytest.approx(effect, abs=1e-5)
    assert claims.loc[0, "replicates"] == 3
    assert found["claims"]["clever_is_better"]["verdict"] == claims.loc[0, "verdict"]
    assert list(claims) == claims_of.COLUMNS


def test_the_setting_that_decides_is_the_important_one(written: Callable[..., tuple[Study, Path]]) -> None:
    _, metrics = written(seeds=8, space__unused={"key": "train.batch_size", "integers": [8, 64], "grid": [32]})
    shares = pd.read_csv(metrics / "search" / "importance.csv", index_col="name")["share"]
    assert shares.idxmax() == "rate"
    assert shares.sum() == pytest.approx(1, abs=0.001)


def test_a_few_trials_say_nothing_of_importance(written: Callable[..., tuple[Study, Path]]) -> None:
    _, metrics = written(seeds=1)
    assert (metrics / "search" / "importance.csv").read_text() == "name,share\n"


def test_claims_are_judged_over_seeds_and_by_the_median_where_a_strategy_diverged() -> None:
    _, settings = searching(claims__clever_is_better__expect="higher")
    groups = {
        "blind": {"test_accuracy": [0.50, 0.51, 0.52, 0.53, 0.54]},
        "clever": {"test_accuracy": [0.90, 0.91, 0.92, 0.93, 0.94]},
    }
    row = judge_strategies(settings, groups, 0.99).iloc[0]
    assert (row["verdict"], row["effect"]) == ("supported", 0.4)
    groups = {"blind": {"test_accuracy": [math.nan] * 8}, "clever": {"test_accuracy": [0.9 + i / 100 for i in range(8)]}}
    row = judge_strategies(settings, groups, 0.99).iloc[0]
    assert (row["verdict"], row["by"], row["low"]) == ("supported", "median", "diverged")


def test_a_strategy_with_a_winner_that_collapsed_is_judged_by_the_median() -> None:
    """Of its validation score, which is another network's, it is not."""
    _, settings = searching(claims__clever_is_better__expect="higher")
    blind, clever = [0.5 + i / 100 for i in range(10)], [0.9 + i / 100 for i in range(10)]
    groups = {
        "blind": {"test_accuracy": [0.25, *blind[1:]], "val_accuracy": blind, "collapsed": [1.0] + [0.0] * 9},
        "clever": {"test_accuracy": clever, "val_accuracy": clever, "collapsed": [0.0] * 10},
    }
    row = judge_strategies(settings, groups, 0.99).iloc[0]
    assert (row["by"], row["verdict"]) == ("median", "supported")
    _, settings = searching(claims__clever_is_better__expect="higher", claims__clever_is_better__metric="val_accuracy")
    assert judge_strategies(settings, groups, 0.99).loc[0, "by"] == "mean"


def test_results_older_than_the_settings_are_refused(written: Callable[..., tuple[Study, Path]]) -> None:
    study, metrics = written()
    renamed = study_with({"search": edited({"strategies.cleverer": {"method": "tpe"}})})
    assert renamed.search
    assert study.search
    with pytest.raises(UserError, match=r"trials\.csv knows no cleverer, .*the search stage first"):
        results.read_search(renamed.search, metrics.parent)
    shutil.rmtree(metrics)
    with pytest.raises(UserError, match=r"trials\.csv is missing; run `dvc repro`, or the search stage first"):
        results.read_search(study.search, metrics.parent)


BLIND = {
    "space": {
        "rate": {"key": "train.learning_rate", "log_uniform": [0.001, 0.1]},
        "activation": {"key": "model.activation", "choices": ["relu", "tanh"]},
    },
    "strategies": {"blind": {"method": "random"}},
    "metric": "val_loss",
    "claims": {},
}
TRIALS = """strategy,seed,trial,state,train.learning_rate,model.activation,val_loss,fold_0,fold_1,epochs
default,0,0,complete,0.01,relu,0.3,0.3,0.3,3.0
blind,0,0,complete,0.02,tanh,diverged,0.3,diverged,3.0
blind,0,1,pruned,0.03,tanh,0.4,0.4,,3.0
blind,2,2,complete,0.04,tanh,0.35,0.3,0.4,3.0
"""


def test_trials_that_ended_well_have_the_settings_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "trials.csv").write_text(TRIALS)
    study, search = searching(**BLIND)
    trials = read_trials(study, search, tmp_path / "trials.csv")
    assert [str(trial) for trial in trials] == ["default 0, trial 0", "blind 2, trial 2"]
    assert [trial.settings for trial in trials] == [{}, {"rate": 0.04, "activation": "tanh"}]
    assert [trial.scores for trial in trials] == [{0: 0.3, 1: 0.3}, {0: 0.3, 1: 0.4}]
    assert (trials[1].recipe.train.learning_rate, trials[1].recipe.model.activation) == (0.04, "tanh")
    assert read_trials(study, search, tmp_path / "none.csv") == []
    _, other = searching(**BLIND, folds=3)
    with pytest.raises(UserError, match=r"trials\.csv: has no fold_2; `dvc repro` first"):
        read_trials(study, other, tmp_path / "trials.csv")
