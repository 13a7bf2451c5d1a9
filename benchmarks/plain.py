"""The tutorials' way, to compare with: one script, one replicate after the other, `fit` with Keras's default settings.

It trains what `dvc repro` of a study trains, and expects its data/prepared: `python -m benchmarks.plain [STUDY]`. A study of
networks with one input and one output, that is, since a script for each kind would be no comparison of the ways.
"""

from __future__ import annotations

import numpy as np

from stages.lib.cli import arguments
from stages.lib.data.prepared import read_prepared
from stages.lib.study.load import load_study
from stages.lib.training import views


def main() -> None:
    folder = arguments(__doc__).parse_args().study
    study, prepared = load_study(folder), read_prepared(folder / "data" / "prepared")

    import keras

    from stages.lib.training import networks

    for name, recipe in study.recipes.items():
        fitted = prepared.views[study.view_of(name)]
        stopping = recipe.train.early_stopping
        one_hot = prepared.task == "classification" and not recipe.train.loss.startswith("sparse")
        for seed in study.seeds(name):
            x, y = {}, {}
            for split, (inputs, labels) in views.inputs_of(recipe, fitted, prepared.splits, seed).items():
                x[split], y[split] = inputs, np.eye(prepared.outputs, dtype=np.float32)[labels] if one_hot else labels
            keras.utils.set_random_seed(seed)
            model = networks.build(recipe.model, x["train"].shape[1:], prepared.outputs, seed)
            optimizer = {"class_name": recipe.train.optimizer, "config": {"learning_rate": recipe.train.learning_rate}}
            quality = "accuracy" if prepared.task == "classification" else "mae"
            model.compile(optimizer=keras.optimizers.get(optimizer), loss=recipe.train.loss, metrics=[quality])
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
                validation_data=(x["validation"], y["validation"]) if "validation" in x else None,
                callbacks=callbacks,
                verbose=0,
            )
            scores = [model.evaluate(x[split], y[split], verbose=0)[1] for split in x]
            model.predict(x["test"], verbose=0)
            print(name, seed, *(f"{score:.4f}" for score in scores), flush=True)


if __name__ == "__main__":
    main()
