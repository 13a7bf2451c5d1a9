"""Learning rates that change in training: what each schedule does, epoch by epoch, with the numbers worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import keras
import pytest

from helpers.training import history_of, inputs, recipe_with, trained
from stages.lib.training import replicate, schedules
from stages.lib.training.schedules import Scheduled

RATE = 0.01
STEPS = 4
"""Of an epoch: 120 rows in batches of 32."""


def rates(schedule: dict[str, Any], epochs: int, **train: Any) -> list[float]:
    """The learning rate of each epoch's first update, as the history has it."""
    result = trained(recipe_with({"hidden": [2]}, {"epochs": epochs, "schedule": schedule, **train}))
    return list(history_of(result)["learning_rate"])


def at_steps(schedule: dict[str, Any], *steps: int) -> list[float]:
    """The rate that Keras is given at these steps of a training of 10 epochs."""
    settings = recipe_with({}, {"epochs": 10, "schedule": schedule}).train.schedule
    built = schedules.build(Scheduled(settings, RATE, STEPS))
    return [float(keras.ops.convert_to_numpy(built(step))) for step in steps]


def test_an_exponential_decay_reaches_the_factor_after_its_epochs() -> None:
    assert rates({"kind": "exponential", "factor": 0.25, "decay_epochs": 2}, 3) == pytest.approx([0.01, 0.005, 0.0025])
    assert at_steps({"kind": "exponential", "factor": 0.25}, 0, 40) == pytest.approx([0.01, 0.0025])


def test_a_cosine_warms_up_in_a_straight_line_and_then_falls_to_the_lowest_rate() -> None:
    """Half of the way down, the cosine is the mean of both ends."""
    schedule = {"kind": "cosine", "warmup_epochs": 2, "lowest": 0.2}
    expected = [0.0, RATE / 2, RATE, (RATE + 0.002) / 2, 0.002, 0.002]
    assert at_steps(schedule, 0, STEPS, 2 * STEPS, 6 * STEPS, 10 * STEPS, 20 * STEPS) == pytest.approx(expected)
    assert at_steps({"kind": "cosine"}, 0, 5 * STEPS, 10 * STEPS) == pytest.approx([RATE, RATE / 2, 0.0], abs=1e-9)


def test_a_warm_up_may_take_a_part_of_an_epoch() -> None:
    assert at_steps({"kind": "cosine", "warmup_epochs": 0.5}, 1, 2)[0] == pytest.approx(RATE / 2)


def test_steps_change_the_rate_with_the_first_update_after_their_epochs() -> None:
    schedule = {"kind": "steps", "at": [1, 2.5], "factor": 0.1}
    steps = (0, STEPS - 1, STEPS, 10 - 1, 10)
    assert at_steps(schedule, *steps) == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.0001])
    assert rates(schedule, 4) == pytest.approx([0.01, 0.001, 0.001, 0.0001])


def test_a_plateau_halves_the_rate_after_epochs_without_an_improvement() -> None:
    """No epoch improves by 100: the first is the best, the next two wait, and the rate of the fourth is halved."""
    schedule = {"kind": "plateau", "monitor": "loss", "patience": 2, "min_delta": 100.0, "lowest": 0.3}
    assert rates(schedule, 8) == pytest.approx([0.01, 0.01, 0.01, 0.005, 0.005, 0.003, 0.003, 0.003])


@pytest.mark.parametrize("monitor", ["accuracy", "val_loss", "val_accuracy"])
def test_a_plateau_does_not_come_while_its_monitor_improves(monitor: str) -> None:
    recipe = recipe_with({}, {"epochs": 6, "schedule": {"kind": "plateau", "monitor": monitor, "patience": 1}})
    history = history_of(trained(recipe))
    better = history[monitor].diff() > 0 if monitor.endswith("accuracy") else history[monitor].diff() < 0
    lowered = history["learning_rate"].diff().shift(-1) < 0
    assert not (lowered & better).any()
    assert better[1:].any()


def test_the_default_rate_of_an_optimizer_is_where_a_schedule_begins() -> None:
    schedule = {"kind": "steps", "at": [1]}
    assert rates(schedule, 2, optimizer="sgd", learning_rate="default") == pytest.approx([0.01, 0.005])


@pytest.mark.parametrize(
    "schedule",
    [{"kind": "cosine", "warmup_epochs": 1}, {"kind": "plateau", "monitor": "loss", "patience": 1, "min_delta": 1.0}],
)
def test_a_schedule_begins_anew_with_every_replicate_of_a_shared_trace(schedule: dict[str, Any]) -> None:
    recipe = recipe_with(train={"schedule": schedule, "epochs": 4})
    replicate.trace.cache_clear()
    alone = trained(recipe, seed=1)
    trained(recipe, seed=0)
    assert replicate.trace.cache_info().currsize == 1
    assert trained(recipe, seed=1).files == alone.files


def test_a_schedule_changes_what_is_trained_and_a_constant_rate_adds_no_column() -> None:
    plain = trained(recipe_with())
    assert "learning_rate" not in history_of(plain)
    decayed = trained(recipe_with(train={"schedule": {"kind": "steps", "at": [1], "factor": 0.01}}))
    assert decayed.files["model.weights.h5"] != plain.files["model.weights.h5"]
    first, second = (history_of(each).iloc[0] for each in (plain, decayed))
    assert first["loss"] == second["loss"]


def test_the_learning_rate_is_part_of_a_trace_only_where_every_step_changes_it() -> None:
    def structure(kind: str, **train: Any) -> replicate.Structure:
        recipe = recipe_with(train={"schedule": {"kind": kind}, **train})
        return replicate.Structure.of(recipe, (8, 8), 4, "classification", 120)

    for kind in ("constant", "plateau"):
        assert structure(kind) == structure("constant", learning_rate=0.5)
    assert structure("cosine") != structure("cosine", learning_rate=0.5)
    assert structure("cosine") != structure("cosine", batch_size=8)


def test_the_learning_rate_is_the_last_column_also_without_validation_rows() -> None:
    splits = inputs()
    del splits["validation"]
    history = history_of(trained(recipe_with(train={"schedule": {"kind": "exponential"}}), splits=splits))
    assert list(history) == ["epoch", "loss", "accuracy", "learning_rate"]
    assert all(map(math.isfinite, history["learning_rate"]))
