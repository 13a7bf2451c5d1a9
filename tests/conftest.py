"""Small studies to train in seconds, and the environment in which Keras is imported: one thread, as in a worker."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from stages.lib.data.prepared import Prepared, write_prepared
from stages.lib.engine.cluster import worker_environment
from stages.lib.study.settings import Study
from stages.lib.study.settings import merged as merged
from stages.lib.training import views

ROOT = Path(__file__).resolve().parent.parent

os.environ.update(worker_environment("tensorflow"))
os.environ.pop("DVC_STAGE", None)

SLOW = ("test_tutorials", "test_pipeline", "test_train", "test_cluster", "test_docs")
"""Files that take minutes, the slowest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files come first, so that at the end no process of xdist waits for another's."""
    items.sort(key=lambda item: SLOW.index(item.path.stem) if item.path.stem in SLOW else len(SLOW))


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


@pytest.fixture
def small_study(tmp_path: Path) -> Callable[..., Path]:
    """Make the folder of a small study whose data are prepared, so that the train stage can run on it."""

    def make(changes: Mapping[str, Any] | None = None) -> Path:
        folder = tmp_path / "study"
        folder.mkdir(exist_ok=True)
        write_params(folder, changes)
        write_prepared(prepared_for(study_with(changes)), folder / "data" / "prepared")
        return folder

    return make


def environment_of(cache: Path, **changes: str) -> dict[str, str]:
    """A clean environment for a stage in a process of its own, with its own user cache."""
    kept = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "PATH", "TMPDIR")}
    return {**kept, "XDG_CACHE_HOME": str(cache), "PYTHONDONTWRITEBYTECODE": "", **changes}


def stage(name: str, *arguments: str | Path, cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a stage as DVC does, at the checkout's root, and wait for it."""
    command = [sys.executable, "-m", f"stages.{name}", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=environment_of(cache, **environment), capture_output=True, text=True, check=False
    )
