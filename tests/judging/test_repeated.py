"""Numbers that were measured again are the same, or within a stated tolerance."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from scipy import stats

from stages.lib.cli import UserError
from stages.lib.engine.key import local_environment
from stages.lib.judging.repeated import compare, differences, tolerance


@pytest.fixture
def noted(tmp_path: Path) -> Callable[..., Path]:
    """Write an environment.json."""

    def write(environment: Mapping[str, object]) -> Path:
        (tmp_path / "environment.json").write_text(json.dumps(environment))
        return tmp_path / "environment.json"

    return write


def test_the_same_surroundings_ask_for_the_same_numbers(noted: Callable[..., Path]) -> None:
    here = local_environment("tensorflow") | {"variables": {}}
    as_read = json.loads(json.dumps(here))
    assert differences(here, noted(as_read)) == []
    older = as_read | {"processor": ["x86_64", "avx"], "keras": "3.0"}
    assert [line.split(":")[0] for line in differences(here, noted(older))] == ["keras", "processor"]
    assert differences(here, noted(older))[1].startswith("processor: x86_64 avx then, ")
    variables = as_read | {"variables": {"ONEDNN_MAX_CPU_ISA": "AVX2"}}
    assert differences(here, noted(variables)) == ["variables: ONEDNN_MAX_CPU_ISA=AVX2 then, none here"]


def test_unknown_surroundings_leave_only_the_tolerance() -> None:
    (reason,) = differences(local_environment("tensorflow"), Path("nowhere.json"))
    assert reason == "nowhere.json is missing, so it is not known what made the metrics"


def test_metrics_of_other_training_code_are_refused(noted: Callable[..., Path]) -> None:
    here = local_environment("tensorflow")
    with pytest.raises(UserError, match="other training code made these metrics"):
        differences(here, noted(here | {"source": "0"}))


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
    committed = {("plain", f"seed {seed}"): {"test_accuracy": value} for seed, value in enumerate([0.9, 0.92, 0.94])}
    trained = {("plain", "seed 0"): {"test_accuracy": 0.93}}
    assert compare(committed, trained, exact=True) == {
        "plain, seed 0": ["plain, seed 0: test_accuracy is 0.93, but 0.9 is committed"]
    }
    assert compare(committed, trained, exact=False) == {"plain, seed 0": []}
    (line,) = compare(committed, {("plain", "seed 0"): {"test_accuracy": 0.1}}, exact=False)["plain, seed 0"]
    assert line.startswith("plain, seed 0: test_accuracy is 0.1, but 0.9 is committed, beyond 0.190")
    some_diverged = {("plain", f"seed {seed}"): {"test_loss": value} for seed, value in enumerate([0.5, 0.6, math.nan])}
    assert compare(some_diverged, {("plain", "seed 0"): {"test_loss": math.nan}}, exact=False) == {"plain, seed 0": []}
    assert compare(some_diverged, {("plain", "seed 0"): {"test_loss": math.nan}}, exact=True)["plain, seed 0"]


def test_what_is_not_a_number_on_both_sides_is_the_same() -> None:
    committed = {("plain", "seed 0"): {"epochs_to_0.95_accuracy": math.inf, "val_loss": math.nan}}
    assert compare(committed, committed, exact=True) == {"plain, seed 0": []}


@pytest.mark.parametrize("committed", [{}, {("plain", "seed 0"): {"test_loss": 0.3}}])
def test_a_replicate_that_is_not_committed_is_refused(committed: dict[tuple[str, str], dict[str, float]]) -> None:
    with pytest.raises(UserError, match="has not all of plain, seed 0"):
        compare(committed, {("plain", "seed 0"): {"test_accuracy": 0.93}}, exact=True)


def test_elsewhere_a_score_lies_where_the_trial_s_folds_put_it() -> None:
    committed = {("blind 0, trial 0", f"fold {fold}"): {"val_loss": 0.3 + fold / 100} for fold in range(3)}
    name = "blind 0, trial 0, fold 0"
    assert compare(committed, {("blind 0, trial 0", "fold 0"): {"val_loss": 0.33}}, False) == {name: []}
    (line,) = compare(committed, {("blind 0, trial 0", "fold 0"): {"val_loss": 0.9}}, False)[name]
    assert line.startswith(f"{name}: val_loss is 0.9, but 0.3 is committed, beyond -0.05")
