"""Random changes of training images: drawn from the replicate's seed, for training rows alone, and not in the saved network."""

from __future__ import annotations

import io
import json
from typing import Any

import keras
import numpy as np
import pytest

from helpers.study import blobs
from helpers.training import history_of, inputs, recipe_with, trained
from stages.lib.study.recipe import Augmentation
from stages.lib.training import networks, replicate
from stages.lib.training.augmentation import augmented

EACH: list[dict[str, Any]] = [
    {"flip": "horizontal"},
    {"flip": "vertical"},
    {"flip": "both"},
    {"translate": 0.2},
    {"rotate": 45.0},
    {"zoom": 0.3},
    {"contrast": 0.5},
]
ALL = {"flip": "both", "translate": 0.2, "rotate": 45.0, "zoom": 0.3, "contrast": 0.5, "fill": "reflect"}
IMAGES = blobs(16)[0].astype(np.float32) / 255


def through(settings: dict[str, Any], images: np.ndarray, seed: int = 0, training: bool = True) -> np.ndarray:
    """The images as a network would see them."""
    seen = augmented(keras.Sequential([keras.Input(images.shape[1:])]), Augmentation(**settings), images.shape[1:], seed)
    return np.asarray(keras.ops.convert_to_numpy(seen(images, training=training)))


@pytest.mark.parametrize("settings", EACH)
@pytest.mark.parametrize("channels", [(), (3,)])
def test_each_change_is_random_in_training_and_none_elsewhere(settings: dict[str, Any], channels: tuple[int, ...]) -> None:
    images = np.repeat(IMAGES[..., None], 3, axis=-1) if channels else IMAGES
    changed = through(settings, images)
    assert changed.shape == images.shape
    assert not np.array_equal(changed, images)
    np.testing.assert_array_equal(through(settings, images), changed)
    assert not np.array_equal(through(settings, images, seed=1), changed)
    np.testing.assert_array_equal(through(settings, images, training=False), images)


@pytest.mark.parametrize(("flip", "axes"), [("horizontal", [2]), ("vertical", [1]), ("both", [1, 2])])
def test_a_flipped_image_is_a_mirror_image_of_itself(flip: str, axes: list[int]) -> None:
    mirrored = [IMAGES, *(np.flip(IMAGES, axis) for axis in axes), np.flip(IMAGES, tuple(axes))]
    for row, image in enumerate(through({"flip": flip}, IMAGES)):
        assert any(np.array_equal(image, each[row]) for each in mirrored)


def test_contrast_keeps_the_mean_and_clips_no_input_that_a_view_has_scaled() -> None:
    standardized = (IMAGES - IMAGES.mean()) / IMAGES.std()
    changed = through({"contrast": 0.9}, standardized)
    np.testing.assert_allclose(changed.mean(axis=(1, 2)), standardized.mean(axis=(1, 2)), atol=1e-5)
    assert changed.min() < 0


def test_turning_a_bright_image_leaves_no_dark_corner() -> None:
    bright = np.full((4, 8, 8), 0.75, np.float32)
    np.testing.assert_allclose(through({"rotate": 90.0, "translate": 0.4}, bright), bright, rtol=1e-5)
    assert through({"rotate": 45.0, "fill": "constant"}, bright).min() < 0.5


@pytest.mark.parametrize("model", [{}, {"conv": [2], "dropout": 0.2}])
def test_a_shared_trace_changes_no_bit(model: dict[str, Any]) -> None:
    recipe = recipe_with(model, {"augmentation": ALL, "epochs": 2}).model_copy(update={"diagnostics": True})
    replicate.trace.cache_clear()
    alone = trained(recipe, seed=1)
    other = trained(recipe, seed=0)
    assert trained(recipe, seed=1).files == alone.files
    assert other.files["model.weights.h5"] != alone.files["model.weights.h5"]
    replicate.trace.cache_clear()


def test_diagnostics_do_not_change_what_is_drawn() -> None:
    recipe = recipe_with(train={"augmentation": ALL, "epochs": 2})
    plain, measured = trained(recipe), trained(recipe.model_copy(update={"diagnostics": True}))
    assert {**measured.files, "diagnostics.csv": b""} == {**plain.files, "diagnostics.csv": b""}


def test_the_saved_network_has_no_layer_of_it_and_gives_the_saved_predictions() -> None:
    splits = inputs()
    recipe = recipe_with(train={"augmentation": ALL})
    plain, result = trained(recipe_with(), splits=splits), trained(recipe, splits=splits)
    assert result.files["model.json"] == plain.files["model.json"]
    network = keras.models.model_from_json(result.files["model.json"].decode())
    assert [layer.name for layer in network.layers] == [
        layer.name for layer in networks.build(recipe.model, (8, 8), 4, 0).layers
    ]
    traced = replicate.trace(replicate.Structure.of(recipe, (8, 8), 4, "classification", 120))
    network.set_weights(traced.model.get_weights())
    predictions = np.load(io.BytesIO(result.files["predictions.npz"]))["test"]
    np.testing.assert_allclose(predictions, network.predict(splits["test"][0], verbose=0), atol=1e-6)


def test_the_first_weights_are_those_of_a_training_without_it() -> None:
    """Its seeds are drawn apart. One update with all rows tells that both started from the same network."""
    still = {"train": {"batch_size": 1000, "epochs": 1, "learning_rate": 1e-9}}["train"]
    plain, changed = (trained(recipe_with(train={**still, "augmentation": each})) for each in ({}, ALL))
    scores = [json.loads(each.files["scores.json"])["test"] for each in (plain, changed)]
    assert float(scores[0]["loss"]) == pytest.approx(float(scores[1]["loss"]), rel=1e-5)
    assert history_of(plain)["loss"].iloc[0] != history_of(changed)["loss"].iloc[0]
