"""Small studies: their settings, their generated data, and their folders."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from stages.lib.data.prepared import Prepared, write_prepared
from stages.lib.study.settings import Study, merged
from stages.lib.training import views

SMALL: dict[str, Any] = {
    "title": "A small study",
    "source": "the tests",
    "data": {
        "dataset": "blobs",
        "split": {"method": "stratified", "train": 120, "validation": 40, "test": 40, "seed": 0},
    },
    "views": {"scaled": {"scale": "max"}, "noisy": {"scale": "standard", "test_noise": 0.5}},
    "model": {
        "conv": [],
        "kernel_size": 3,
        "pool_size": 2,
        "hidden": [16],
        "activation": "relu",
        "output_activation": "softmax",
        "kernel_initializer": "glorot_uniform",
        "batch_normalization": "none",
        "dropout": 0.0,
        "l2": 0.0,
    },
    "train": {
        "loss": "categorical_crossentropy",
        "optimizer": "adam",
        "learning_rate": 0.01,
        "momentum": 0.0,
        "batch_size": 32,
        "epochs": 3,
        "early_stopping": {"monitor": "none", "patience": 2, "min_delta": 0.0, "restore_best": False},
        "best_checkpoint": False,
        "tensorboard": False,
    },
    "replicates": {"seeds": 3, "backend": "tensorflow", "keep_models": "first", "time_limit": 60.0},
    "variants": {
        "plain": {"tip": "A start.", "view": "scaled"},
        "noisy": {"tip": "Noise.", "extends": "plain", "view": "noisy"},
        "dropped": {"tip": "Dropout.", "extends": "plain", "model": {"dropout": 0.5, "batch_normalization": "after"}},
    },
    "claims": {
        "noise_hurts": {
            "says": "Noise on the test rows lowers accuracy.",
            "compare": ["plain", "noisy"],
            "metric": "test_accuracy",
            "expect": "lower",
        }
    },
    "statistics": {"confidence": 0.99},
}
"""A valid study with three variants; `study_with` changes it."""
REGRESSION: dict[str, Any] = {"model": {"output_activation": "linear"}, "train": {"loss": "mse"}}
"""What makes it learn numbers."""


def study_with(changes: Mapping[str, Any] | None = None) -> Study:
    return Study.model_validate(merged(copy.deepcopy(SMALL), changes or {}))


def blobs(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images of four classes, (n, 8, 8) uint8, that a small network tells apart: each is bright in a corner of its own."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 4, rows)
    images = draw.integers(0, 90, (rows, 8, 8))
    for image, label in zip(images, labels, strict=True):
        image[4 * (label // 2) :, 4 * (label % 2) :][:4, :4] += 60
    return images.astype(np.uint8), labels.astype(np.int64)


def csv_entry(digest: str, source: str) -> dict[str, Any]:
    """An entry of datasets.yaml: a CSV of numbers with the class in the last column, at one address."""
    return {
        "title": "Blobs",
        "task": "classification",
        "reader": {"kind": "csv"},
        "licence": "none",
        "citation": "the tests",
        "files": {"all": {"name": "blobs.csv", "sha256": digest, "sources": [source]}},
    }


def described(x: np.ndarray) -> dict[str, Any]:
    return {"shape": list(x.shape), "type": str(x.dtype), "smallest": float(x.min()), "largest": float(x.max())}


def prepared_for(study: Study) -> Prepared:
    splits = {name: blobs(rows, seed) for seed, (name, rows) in enumerate([("train", 120), ("validation", 40), ("test", 40)])}
    rows = {name: x for name, (x, _) in splits.items()}
    fitted = {name: views.fit(view, rows) for name, view in study.views.items()}
    facts: dict[str, Any] = {"task": "classification", "class_names": list("abcd"), "title": "blobs"}
    facts |= {"licence": "none", "citation": "the tests", "splits": {name: described(x) for name, (x, _) in splits.items()}}
    return Prepared(splits, fitted, facts)


def write_params(folder: Path, changes: Mapping[str, Any] | None = None) -> None:
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(merged(copy.deepcopy(SMALL), changes or {}), file)


def write_study(folder: Path, changes: Mapping[str, Any] | None = None) -> Path:
    """Write the settings and the prepared data of a small study, so that the train stage can run on it."""
    folder.mkdir(exist_ok=True)
    write_params(folder, changes)
    write_prepared(prepared_for(study_with(changes)), folder / "data" / "prepared")
    return folder


JARGON = (
    "Traceback Input should tuple Tuple validation_error strict pydantic http string_type int_type discriminator NoneType "
    "literal datetime union None True False"
).split()
"""Words of Python, of pydantic and of HTTP that no message to a user has."""
