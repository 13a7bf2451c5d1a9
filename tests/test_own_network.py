"""Networks of one's own from params.yaml to the report: the page's example, sequences, searches, and mistakes."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from helpers.checkout import ROOT, Checkout, copy_tree, is_result, stage
from helpers.networks import CUSTOM, TINY, network, own_study, with_own, write_networks
from helpers.processes import bytes_of
from helpers.study import blobs
from stages import train
from stages.lib.cli import UserError
from stages.lib.engine import plan, runs
from stages.lib.engine.jobs import OWN, STEP, cost_of
from stages.lib.report.sections.claims import changed_knobs
from stages.lib.study.load import load_study
from stages.lib.study.settings import merged
from stages.lib.training import replicate
from stages.tools.show import show

PAGE = (ROOT / "docs" / "own-network.md").read_text(encoding="utf-8")
SEQUENCES = """
from keras import Model, layers

def build(inputs, outputs, *, units: int = 4, kind: str = "conv"):
    if kind == "conv":
        x = layers.GlobalMaxPooling1D()(layers.Conv1D(units, 5, activation="relu")(inputs))
    else:
        x = layers.GRU(units)(inputs)
    return Model(inputs, layers.Dense(outputs, activation="softmax")(x))
"""


def example(language: str) -> str:
    """The page's only block in a language."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    return str(text)


def page_study(folder: Path, **limits: int) -> dict[str, Any]:
    """The page's variants and claim, without keys of the model that they do not read."""
    content: dict[str, Any] = merged(with_own(model={}), YAML(typ="safe", pure=True).load(example("yaml")))
    for name in ("plain", "noisy", "dropped", "own"):
        del content["variants"][name]
    return {**content, "limits": limits}


def test_the_example_of_the_page_is_built_and_learns(tmp_path: Path) -> None:
    study = own_study(tmp_path, page_study(tmp_path), residual=example("python"))
    x, y = blobs(120)
    x, y = x.astype(np.float32) / 160, y.astype(np.int32)
    recipe = study.recipes["residual"]
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 6})})
    result = replicate.train_replicate(recipe, 0, {"train": (x, y), "test": (x, y)}, 4, "classification")
    history = np.genfromtxt(io.BytesIO(result.files["history.csv"]), delimiter=",", names=True)
    assert history["accuracy"][-1] > history["accuracy"][0]
    counts = []
    for name in study.recipes:
        checked = replicate.check_network(study.recipes[name], 0, {"train": (x, y)}, 4, "classification")
        counts.append(json.loads(checked.files["weights.json"]))
    width = 8
    assert counts[0] == 10 * width + 2 * (2 * 9 * width**2 + 2 * 4 * width) + (width + 1) * 4
    assert counts[1] > counts[0]


def test_show_and_the_report_name_the_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = own_study(tmp_path, page_study(tmp_path), residual=example("python"))
    show(study, "wide_residual", tmp_path / "metrics")
    shown = YAML(typ="safe", pure=True).load(capsys.readouterr().out)
    assert shown["model"] == {
        "network": "residual",
        "options": {"width": 16, "blocks": 2, "dropout": 0.0, "pooling": "average"},
    }
    assert changed_knobs(study, "wide_residual", "residual") == [("options.width", "8", "16")]
    mixed = own_study(tmp_path, with_own(), tiny=TINY)
    options = [("options.width", "–", "4"), ("options.dropout", "–", "0.0")]
    assert changed_knobs(mixed, "own", "plain") == [("network", "–", "tiny"), *options]
    assert ("hidden", "–", "[16]") in changed_knobs(mixed, "plain", "own")


def test_a_plan_judges_its_time_by_its_own_past(tmp_path: Path) -> None:
    study = own_study(tmp_path)
    prepared = train.read_prepared(tmp_path / "data" / "prepared")
    cost = cost_of(study.recipes["own"], prepared, "scaled")
    assert cost == 3 * OWN * 120 + 4 * STEP
    timed = {"own": {"0": {"seconds": 7.0, "cost": cost}}}
    jobs = train.jobs_of(study, prepared)
    own = next(each for each in plan.plan(study, jobs, lambda _: None, timed) if each.variant == "own")
    assert own.seconds == pytest.approx(7.0)
    assert not own.guessed


def test_an_edited_network_is_not_taken_for_trained(tmp_path: Path) -> None:
    study = own_study(tmp_path)
    with runs.unchanged(study, tmp_path, train.SECTIONS):
        write_networks(tmp_path, tiny=f"# A comment{TINY}", other="nothing")
    edited = pytest.raises(UserError, match=r"networks/tiny\.py: edited while this trained; `dvc repro` again")
    with edited, runs.unchanged(study, tmp_path, train.SECTIONS):
        write_networks(tmp_path, tiny=TINY.replace("relu", "tanh"))


@pytest.mark.slow
def test_a_network_trains_in_processes_that_do_not_have_its_file(tmp_path: Path) -> None:
    """The replicate is that of this process."""
    study = own_study(tmp_path / "study", with_own({"variants": {"own": {"model": {"network": "custom"}}}}), custom=CUSTOM)
    content = with_own({"variants": {"own": {"model": {"network": "custom"}}}})
    content["variants"] = {"own": content["variants"]["own"]}
    (tmp_path / "study" / "params.yaml").write_text(json.dumps(content))
    done = stage("train", tmp_path / "study", cache=tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    prepared = train.read_prepared(tmp_path / "study" / "data" / "prepared")
    from stages.lib.engine.trainer import StudyData

    inputs = StudyData(prepared).inputs(study.recipes["own"], "scaled", 0)
    files = replicate.train_replicate(study.recipes["own"], 0, inputs, 4, "classification").files
    trained = bytes_of(tmp_path / "study" / "data" / "runs" / "own" / "0")
    assert trained == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def test_a_network_that_cannot_be_built_ends_the_run_before_anything_trains(tmp_path: Path) -> None:
    own_study(tmp_path / "study", tiny=TINY.replace("activation=", "activatoin="))
    done = stage("train", tmp_path / "study", "--debug", cache=tmp_path / "cache")
    assert done.returncode == 1
    *trace, last = done.stderr.strip().splitlines()
    place = f"{tmp_path}/study/networks/tiny.py"
    assert last.startswith(f"train: own, seed 0: {place}: line 8: ")
    assert "Traceback (most recent call last):" in trace
    assert f'  File "{place}", line 8, in build' in trace
    assert '    x = layers.Dense(width, activatoin="relu")(x)' in trace
    assert not list((tmp_path / "cache" / "tips-on-trial" / "replicates").glob("??/*"))


# With the real DVC


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[[dict[str, Any], dict[str, str]], Checkout]:
    """A copy of the checkout whose starter has these settings and networks."""

    def make(settings: dict[str, Any], networks: dict[str, str]) -> Checkout:
        made = Checkout(tmp_path / "clone", tmp_path / "cache")
        copy_tree(made.folder, lambda name: not is_result(name) and not name.startswith("studies/"))
        write_networks(made.folder, **networks)
        made.write_params(settings)
        made.run("git", "init", "-q", "-b", "main")
        return made

    return make


@pytest.mark.slow
def test_the_page_s_commands_run_in_turn_on_real_digits(checkout: Callable[..., Checkout]) -> None:
    """With a search of an option, folds, and few rows."""
    settings = page_study(Path(), rows=200, epochs=1, seeds=1)
    settings["replicates"]["diagnostics"] = True
    data = {"dataset": "mnist_5k", "split": {"method": "stratified", "train": 3500, "validation": 500, "test": 1000, "seed": 0}}
    settings["data"] = {**data, "k_fold": {"folds": 2, "repeats": 1, "seed": 0}}
    settings["variants"]["folded"] = {"tip": "Folds.", "extends": "residual", "k_fold": True}
    settings["search"] = {
        "variant": "residual",
        "space": {"width": {"key": "model.options.width", "integers": [2, 6]}},
        "strategies": {"random": {"method": "random"}},
        **{"trials": 2, "batch": 1, "seeds": 1, "folds": 1, "metric": "val_accuracy"},
    }
    made = checkout(settings, {"residual": example("python")})
    commands = example("sh").splitlines()
    made.run(*shlex.split(commands[0]))
    made.run("git", "add", "-A")
    made.run("git", "commit", "-q", "-m", "own")
    made.run(*shlex.split(commands[1]))
    made.run("git", "add", "-A")
    made.run("git", "commit", "-q", "-m", "results")
    assert set(made.json("metrics/metrics.json")["variants"]) == {"residual", "wide_residual", "folded"}
    assert "options.width" in (made.folder / "data" / "report.html").read_text()
    assert (made.folder / "metrics" / "figures" / "views.png").exists()
    assert "up to date" in made.run("dvc", "repro")
    assert made.json("metrics/search.json")["winner"]["settings"].keys() == {"width"}

    made.run(*shlex.split(commands[2]))
    assert made.json("data/timings.json")["stage"]["trained"] >= 1
    assert "variants.residual.model.options.width" in made.run("dvc", "params", "diff")
    made.run("python", "-m", "stages.tools", "export", ".", "residual")
    file = made.folder / "networks" / "residual.py"
    file.write_text(f"# A comment\n{file.read_text()}")
    made.run("dvc", "repro")
    assert made.json("data/timings.json")["stage"]["trained"] == 0


def ticks() -> bytes:
    """Sequences of 30 steps and 2 channels, (n, 30, 2): the class is which channel has a peak."""
    draw, file = np.random.default_rng(0), io.BytesIO()
    x, y = draw.normal(0, 0.1, (160, 30, 2)).astype(np.float32), draw.integers(0, 2, 160)
    x[np.arange(160), draw.integers(5, 25, 160), y] += 3
    np.savez(file, x=x, y=y)
    return file.getvalue()


@pytest.mark.slow
def test_convolutions_and_recurrences_learn_sequences(checkout: Callable[..., Checkout], tmp_path: Path) -> None:
    content = ticks()
    (tmp_path / "ticks.npz").write_bytes(content)
    settings = with_own(
        {
            "data": {"dataset": "ticks", "split": {"train": 100, "validation": 20, "test": 40}},
            "train": {"epochs": 15, "batch_size": 10},
            "limits": {"seeds": 1},
        },
        model={"network": "sequences"},
    )
    settings["variants"] = {
        "conv": {"tip": "Convolve.", "view": "scaled"},
        "recurrent": {"tip": "Recur.", "extends": "conv", "model": {"options": {"kind": "gru"}}},
    }
    made = checkout(settings, {"sequences": SEQUENCES})
    entry = {
        "title": "Ticks",
        "task": "classification",
        "class_names": ["first", "second"],
        "reader": {"kind": "npz", "parts": {"all": ["x", "y"]}},
        "files": {
            "arrays": {
                "name": "ticks.npz",
                "sha256": hashlib.sha256(content).hexdigest(),
                "sources": [f"file://{tmp_path}/ticks.npz"],
            }
        },
        "licence": "none",
        "citation": "the tests",
    }
    with (made.folder / "data" / "datasets.yaml").open("a") as catalogue:
        YAML(typ="safe", pure=True).dump({"ticks": entry}, catalogue)
    made.run("python", "-m", "stages.tools", "pipelines", ".")
    made.run("dvc", "repro")
    found = {name: each["test_accuracy"] for name, each in made.json("metrics/metrics.json")["variants"].items()}
    assert found["conv"] > 0.9
    assert found["recurrent"] > 0.6
    made.run("python", "-m", "stages.tools", "plan", ".")
    shutil.rmtree(made.folder / "networks")
    assert "sequences' is no network" in made.run("python", "-m", "stages.train", fails=True)


def test_the_starter_has_no_network_of_that_name() -> None:
    assert not (ROOT / "networks").exists()
    assert load_study(ROOT).networks.names == []
    assert network(example("python")).options.keys() == {"width", "blocks", "dropout", "pooling"}
