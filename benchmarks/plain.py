"""The tutorials' way, to compare with: one script, one replicate after the other, `fit` with Keras's default settings.

It trains what `dvc repro` of the starter trains, and expects its data/prepared: `python -m benchmarks.plain [STUDY]`.
"""

from __future__ import annotations

import numpy as np

from stages.lib import views
from stages.lib.cli import arguments
from stages.lib.prepared import read_prepared
from stages.lib.settings import load_study


def main() -> None:
    folder = arguments(__doc__).parse_args().study
    study, prepared = load_study(folder), read_prepared(folder / "data" / "prepared")

    import keras

    from stages.lib import models

    for name, recipe in study.recipes.items():
        fitted = prepared.views[study.view_of(name)]
        x = {split: views.apply(fitted, values, split) for split, (values, _) in prepared.splits.items()}
        y = {split: np.eye(prepared.outputs, dtype=np.float32)[labels] for split, (_, labels) in prepared.splits.items()}
        stopping = recipe.train.early_stopping
        for seed in study.seeds(name):
            keras.utils.set_random_seed(seed)
            model = models.build(recipe.model, x["train"].shape[1:], prepared.outputs, seed)
            optimizer = {"class_name": recipe.train.optimizer, "config": {"learning_rate": recipe.train.learning_rate}}
            model.compile(optimizer=keras.optimizers.get(optimizer), loss=recipe.train.loss, metrics=["accuracy"])
            callbacks = []
            if stopping.monitor != "none":
                callbacks.append(
                    keras.callbacks.EarlyStopping(
                        stopping.monitor, stopping.min_delta, stopping.patience, restore_best_weights=stopping.restore_best
                    )
                )
            model.fit(
                x["train"],
                y["train"],
                batch_size=recipe.train.batch_size,
                epochs=recipe.train.epochs,
                validation_data=(x["validation"], y["validation"]),
                callbacks=callbacks,
                verbose=0,
            )
            scores = [model.evaluate(x[split], y[split], verbose=0)[1] for split in x]
            model.predict(x["test"], verbose=0)
            print(name, seed, *(f"{score:.4f}" for score in scores), flush=True)


if __name__ == "__main__":
    main()
