"""Replicates trained again agree with the committed metrics, to the last digit or within the stated tolerance."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from helpers.checkout import stage
from helpers.study import prepared_for, study_with, write_params
from stages.lib.cli import UserError
from stages.lib.data.prepared import write_prepared
from stages.lib.engine.key import environment
from stages.lib.engine.runs import jobs_of
from stages.tools.verify import chosen, committed_trials, compare, differing, of_trial, settings_of, tolerance, verify

ENVIRONMENT = Path("metrics/environment.json")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small study that was trained and evaluated, with the environment that train noted."""
    folder, cache = tmp_path_factory.mktemp("study"), tmp_path_factory.mktemp("cache")
    write_params(folder)
    write_prepared(prepared_for(study_with()), folder / "data" / "prepared")
    for name in ("train", "evaluate"):
        done = stage(name, folder, cache=cache)
        assert done.returncode == 0, done.stderr
    noted = json.loads((folder / "data" / "timings.json").read_text())["environment"]
    (folder / ENVIRONMENT).write_text(json.dumps(noted))
    return folder


def test_what_agrees_is_the_same_and_what_was_changed_by_hand_is_found(run: Path, tmp_path: Path) -> None:
    path = run / "metrics" / "replicates.csv"
    before = path.read_text()
    table = pd.read_csv(path)
    table.loc[(table["variant"] == "noisy") & (table["seed"] == 1), "test_loss"] += 1e-5
    try:
        table.to_csv(path, index=False)
        done = stage("verify", run, "--replicates", "99", "--seed", "7", cache=tmp_path / "cache")
    finally:
        path.write_text(before)
    assert done.returncode == 1, done.stderr
    assert "9 replicates, drawn with --seed 7: " in done.stdout
    assert done.stdout.count("the same, to the last digit") == 8
    assert "noisy, seed 1: test_loss is " in done.stdout
    assert "verify: 1 numbers are not as committed" in done.stderr
    assert not list((tmp_path / "cache").rglob("manifest.json")), "the replicate cache is not used"


def test_the_replicates_of_a_claim_are_trained_again(run: Path, tmp_path: Path) -> None:
    done = stage("verify", run, "--claim", "noise_hurts", cache=tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert "6 replicates, which noise_hurts is judged by: " in done.stdout
    assert done.stdout.count("the same, to the last digit") == 6
    assert "dropped" not in done.stdout


SEARCH: dict[str, Any] = {
    "variant": "plain",
    "space": {
        "rate": {"key": "train.learning_rate", "log_uniform": [0.001, 0.1]},
        "activation": {"key": "model.activation", "choices": ["relu", "tanh"]},
    },
    "strategies": {"blind": {"method": "random"}},
    "trials": 2,
    "batch": 2,
    "seeds": 1,
    "folds": 2,
    "refits": 1,
    "metric": "val_loss",
    "direction": "minimize",
}


def test_trials_of_a_search_are_trained_again(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(run, folder)
    write_params(folder, {"search": SEARCH})
    done = stage("search", folder, cache=tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    path = folder / "metrics" / "search" / "trials.csv"
    table = pd.read_csv(path)
    table.loc[(table["strategy"] == "blind") & (table["trial"] == 1), "fold_1"] += 1e-5
    table.to_csv(path, index=False)
    done = stage("verify", folder, "--replicates", "1", "--trials", "9", "--seed", "7", cache=tmp_path / "other")
    assert done.returncode == 1, done.stderr
    assert "3 trials, drawn with --seed 7: " in done.stdout
    for name in ("default, trial 0, seed 0", "blind, trial 0, seed 0"):
        assert f"{name}: the same, to the last digit" in done.stdout
    assert done.stdout.count("the same, to the last digit") == 3  # with the replicate
    assert "blind, trial 1, seed 0: fold_1 is " in done.stdout
    assert "verify: 1 numbers are not as committed" in done.stderr
    assert not list((tmp_path / "other").rglob("manifest.json")), "the replicate cache is not used"


TRIALS = """strategy,seed,trial,state,train.learning_rate,model.activation,val_loss,fold_0,fold_1,epochs
default,0,0,complete,0.01,relu,0.3,0.3,0.3,3.0
blind,0,0,complete,0.02,tanh,diverged,0.3,diverged,3.0
blind,0,1,pruned,0.03,tanh,0.4,0.4,,3.0
blind,2,2,complete,0.04,tanh,0.35,0.3,0.4,3.0
"""


def test_trials_that_ended_well_have_the_settings_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "trials.csv").write_text(TRIALS)
    search = study_with({"search": SEARCH}).search
    assert search
    rows = committed_trials(search, tmp_path / "trials.csv")
    assert list(rows) == [("default, trial 0", 0), ("blind, trial 2", 2)]
    assert [settings_of(search, row) for row in rows.values()] == [{}, {"rate": 0.04, "activation": "tanh"}]
    assert committed_trials(search, tmp_path / "none.csv") == {}
    other = study_with({"search": SEARCH | {"folds": 3}}).search
    assert other
    with pytest.raises(UserError, match=r"trials\.csv: has no fold_2; `dvc repro` first"):
        committed_trials(other, tmp_path / "trials.csv")


def test_elsewhere_a_score_lies_where_the_trial_s_folds_put_it() -> None:
    committed = {("blind, trial 0", 0): {"fold_0": 0.3, "fold_1": 0.31, "fold_2": 0.32}}
    assert compare(committed, {("blind, trial 0", 0): {"fold_0": 0.33}}, False, of_trial) == {"blind, trial 0, seed 0": []}
    (line,) = compare(committed, {("blind, trial 0", 0): {"fold_0": 0.9}}, False, of_trial)["blind, trial 0, seed 0"]
    assert line.startswith("blind, trial 0, seed 0: fold_0 is 0.9, but 0.3 is committed, beyond -0.05")


def test_an_unknown_claim_is_refused(run: Path, tmp_path: Path) -> None:
    done = stage("verify", run, "--claim", "noise_hurt", cache=tmp_path / "cache")
    assert done.returncode == 1
    assert "verify: --claim: unknown claim 'noise_hurt' (did you mean 'noise_hurts'?" in done.stderr


def test_another_processor_may_differ_within_the_tolerance(run: Path, tmp_path: Path) -> None:
    done = stage("verify", run, "--replicates", "2", cache=tmp_path / "cache", ONEDNN_MAX_CPU_ISA="SSE41")
    assert done.returncode == 0, done.stdout
    assert "not comparable bit for bit: variables: none then, ONEDNN_MAX_CPU_ISA=SSE41 here" in done.stdout
    assert done.stdout.count("within the tolerance") == 2


def test_a_study_that_was_not_run_is_said_to_be_none(run: Path) -> None:
    (run / "metrics").rename(run / "elsewhere")
    try:
        with pytest.raises(UserError, match="was not run, so there is nothing to verify"):
            verify(run, 1, 0)
    finally:
        (run / "elsewhere").rename(run / "metrics")


def test_the_draw_follows_its_seed() -> None:
    study = study_with()
    jobs = jobs_of(study, prepared_for(study))
    assert chosen(jobs, 3, 0) == chosen(jobs, 3, 0)
    assert len({str(chosen(jobs, 3, seed)) for seed in range(9)}) > 1
    assert len(set(map(str, chosen(jobs, 3, 0)))) == 3
    assert sorted(map(str, chosen(jobs, 99, 0))) == sorted(map(str, jobs))


def test_the_same_surroundings_ask_for_the_same_numbers() -> None:
    here = environment("tensorflow") | {"variables": {}}
    as_read = json.loads(json.dumps(here))
    assert differing(as_read, here, ENVIRONMENT) == []
    older = as_read | {"processor": ["x86_64", "avx"], "keras": "3.0"}
    assert [line.split(":")[0] for line in differing(older, here, ENVIRONMENT)] == ["keras", "processor"]
    assert differing(older, here, ENVIRONMENT)[1].startswith("processor: x86_64 avx then, ")
    variables = as_read | {"variables": {"ONEDNN_MAX_CPU_ISA": "AVX2"}}
    assert differing(variables, here, ENVIRONMENT) == ["variables: ONEDNN_MAX_CPU_ISA=AVX2 then, none here"]


def test_unknown_surroundings_leave_only_the_tolerance() -> None:
    (reason,) = differing(None, environment("tensorflow"), ENVIRONMENT)
    assert reason == "metrics/environment.json is missing, so what the metrics were made with is unknown"


def test_metrics_of_other_training_code_are_refused() -> None:
    here = environment("tensorflow")
    with pytest.raises(UserError, match="other training code made these metrics"):
        differing(here | {"source": "0"}, here, ENVIRONMENT)


def test_the_tolerance_is_students_prediction_interval() -> None:
    low, high = tolerance([0.9, 0.92, 0.94])
    reach = stats.t.ppf(0.9995, 2) * 0.02 * math.sqrt(4 / 3)
    assert low == pytest.approx(0.92 - reach)
    assert high == pytest.approx(0.92 + reach)


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        ([15.0] * 5, (14, 16)),  # epochs: one more, one less
        ([0.1135] * 5, (0.1125, 0.1145)),  # stuck at chance
        ([250.5] * 5, (250.2495, 250.7505)),
        ([4.0, math.inf, 5.0], (-math.inf, math.inf)),  # reached by some
        ([0.9], (-math.inf, math.inf)),
    ],
)
def test_values_that_agree_or_are_not_finite_have_a_tolerance_too(values: list[float], limits: tuple[float, float]) -> None:
    assert tolerance(values) == pytest.approx(limits)


def test_a_difference_is_a_mistake_or_within_the_tolerance() -> None:
    committed = {("plain", seed): {"test_accuracy": value} for seed, value in enumerate([0.9, 0.92, 0.94])}
    trained = {("plain", 0): {"test_accuracy": 0.93}}
    assert compare(committed, trained, exact=True) == {
        "plain, seed 0": ["plain, seed 0: test_accuracy is 0.93, but 0.9 is committed"]
    }
    assert compare(committed, trained, exact=False) == {"plain, seed 0": []}
    (line,) = compare(committed, {("plain", 0): {"test_accuracy": 0.1}}, exact=False)["plain, seed 0"]
    assert line.startswith("plain, seed 0: test_accuracy is 0.1, but 0.9 is committed, beyond 0.190")
    some_diverged = {("plain", seed): {"test_loss": value} for seed, value in enumerate([0.5, 0.6, math.nan])}
    assert compare(some_diverged, {("plain", 0): {"test_loss": math.nan}}, exact=False) == {"plain, seed 0": []}
    assert compare(some_diverged, {("plain", 0): {"test_loss": math.nan}}, exact=True)["plain, seed 0"]


def test_what_is_not_a_number_on_both_sides_is_the_same() -> None:
    committed = {("plain", 0): {"epochs_to_0.95_accuracy": math.inf, "val_loss": math.nan}}
    assert compare(committed, committed, exact=True) == {"plain, seed 0": []}


@pytest.mark.parametrize("committed", [{}, {("plain", 0): {"test_loss": 0.3}}])
def test_a_replicate_that_is_not_committed_is_refused(committed: dict[tuple[str, int], dict[str, float]]) -> None:
    with pytest.raises(UserError, match="has not all of plain, seed 0"):
        compare(committed, {("plain", 0): {"test_accuracy": 0.93}}, exact=True)
