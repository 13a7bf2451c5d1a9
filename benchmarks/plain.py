"""A plain Keras script to compare with: one replicate after the other, `fit` with Keras's default settings.

It trains the replicates that the train stage has trained, by data/timings.json, and needs data/prepared: `python -m
benchmarks.plain [STUDY]`. The study's networks must have one input and one output, and their training no weights, smoothing or
augmentation.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from stages.lib.cli import arguments
from stages.lib.data.prepared import Prepared, read_prepared
from stages.lib.study.load import load_study
from stages.lib.study.recipe import Recipe
from stages.lib.training import views


def train(recipe: Recipe, fitted: views.FittedView, prepared: Prepared, seed: int) -> list[float]:
    """Train one replicate and return its quality on each split."""
    import keras

    from stages.lib.training import networks, replicate

    one_hot = prepared.task == "classification" and not recipe.train.loss.startswith("sparse")
    splits: dict[str, tuple[Any, Any]] = {}
    for split, (x, y) in views.inputs_of(recipe, fitted, prepared.splits, seed).items():
        splits[split] = x, np.eye(prepared.outputs, dtype=np.float32)[y] if one_hot else y
    x, y = splits["train"]
    keras.utils.set_random_seed(seed)
    model = networks.build(recipe.model, x.shape[1:], prepared.outputs, seed)
    structure = replicate.Structure.of(recipe, x.shape[1:], prepared.outputs, prepared.task, len(x))
    optimizer = replicate.new_optimizer(structure, float(recipe.train.learning_rate))
    quality = "accuracy" if prepared.task == "classification" else "mae"
    model.compile(optimizer=optimizer, loss=recipe.train.loss, metrics=[quality])
    stopping = recipe.train.early_stopping
    callbacks = []
    if stopping.monitor != "none":
        callbacks.append(
            keras.callbacks.EarlyStopping(
                stopping.monitor, stopping.min_delta, stopping.patience, restore_best_weights=stopping.restore_best
            )
        )
    model.fit(
        x,
        y,
        batch_size=recipe.train.batch_size,
        epochs=recipe.train.epochs,
        validation_data=splits.get("validation"),
        callbacks=callbacks,
        verbose=0,
    )
    scores = [model.evaluate(*rows, verbose=0)[1] for rows in splits.values()]
    model.predict(splits["test"][0], verbose=0)
    return scores


def trained_seeds(folder: Path) -> dict[str, list[int]]:
    """Variant -> the seeds that the train stage found to be needed."""
    timings = json.loads((folder / "data" / "timings.json").read_text(encoding="utf-8"))["replicates"]
    return {variant: sorted(map(int, seeds)) for variant, seeds in timings.items()}


def main() -> None:
    folder = arguments(__doc__).parse_args().study
    study = load_study(folder)
    prepared = read_prepared(folder / "data" / "prepared")
    for name, seeds in trained_seeds(folder).items():
        recipe = study.recipes[name]
        for seed in seeds:
            scores = train(recipe, prepared.views[study.view_of(name)], prepared, seed)
            print(name, seed, *(f"{score:.4f}" for score in scores), flush=True)


if __name__ == "__main__":
    main()
