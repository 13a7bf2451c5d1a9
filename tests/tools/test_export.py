"""An exported replicate takes raw rows, and predicts in a process of its own what it predicted when it was trained."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.checkout import ROOT, environment_of, stage
from helpers.study import blobs, described, write_params
from stages.lib.cli import UserError
from stages.lib.data.prepared import Prepared, read_prepared, read_split, write_prepared
from stages.lib.files import read_arrays, write_bytes
from stages.lib.study.load import load_study
from stages.lib.study.settings import merged
from stages.lib.training import replicate, views
from stages.tools import export

VIEWS = {
    "scaled": {"scale": "max", "invert": True},
    "noisy": {"scale": "standard", "per": "feature", "test_noise": 0.5},
    "each": {"scale": "standard", "per": "feature", "fit_on": "each_split"},
}
IMAGES: dict[str, Any] = {
    "views": VIEWS,
    "variants": {
        "convolution": {"tip": "Convolve.", "extends": "plain", "model": {"conv": [3], "hidden": [6]}},
        "folded": {"tip": "Fold.", "extends": "plain", "k_fold": True},
    },
    "data": {"k_fold": {"folds": 3, "repeats": 1, "seed": 0}},
    "replicates": {"keep_models": "all"},
}
PAIR = {"wide": [0, 5], "deep": [2, 8]}
TABLE: dict[str, Any] = {
    "views": {"scaled": {"scale": "standard", "per": "feature"}, **{name: VIEWS[name] for name in ("noisy", "each")}},
    "model": {"output_activation": "linear"},
    "train": {"loss": "mse", "optimizer": "sgd"},
    "claims": {"noise_hurts": {"metric": "test_loss", "expect": "higher"}},
    "variants": {
        name: {"tip": "Wide and deep.", "extends": "plain", "model": {"wide_deep": wide_deep}}
        for name, wide_deep in {
            "functional": {"api": "functional"},
            "subclass": {"api": "subclass"},
            "functional_pair": {"api": "functional", **PAIR},
            "subclass_pair": {"api": "subclass", **PAIR},
            "functional_outputs": {"api": "functional", **PAIR, "auxiliary_output": True},
            "subclass_outputs": {"api": "subclass", **PAIR, "auxiliary_output": True},
        }.items()
    }
    | {
        "dense": {"tip": "A stack.", "extends": "plain"},
        "each_split": {"tip": "A mistake.", "extends": "plain", "view": "each"},
    },
}

SEEDS = {
    "images": {"plain": 1, "noisy": 0, "convolution": 0, "folded": 2},
    "table": dict.fromkeys(["dense", *TABLE["variants"]], 0),
}
"""Study -> variant -> the seed that is trained."""
EXPORTED = [variant for chosen in SEEDS.values() for variant in chosen if variant != "each_split"]

LOAD = """
import json, sys
import keras, numpy as np, tensorflow as tf

def save(folder, name, outputs):
    parts = [outputs["joint"], outputs["deep"]] if isinstance(outputs, dict) else [outputs]
    np.save(f"{folder}/{name}.npy", np.concatenate([np.asarray(part) for part in parts], axis=-1))

def load_keras(folder):
    whole = keras.saving.load_model(f"{folder}/model.keras")
    with open(f"{folder}/model.json") as file:
        parts = keras.models.model_from_json(file.read())
    parts.load_weights(f"{folder}/model.weights.h5")
    for name, model in (("keras", whole), ("json", parts)):
        rows = np.load(f"{folder}/raw.npy")
        save(folder, name, model.predict(rows, verbose=0))
        save(folder, f"{name}_float", model.predict(rows.astype("float32"), verbose=0))

plain, subclasses = json.loads(sys.argv[1])
for folder in plain + subclasses:
    loaded = tf.saved_model.load(f"{folder}/saved_model")
    save(folder, "saved_model", loaded.serve(np.load(f"{folder}/raw.npy")))
for folder in plain:
    load_keras(folder)
assert "stages" not in sys.modules
for folder in subclasses:
    try:
        load_keras(folder)
    except (TypeError, ValueError):
        continue
    raise AssertionError(f"{folder} needs no class of ours")
sys.path.insert(0, sys.argv[2])
import stages.lib.training.networks
for folder in subclasses:
    load_keras(folder)
"""


def table(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Eight features of unequal scales, one of them far from 0, and a target: (n, 8) float64 and (n,)."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 8)) * [1, 10, 5, 1, 1000, 3, 2, 2] + [4, 28, 5, 1, 1400, 3, 36, -120]
    return x, (x[:, 0] + x[:, 7] / 10).astype(np.float32)


def train(folder: Path, changes: Mapping[str, Any], task: str, chosen: Mapping[str, int]) -> None:
    """A study's folder with prepared data and, of each chosen variant, the replicate with that seed."""
    folder.mkdir()
    write_params(folder, json.loads(json.dumps(changes)))  # without what YAML would write as an alias
    study = load_study(folder)
    make = blobs if task == "classification" else table
    splits = {name: make(rows, seed) for seed, (name, rows) in enumerate([("train", 120), ("validation", 40), ("test", 40)])}
    raw = {name: x for name, (x, _) in splits.items()}
    facts: dict[str, Any] = {"task": task, "class_names": list("abcd") if task == "classification" else [], "title": "made"}
    facts |= {
        "target": "a sum",
        "feature_names": list("abcdefgh") if task == "regression" else [],
        "licence": "none",
        "citation": "none",
        "splits": {name: described(x) for name, x in raw.items()},
    }
    prepared = Prepared(splits, {name: views.fit(view, raw) for name, view in study.views.items()}, facts)
    write_prepared(prepared, folder / "data" / "prepared")
    for variant, seed in chosen.items():
        recipe = study.recipes[variant]
        inputs = views.inputs_of(recipe, prepared.views[study.view_of(variant)], splits, seed)
        labels = np.int32 if task == "classification" else np.float32
        seen = {name: (x, y.astype(labels)) for name, (x, y) in inputs.items()}
        result = replicate.train_replicate(recipe, seed, seen, prepared.outputs, task)
        for name, content in result.files.items():
            write_bytes(folder / "data" / "runs" / variant / str(seed) / name, content)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trained studies."""
    root = tmp_path_factory.mktemp("studies")
    train(root / "images", IMAGES, "classification", SEEDS["images"])
    train(root / "table", TABLE, "regression", SEEDS["table"])
    return root


@pytest.fixture(scope="module")
def exports(studies: Path) -> Path:
    """VARIANT/ with the export, raw rows, what the replicate predicts for them, and what each format does in a new process."""
    root = studies / "exports"
    groups: list[list[str]] = [[], []]
    for study, variant in [(name, each) for name, chosen in SEEDS.items() for each in chosen if each in EXPORTED]:
        split, target, seed = "validation" if variant == "noisy" else "test", root / variant, SEEDS[study][variant]
        export.export(studies / study, variant, seed, list(export.FORMATS), target)
        np.save(target / "raw.npy", read_split(studies / study / "data" / "prepared", split)[0])
        predictions = read_arrays(studies / study / "data" / "runs" / variant / str(seed) / "predictions.npz")
        np.save(target / "replicate.npy", predictions[split])
        groups["subclass" in variant].append(str(target))
    command = [sys.executable, "-c", LOAD, json.dumps(groups), str(ROOT)]
    done = subprocess.run(command, cwd=root, env=environment_of(root), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return root


@pytest.mark.parametrize("loaded", ["keras", "keras_float", "json", "json_float", "saved_model"])
@pytest.mark.parametrize("variant", EXPORTED)
def test_a_new_process_predicts_the_same_from_raw_rows(exports: Path, variant: str, loaded: str) -> None:
    expected, found = np.load(exports / variant / "replicate.npy"), np.load(exports / variant / f"{loaded}.npy")
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_export_says_what_it_is(exports: Path) -> None:
    facts = json.loads((exports / "dense" / "export.json").read_text())
    assert (facts["variant"], facts["task"], facts["target"]) == ("dense", "regression", "a sum")
    assert facts["input"]["shape"] == [None, 8]
    rows = table(120, 0)[0]
    ranges = [(feature["smallest"], feature["largest"]) for feature in facts["input"]["features"]]
    assert ranges == [(column.min(), column.max()) for column in rows.T]
    assert [feature["name"] for feature in facts["input"]["features"]] == list("abcdefgh")
    assert facts["output"] == [None, 1]
    assert facts["view"]["name"] == "scaled"
    assert facts["needs"] == []


def test_the_facts_name_the_classes(exports: Path) -> None:
    facts = json.loads((exports / "convolution" / "export.json").read_text())
    assert facts["class_names"] == list("abcd")
    assert facts["input"]["raw_type"] == "uint8"
    assert facts["input"]["features"] == []  # pixels


def test_two_outputs_have_names_and_a_subclass_needs_its_class(exports: Path) -> None:
    facts = json.loads((exports / "subclass_outputs" / "export.json").read_text())
    assert facts["output"] == {"joint": [None, 1], "deep": [None, 1]}
    assert facts["needs"] == ["stages.lib.training.networks"]


def test_an_export_scales_as_the_training_rows_were(studies: Path) -> None:
    folder = studies / "table"
    study, prepared = load_study(folder), read_prepared(folder / "data" / "prepared")
    recipe, view, raw = study.recipes["each_split"], prepared.views["each"], prepared.splits["test"][0]
    network = export.trained_network(recipe, folder / "data" / "runs" / "each_split" / "0", (8,), 1, seed=0)
    model = export.with_scaling(network, recipe, view, (8,))
    assert view.own["test"] != [view.shift, view.factor]
    expected = network.predict(views.apply(view, raw, "train"), verbose=0)
    np.testing.assert_allclose(model.predict(raw, verbose=0), expected, rtol=1e-6)


def test_a_second_export_replaces_the_first_and_nothing_else(studies: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("stays")
    for variant, seed in (("functional", 0), ("dense", 0)):
        export.export(studies / "table", variant, seed, list(export.FORMATS), tmp_path)
    assert json.loads((tmp_path / "export.json").read_text())["variant"] == "dense"
    names = ["export.json", "mine", "model.json", "model.keras", "model.weights.h5", "saved_model"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.fixture
def copy(studies: Path, tmp_path: Path) -> Path:
    """A copy of the study of images, to spoil."""
    return Path(shutil.copytree(studies / "images", tmp_path / "copy"))


def refused(folder: Path, variant: str = "convolution", seed: int = 0, formats: Sequence[str] = ("json",)) -> str:
    with pytest.raises(UserError) as error:
        export.export(folder, variant, seed, list(formats), folder / "export")
    assert not (folder / "export").exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_unknown_variant_is_refused(copy: Path) -> None:
    assert "unknown variant 'convolutions' (did you mean 'convolution'?)" in refused(copy, "convolutions")


def test_a_seed_that_is_not_the_variant_s_is_refused(copy: Path) -> None:
    assert "--seed 7: convolution is trained with the seeds 0 to 2" in refused(copy, seed=7)


def test_a_replicate_that_is_not_trained_is_refused(copy: Path) -> None:
    assert "data/runs/convolution/1 holds no trained replicate" in refused(copy, seed=1)


def test_weights_that_were_not_kept_are_refused(copy: Path) -> None:
    (copy / "data" / "runs" / "convolution" / "0" / "model.weights.h5").unlink()
    assert "set replicates.keep_models" in refused(copy)


def test_data_that_are_not_prepared_are_refused(copy: Path) -> None:
    shutil.rmtree(copy / "data" / "prepared")
    assert "the prepare stage first" in refused(copy)


def test_a_network_that_changed_since_is_refused(copy: Path) -> None:
    write_params(copy, merged(IMAGES, {"variants": {"convolution": {"model": {"hidden": [7]}}}}))
    assert "holds another network than params.yaml describes" in refused(copy)


def test_a_class_may_have_moved_since(studies: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(studies / "table", tmp_path / "copy"))
    path = folder / "data" / "runs" / "subclass" / "0" / "model.json"
    content = json.loads(path.read_text())
    assert content["registered_name"] == "tips>WideAndDeep"
    path.write_text(json.dumps(content | {"module": "stages.lib.models"}))
    export.export(folder, "subclass", 0, ["json"], tmp_path / "export")
    assert json.loads((tmp_path / "export" / "export.json").read_text())["needs"] == ["stages.lib.training.networks"]


@pytest.mark.parametrize(("variant", "view"), [("convolution", "scaled"), ("noisy", "noisy")])
def test_a_view_that_changed_since_is_refused(copy: Path, variant: str, view: str) -> None:
    path = copy / "data" / "prepared" / "views.json"
    content = json.loads(path.read_text())
    content[view]["shift"] = np.add(content[view]["shift"], 5.0).tolist()
    path.write_text(json.dumps(content))
    assert "was trained on other data than data/prepared, or another view" in refused(copy, variant)


def test_a_saved_model_needs_tensorflow(copy: Path) -> None:
    write_params(copy, merged(IMAGES, {"replicates": {"backend": "jax"}}))
    assert "a SavedModel needs replicates.backend tensorflow, not jax" in refused(copy, formats=["saved_model"])
    assert "KERAS_BACKEND is tensorflow, but replicates.backend is jax" in refused(copy)


def test_the_command_writes_beside_the_runs(copy: Path, tmp_path: Path) -> None:
    done = stage("tools.export", copy, "plain", "--seed", "1", "--formats", "keras", cache=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    target = copy / "data" / "exports" / "plain" / "1"
    assert done.stdout == f"{target}: keras and export.json\n"
    assert sorted(path.name for path in target.iterdir()) == ["export.json", "model.keras"]


def test_the_command_ends_with_one_line_for_a_mistake(copy: Path, tmp_path: Path) -> None:
    done = stage("tools.export", copy, "plane", cache=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("export: unknown variant 'plane'")
    assert len(done.stderr.splitlines()) == 1
