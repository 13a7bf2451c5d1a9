"""Label smoothing and weights of classes: they change the loss that is trained, and no score."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from helpers.training import history_of, inputs, recipe_with, trained
from stages.lib.study.keras_names import SMOOTHING_LOSSES
from stages.lib.training import networks, replicate

STILL = {"batch_size": 1000, "epochs": 1, "learning_rate": 1e-9}
"""One update that changes nothing: the running loss is that of the fresh network, and so are the scores."""


def fresh(recipe: Any) -> tuple[np.ndarray, np.ndarray]:
    """The fresh network's predictions of the training rows, and their labels, one-hot."""
    x, y = inputs()["train"]
    network = networks.build(recipe.model, x.shape[1:], 4, seed=0)
    return network.predict(x, verbose=0), np.eye(4, dtype=np.float32)[y]


def scores_of(result: Any) -> Any:
    return json.loads(result.files["scores.json"])


@pytest.mark.parametrize("loss", SMOOTHING_LOSSES)
def test_smoothed_labels_are_trained_on_and_scores_are_of_plain_ones(loss: str) -> None:
    output = "sigmoid" if loss.startswith("binary") else "softmax"
    recipe = recipe_with({"output_activation": output}, {**STILL, "loss": loss, "label_smoothing": 0.2})
    predictions, labels = fresh(recipe)
    smoothed = np.mean(getattr(keras.losses, loss)(labels, predictions, label_smoothing=0.2))
    plain = np.mean(keras.losses.get(loss)(labels, predictions))
    result = trained(recipe)
    assert history_of(result)["loss"].iloc[0] == pytest.approx(smoothed, rel=1e-5)
    assert float(scores_of(result)["train"]["loss"]) == pytest.approx(plain, rel=1e-5)
    assert plain != pytest.approx(smoothed, rel=1e-3)


def test_smoothing_is_the_share_that_goes_to_all_classes() -> None:
    """0.2 of each label is spread over four classes: 0.85 and three times 0.05."""
    recipe = recipe_with(train={**STILL, "label_smoothing": 0.2})
    predictions, labels = fresh(recipe)
    by_hand = -(np.log(predictions) * np.where(labels == 1, 0.85, 0.05)).sum(axis=1).mean()
    assert history_of(trained(recipe))["loss"].iloc[0] == pytest.approx(by_hand, rel=1e-5)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = np.array([0, 0, 0, 1, 1, 3], np.int32)
    np.testing.assert_allclose(replicate.row_weights(labels, "balanced"), compute_sample_weight("balanced", labels), rtol=1e-6)
    assert replicate.row_weights(labels, {"3": 2.5}).tolist() == [1, 1, 1, 1, 1, 2.5]


def test_weights_multiply_the_loss_of_their_rows_and_no_score() -> None:
    recipe = recipe_with(train={**STILL, "class_weights": {"2": 10.0}})
    predictions, labels = fresh(recipe)
    losses = -np.log((predictions * labels).sum(axis=1))
    result, plain = trained(recipe), trained(recipe_with(train=STILL))
    expected = (losses * np.where(labels[:, 2] == 1, 10.0, 1.0)).mean()
    assert history_of(result)["loss"].iloc[0] == pytest.approx(expected, rel=1e-5)
    assert history_of(result)["accuracy"].iloc[0] == history_of(plain)["accuracy"].iloc[0]
    assert scores_of(result) == scores_of(plain)


def test_weights_are_fitted_on_the_training_rows_of_the_replicate() -> None:
    splits = inputs()
    x, y = splits["train"]
    fewer = {**splits, "train": (x[y != 3][:40], y[y != 3][:40])}
    recipe = recipe_with(train={**STILL, "class_weights": "balanced"})
    rows = fewer["train"]
    predictions = networks.build(recipe.model, (8, 8), 4, seed=0).predict(rows[0], verbose=0)
    losses = -np.log(predictions[np.arange(40), rows[1]])
    expected = (losses * compute_sample_weight("balanced", rows[1])).mean()
    assert history_of(trained(recipe, splits=fewer))["loss"].iloc[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "train",
    [
        {"class_weights": "balanced", "label_smoothing": 0.1},
        {"class_weights": {"1": 3.0}, "loss": "sparse_categorical_crossentropy"},
    ],
)
def test_a_shared_trace_changes_no_bit(train: dict[str, Any]) -> None:
    recipe = recipe_with({"dropout": 0.2}, train).model_copy(update={"diagnostics": True})
    replicate.trace.cache_clear()
    alone = trained(recipe, seed=1)
    trained(recipe_with({"dropout": 0.2}, {**train, "class_weights": "none"}))
    trained(recipe, seed=0)
    assert trained(recipe, seed=1).files == alone.files


def test_a_rare_class_that_counts_more_is_found_more_often() -> None:
    """Ten rows of class 0 beside ninety of the others: without weights, hardly any row is taken for one of class 0."""
    splits = inputs()
    x, y = splits["train"]
    rows = np.concatenate([np.flatnonzero(y == 0)[:3], np.flatnonzero(y != 0)])
    rare = {**splits, "train": (x[rows], y[rows])}
    found = []
    for weights in ("none", "balanced"):
        recipe = recipe_with(train={"class_weights": weights, "epochs": 6})
        trained(recipe, splits=rare)
        traced = replicate.trace(replicate.Structure.of(recipe, (8, 8), 4, "classification", len(rows)))
        predictions, _, _ = replicate.score(traced, *splits["test"])
        found.append(int((predictions.argmax(axis=1) == 0).sum()))
    assert found[1] > found[0]
