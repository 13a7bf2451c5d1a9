"""Losses and outputs that do not fit the task are refused if they can never be meant, and named if they may be."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.search import edited
from helpers.study import study_with
from stages.lib.cli import SettingError
from stages.lib.study import sense
from stages.lib.study.keras_names import ACTIVATIONS, LOSSES
from stages.lib.study.settings import Study


def trained_with(loss: str, output: str, **more: Any) -> Study:
    return study_with({"model": {"output_activation": output}, "train": {"loss": loss}, "claims": {}, **more})


@pytest.mark.parametrize(
    ("task", "loss", "output", "said"),
    [
        ("regression", "mse", "softmax", "model.output_activation: softmax of one output is a constant"),
        ("regression", "categorical_crossentropy", "linear", "train.loss: categorical_crossentropy compares outputs"),
        ("regression", "sparse_categorical_crossentropy", "linear", "train.loss: sparse_categorical_crossentropy compares"),
        ("regression", "cosine_similarity", "linear", "train.loss: cosine_similarity compares outputs with each other"),
        ("classification", "categorical_crossentropy", "linear", "model.output_activation: categorical_crossentropy takes"),
        ("classification", "binary_crossentropy", "log_softmax", "model.output_activation: binary_crossentropy takes outputs"),
    ],
)  # fmt: skip
def test_what_can_never_be_meant_is_refused_by_name(task: str, loss: str, output: str, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        sense.check(trained_with(loss, output), task)
    assert str(caught.value).startswith(f"variants.plain.{said}")


@pytest.mark.parametrize(
    ("task", "outputs", "loss", "output", "said"),
    [
        ("regression", 1, "binary_crossentropy", "sigmoid", "is for targets between 0 and 1"),
        ("regression", 1, "hinge", "linear", "is for targets of -1 and 1"),
        ("classification", 4, "hinge", "softmax", "is for outputs around -1 and 1"),
        ("classification", 4, "mape", "softmax", "divides by the target"),
        ("classification", 4, "binary_crossentropy", "softmax", "judges each of 4 classes by itself"),
        ("classification", 4, "categorical_crossentropy", "tanh", "takes outputs for probabilities"),
        ("classification", 4, "mse", "linear", "the linear outputs of 4 classes are no probabilities"),
    ],
)
def test_what_is_seldom_meant_is_said_once_and_trains(task: str, outputs: int, loss: str, output: str, said: str) -> None:
    study = trained_with(loss, output)
    sense.check(study, task)
    (line,) = sense.doubts(study, task, outputs)
    assert line.startswith("variants.plain and 2 more: ")
    assert said in line


@pytest.mark.parametrize(
    ("task", "outputs", "loss", "output"),
    [
        ("regression", 1, "mse", "linear"),
        ("regression", 1, "poisson", "exponential"),
        ("classification", 4, "mse", "softmax"),  # a tip of several tutorials
        ("classification", 4, "categorical_crossentropy", "softmax"),
        ("classification", 4, "binary_crossentropy", "sigmoid"),
        ("classification", 2, "binary_crossentropy", "softmax"),
        ("classification", 4, "squared_hinge", "tanh"),
        ("classification", 4, "categorical_hinge", "linear"),
    ],
)
def test_what_fits_is_not_spoken_of(task: str, outputs: int, loss: str, output: str) -> None:
    study = trained_with(loss, output)
    sense.check(study, task)
    assert not list(sense.doubts(study, task, outputs))


def test_a_choice_of_a_search_must_make_sense_too() -> None:
    space = {"out": {"key": "model.output_activation", "choices": ["softmax", "linear"]}}
    search = edited({"space": space, "strategies": {"a": {"method": "random"}}, "claims": {}})
    study = study_with({"search": search})
    with pytest.raises(SettingError, match=r"^search\.space\.out: categorical_crossentropy takes outputs for probabilities"):
        sense.check(study, "classification")


def test_the_names_are_those_of_keras() -> None:
    assert {*sense.ONE_OF_MANY, *sense.CROSSENTROPIES, *sense.OF_SHARES, *sense.HINGES} <= set(LOSSES)
    assert {*sense.CONSTANT, *sense.NEVER_PROBABILITIES, *sense.PROBABILITIES} <= set(ACTIVATIONS)
