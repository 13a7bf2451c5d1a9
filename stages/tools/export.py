"""Export a trained replicate, with its scaling inside: `python -m stages.tools export STUDY VARIANT [--seed N] [--to FOLDER]`.

Reads params.yaml, data/prepared and data/runs/VARIANT/SEED, so run `dvc repro` first. Writes into data/exports/VARIANT/SEED of
the study, or into FOLDER:

  model.keras                      for keras.saving.load_model
  saved_model/                     for TensorFlow alone: it needs neither Keras nor this project
  model.json and model.weights.h5  for keras.models.model_from_json, then load_weights
  export.json                      what goes in and what comes out: features in their order with their ranges in the training
                                   rows, class names in the order of the outputs or the target, the view, the shapes
  predict.py and encoding.json     of a table: `python predict.py TABLE` predicts raw rows of it, without this project

Every format takes raw rows, as data/prepared has them: pixels or features of shape (n, ...), numbers of any type. Those of a
table with categories or missing values take encoded columns, which predict.py makes. A SavedModel wants a tensor to be float32.
A network with two outputs answers {"joint": ..., "deep": ...}. To load a subclassed network from Keras's own formats, import
the module that `needs` in export.json names. A network of your own with layers of its own needs its file, which is then copied
to networks/NAME.py; its folder must be on Python's path. Noise on the test inputs is not exported.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.lib import environment
from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.data.catalogue import CATALOGUE, load_catalogue
from stages.lib.data.prepared import Prepared, read_prepared
from stages.lib.data.readers.table import Table
from stages.lib.files import read_arrays, write_json, write_text
from stages.lib.study.load import load_study
from stages.lib.study.networks import Network
from stages.lib.study.recipe import Recipe
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import unknown
from stages.lib.training import encoding, views
from stages.tools import predict

if TYPE_CHECKING:
    import keras

FACTS = "export.json"
SAMPLE_ROWS = 100
"""Rows that an export is checked with."""
TOLERANCE = 1e-3
"""Rounding changes a prediction by far less, and another view or other weights by far more."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what TensorFlow logs from standard error, unless the body fails. No variable of TensorFlow's silences all of it."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except Exception as error:
            if not isinstance(error, UserError):
                log.seek(0)
                os.write(kept, log.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _write_keras(model: keras.Model, folder: Path) -> None:
    model.save(folder / "model.keras")


def _write_saved_model(model: keras.Model, folder: Path) -> None:
    model.export(folder / "saved_model", verbose=False)


def _write_json(model: keras.Model, folder: Path) -> None:
    (folder / "model.json").write_text(json.dumps(json.loads(model.to_json()), indent=2) + "\n")
    model.save_weights(folder / "model.weights.h5")


FORMATS: dict[str, Callable[[keras.Model, Path], None]] = {
    "keras": _write_keras,
    "saved_model": _write_saved_model,
    "json": _write_json,
}


def architecture(text: str) -> Any:
    """The content of a model.json without the modules of its classes, which may have moved since."""
    return json.loads(text, object_hook=lambda content: {key: value for key, value in content.items() if key != "module"})


def trained_network(recipe: Recipe, run: Path, input_shape: tuple[int, ...], outputs: int, seed: int) -> keras.Model:
    """The network of the replicate with this seed in the folder `run`, with its weights.

    Raises UserError if it is missing, or if params.yaml describes another network now.
    """
    weights = run / "model.weights.h5"
    if not (run / "model.json").exists():
        raise UserError(f"{run} holds no trained replicate; run `dvc repro`, or the train stage first")
    if not weights.exists():
        raise UserError(f"{weights} is missing; set replicates.keep_models to all (or first, for seed 0) and run `dvc repro`")

    from stages.lib.training import networks, own  # slow: Keras

    network = networks.build(recipe.model, input_shape, outputs, seed if recipe.model.network else 0)
    if architecture(json.dumps(own.architecture(network))) != architecture((run / "model.json").read_text(encoding="utf-8")):
        raise UserError(f"{run} holds another network than params.yaml describes; run `dvc repro`, or the train stage first")
    network.load_weights(weights)
    return network


def with_scaling(network: keras.Model, recipe: Recipe, view: views.FittedView, input_shape: tuple[int, ...]) -> keras.Model:
    """The network behind its view: raw rows in, predictions out. Two outputs become a dictionary.

    The shift and the factor are separate layers, because training rounds after each of them. An encoded view has them among
    its encoded columns, which go in as they are.
    """
    import keras

    from stages.lib.training import networks

    raw = scaled = keras.Input(input_shape, name="encoded" if view.encoding else "raw")
    if not view.encoding:
        shift, factor = views.scale_of(view, "train")
        shifted = keras.layers.Rescaling(1.0, (-shift).tolist(), name="shift")(raw)
        scaled = keras.layers.Rescaling(factor.tolist(), name="factor")(shifted)
    inputs = networks.inputs_of(recipe.model, scaled)
    outputs = network(list(inputs) if isinstance(inputs, tuple) else inputs)
    if isinstance(outputs, list | tuple):
        outputs = dict(zip(("joint", "deep"), outputs, strict=True))
    return keras.Model(raw, outputs, name="exported")


def predictions_of(outputs: Any) -> np.ndarray:
    """The answer of an exported model as predictions.npz has it: (n, outputs), the second output beside the first."""
    parts = [outputs["joint"], outputs["deep"]] if isinstance(outputs, Mapping) else [outputs]
    return np.concatenate([np.asarray(part) for part in parts], axis=-1)


def rows_for(view: views.FittedView, raw: np.ndarray) -> np.ndarray:
    """Some rows as the exported network takes them: encoded if the view encodes them, else raw."""
    rows = raw[:SAMPLE_ROWS]
    return views.apply(view, rows, "train") if view.encoding else rows


def check(model: keras.Model, recipe: Recipe, view: views.FittedView, run: Path, splits: views.Splits) -> None:
    """Raises UserError if the export does not predict what the replicate predicted.

    Noise is on the test rows alone, so validation rows are compared if the view has noise. A view that is fitted on each split
    scales the test rows unlike the training rows, so nothing is compared.

    splits: the rows of the replicate.
    view: the replicate's.
    """
    predictions = read_arrays(run / "predictions.npz")
    split = "validation" if recipe.view.test_noise else "test"
    if recipe.view.fit_on == "each_split" or split not in predictions:
        return
    found = predictions_of(model.predict(rows_for(view, splits[split][0]), verbose=0))
    expected = predictions[split][:SAMPLE_ROWS]
    scale = np.abs(expected).max(initial=1e-9)
    if found.shape != expected.shape or not np.allclose(found, expected, TOLERANCE, TOLERANCE * scale, equal_nan=True):
        raise UserError(f"{run} was trained on other data than data/prepared, or another view; run `dvc repro`")


def features_of(prepared: Prepared) -> list[dict[str, Any]]:
    """The features of a row in their order, with their ranges in the training rows; nothing for rows that are no vectors."""
    rows = prepared.splits["train"][0]
    if rows.ndim != 2:
        return []
    columns = prepared.facts.get("columns", [])
    names = prepared.facts.get("feature_names") or [column["name"] for column in columns] or [None] * rows.shape[1]
    features: list[dict[str, Any]] = []
    for number, name in enumerate(names):
        known = rows[:, number][~np.isnan(rows[:, number])]
        ends = {"smallest": float(known.min()), "largest": float(known.max())} if len(known) else {}
        values = {"values": columns[number]["values"]} if columns and columns[number]["values"] else {}
        features.append({"name": name, **(values or ends)})
    return features


def needs_of(recipe: Recipe, network: keras.Model) -> list[str]:
    """The modules to import before Keras can load the network."""
    from stages.lib.training import networks, own

    if recipe.model.network:
        return [] if own.is_keras_s(network) else [recipe.model.network.module]
    return [networks.__name__] if recipe.model.wide_deep.api == "subclass" else []


def facts_of(
    study: Study, folder: Path, variant: str, seed: int, prepared: Prepared, model: keras.Model, needs: list[str]
) -> dict[str, Any]:
    """What a user of the export has to know, beside the modules that it needs."""
    recipe, split = study.recipes[variant], prepared.facts["splits"]["train"]
    meaning: dict[str, Any] = {"class_names": prepared.facts["class_names"]}
    if prepared.task != "classification":
        meaning = {"target": prepared.facts.get("target", "")}
    several = isinstance(model.output, dict)
    return {
        "study": folder.as_posix(),
        "title": study.title,
        "variant": variant,
        "seed": seed,
        "task": prepared.task,
        **meaning,
        "view": {"name": study.view_of(variant), **recipe.view.model_dump(exclude={"test_noise", "noise_seed"})},
        "input": {
            "shape": [None, *split["shape"][1:]],
            "raw_type": split["type"],
            "values": [split["smallest"], split["largest"]],
            "features": features_of(prepared),
        },
        "output": {name: list(of.shape) for name, of in model.output.items()} if several else list(model.output.shape),
        "needs": needs,
    }


def encoding_of(study: Study, folder: Path, prepared: Prepared, view: views.FittedView) -> dict[str, Any] | None:
    """What predict.py has to know of a table: how it is read, its inputs, and their encoding. None for data that are no table.

    Raises UserError if the raw files are gone, since the order of the columns is in them.
    """
    dataset = load_catalogue(CATALOGUE).get(study.data.dataset) if CATALOGUE.exists() else None
    if dataset is None or not isinstance(reader := dataset.reader, Table):
        return None
    path = folder / "data" / "raw" / next(iter(dataset.files.values())).name
    if not path.exists():
        raise UserError(f"{path}: missing; run the fetch stage")
    names = list(reader.frame(path, dataset.class_names).columns)
    described = prepared.facts.get("columns", [])
    inputs = []
    for number, place in enumerate(reader.places(path)):
        name = place if isinstance(place, str) else f"column_{place + 1}"
        column = described[number] if described else {"name": name, "kind": "number", "values": []}
        ratio = reader.ratios.get(place) if isinstance(place, str) and place not in names else None
        inputs.append({**column, "place": place, "ratio": ratio})
    options = reader.model_dump(mode="json")
    options["missing"] = [str(token) for token in reader.missing]
    return {
        "reader": {"leave_out_last": 0, **options},
        "names": names if reader.has_header else [],
        "width": len(names),
        "inputs": inputs,
        "dtype": prepared.facts["splits"]["train"]["type"],
        "shape": prepared.facts["splits"]["train"]["shape"][1:],
        "class_names": prepared.facts["class_names"],
        "encoding": view.encoding,
        "shift": view.shift,
        "factor": view.factor,
    }


def write_predictor(facts: Mapping[str, Any], target: Path) -> None:
    """Write encoding.json, predict.py and the module that it needs, which need not this project."""
    own, theirs = "from stages.lib.training import encoding as encodings", "import encoding as encodings"
    write_json(target / predict.ENCODING, facts)
    source = Path(predict.__file__).read_text(encoding="utf-8")
    write_text(target / "predict.py", source.replace(own, theirs))
    write_text(target / "encoding.py", Path(encoding.__file__).read_text(encoding="utf-8"))


def write_export(model: keras.Model, formats: list[str], facts: dict[str, Any], target: Path) -> None:
    """Write every format and the facts into `target`, each whole or not at all. Other files there stay."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export.", dir=target) as temporary:
        made, replaced = Path(temporary, "made"), Path(temporary, "replaced")
        made.mkdir()
        replaced.mkdir()
        for name in formats:
            FORMATS[name](model, made)
        for path in sorted(made.iterdir()):
            if path.is_dir() and (target / path.name).exists():
                (target / path.name).rename(replaced / path.name)
            shutil.move(path, target / path.name)
    write_json(target / FACTS, facts)


def _check_formats(model: keras.Model, network: Network, formats: list[str], raw: np.ndarray) -> None:
    """Raises UserError if Keras's own formats lose what a layer of the user's keeps, or cannot be loaded."""
    import keras

    if not {"keras", "json"} & set(formats):
        return
    with tempfile.TemporaryDirectory() as folder:
        _write_keras(model, Path(folder))
        try:
            loaded = keras.saving.load_model(Path(folder) / "model.keras")
        except (TypeError, ValueError, NotImplementedError):
            needed = "@keras.saving.register_keras_serializable() and, for arguments, get_config"
            wrong = f"Keras cannot load what it writes; classes of your own need {needed}"
            raise UserError(f"{network.path}: {wrong}; or choose --formats saved_model") from None
        given, found = (predictions_of(each.predict(raw, verbose=0)) for each in (model, loaded))
    if not np.allclose(found, given, TOLERANCE, TOLERANCE, equal_nan=True):
        wrong = "a layer keeps something that is neither a weight nor in its get_config, so it would predict something else"
        raise UserError(f"{network.path}: {wrong}; choose --formats saved_model, or mend the layer")


def choose_backend(backend: str, formats: list[str]) -> None:
    """Choose the study's backend for Keras. Raises UserError for another one in the environment, or a format that it lacks."""
    if backend != "tensorflow" and "saved_model" in formats:
        raise UserError(f"a SavedModel needs replicates.backend tensorflow, not {backend}; choose --formats keras json")
    environment.check_backend(backend)
    os.environ[environment.BACKEND] = backend


def export(folder: Path, variant: str, seed: int, formats: list[str], target: Path) -> dict[str, Any]:
    """Write the export of a replicate and return its facts. Raises UserError if something is missing or does not fit."""
    study = load_study(folder)
    if variant not in study.variants:
        raise UserError(str(unknown("variant", variant, study.variants)))
    if seed not in study.seeds(variant):
        raise UserError(f"--seed {seed}: {variant} is trained with the seeds 0 to {len(study.seeds(variant)) - 1}")
    choose_backend(study.replicates.backend, formats)
    recipe = study.recipes[variant]
    prepared = read_prepared(folder / "data" / "prepared")
    run = folder / "data" / "runs" / variant / str(seed)
    splits, view = views.of_replicate(recipe, prepared.views[study.view_of(variant)], prepared.splits, seed)
    recipe = views.resolved(recipe, view)
    input_shape = views.shape_of(view, prepared.splits["train"][0])
    network = trained_network(recipe, run, input_shape, prepared.outputs, seed)
    model = with_scaling(network, recipe, view, input_shape)
    check(model, recipe, view, run, splits)
    needs = needs_of(recipe, network)
    encoded = encoding_of(study, folder, prepared, view)
    facts = facts_of(study, folder, variant, seed, prepared, model, needs)
    if encoded:
        for feature, each in zip(facts["input"]["features"], encoded["inputs"], strict=False):  # none for rows of pixels
            feature["name"] = each["name"]
    if view.encoding:
        facts["input"]["encoded"] = encoding.names(view.encoding)
    if recipe.model.network and needs:
        _check_formats(model, recipe.model.network, formats, rows_for(view, splits["test"][0]))
        write_text(target / f"{needs[0].replace('.', '/')}.py", recipe.model.network.text)
    write_export(model, formats, facts, target)
    if encoded:
        write_predictor(encoded, target)
    return facts


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("variant", metavar="VARIANT", help="the variant whose replicate is exported")
    parser.add_argument("--seed", type=int, default=0, help="the replicate's seed (default: 0)")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="default: STUDY/data/exports/VARIANT/SEED")
    parser.add_argument("--formats", nargs="+", choices=list(FORMATS), default=list(FORMATS), help="default: all formats")
    options = parser.parse_args()
    with one_line_errors("export", options.study):
        target = options.to or options.study / "data" / "exports" / options.variant / str(options.seed)
        with quiet():
            facts = export(options.study, options.variant, options.seed, options.formats, target)
        print(f"{target}: {', '.join(options.formats)} and {FACTS}")
        if (target / "predict.py").exists():
            print(f"`python {target / 'predict.py'} TABLE` predicts raw rows.")
        if facts["needs"] and {"keras", "json"} & set(options.formats):
            print(f"Import {facts['needs'][0]} before you load it from Keras's own formats; the SavedModel does not need it.")


if __name__ == "__main__":
    main()
