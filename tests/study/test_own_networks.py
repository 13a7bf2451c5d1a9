"""Networks of one's own are read without Keras: their options become knobs, and what is wrong is one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.checkout import ROOT
from helpers.networks import TINY, network, own_study, with_own
from helpers.search import edited
from helpers.study import JARGON
from stages.lib.cli import UserError
from stages.lib.study import sense, space
from stages.lib.study.recipe import Recipe

EVERY = '''
from typing import Literal

def build(
    inputs,
    outputs,
    *,
    width: int,
    rate: float = 1,
    bias: bool = True,
    name: "str" = "a",
    pool: Literal["average", "max"] = "average",
    side: Literal[3, 5] = 3,
    filters: list[int] = [4, 8],
    shape: tuple[int, ...] = (2,),
):
    """Every type of option."""
'''


def said(folder: Path, content: dict[str, Any] | None = None, **networks: str) -> str:
    """What loading the study says is wrong, without the folder."""
    with pytest.raises(UserError) as caught:
        own_study(folder, content, **networks)
    line = str(caught.value)
    assert "\n" not in line
    assert not [word for word in JARGON if word in line.split()]
    return line.replace(f"{folder}/", "")


def test_options_are_the_keyword_arguments_with_their_types_and_defaults() -> None:
    every = network(EVERY)
    options = every.checked({"width": 3, "shape": [4, 5]})
    assert options == {
        "width": 3,
        "rate": 1.0,
        "bias": True,
        "name": "a",
        "pool": "average",
        "side": 3,
        "filters": (4, 8),
        "shape": (4, 5),
    }
    assert type(options["rate"]) is float
    assert every.arguments(options) == {**options, "filters": [4, 8]}
    assert hash(options) == hash(every.checked({"width": 3, "shape": [4, 5]}))


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({}, "width: is missing; networks/tiny.py has no default for it"),
        ({"width": "3"}, "width: '3' must be a whole number"),
        ({"width": True}, "width: true must be a whole number"),
        ({"width": 3, "rate": "fast"}, "rate: 'fast' must be a number"),
        ({"width": 3, "bias": 1}, "bias: 1 must be true or false"),
        ({"width": 3, "pool": "mx"}, "pool: unknown choice 'mx' (did you mean 'max'?); known: average, max"),
        ({"width": 3, "side": 4}, "side: 4 must be one of 3, 5"),
        ({"width": 3, "filters": [1, "2"]}, "filters.1: '2' must be a whole number"),
        ({"width": 3, "filters": 4}, "filters: 4 must be a list"),
        ({"with": 3}, "with: unknown option 'with' (did you mean 'width'?); known: width, rate, bias, name, pool, side, "),
        (3, "3 must be a mapping"),
    ],
)
def test_an_option_that_is_wrong_is_named_with_what_is_allowed(given: object, wrong: str) -> None:
    with pytest.raises(UserError) as caught:
        network(EVERY).checked(given)
    assert str(caught.value).startswith(wrong)


def test_options_are_read_without_keras() -> None:
    """And without running the file."""
    script = "import sys; from helpers.networks import network; import stages.lib.study.load\n"
    script += "network('raise SystemExit(1)\\ndef build(inputs, outputs): ...').checked({})\n"
    script += "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    paths = [str(ROOT), str(ROOT / "tests")]
    subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {paths}\n{script}"], check=True)


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("def build", "def built", "has no function `build`; write def build(inputs, outputs, *, width: int = 32): ..."),
        ("inputs, outputs, *,", "inputs, *,", "line 6: build takes two arguments before `*`"),
        ("outputs, *, width: int = 4, dropout: float = 0.0", "outputs, **more", "line 6: build must be like def build(inputs"),
        ("def build", "async def build", "line 6: build must be like def build(inputs"),
        ("width: int = 4", "width = 4", "line 6: width: an option cannot have no type; its type may be int, float, bool"),
        ("width: int = 4", "width: set[int] = 4", "line 6: width: an option cannot have set[int]; its type may be int"),
        ("width: int = 4", "width: int = 'a'", "line 6: width: the default 'a' must be a whole number"),
        ("width: int = 4", "width: int = len('a')", "line 6: width: the default len('a') must be a plain value, not computed"),
        ("width", "Width", "line 6: Width: an option is named with small letters"),
        ("import keras\n", "from . import other\n", "line 2: a network is one file, which may import packages and no other"),
        ("import keras\n", "import stages.train\n", "line 2: a network is one file"),
        ("import keras\n", "from networks.other import f\n", "line 2: a network is one file"),
        ("import layers", "import *", "line 3: write what is imported in place of `*`"),
        ("x = layers.Flatten()(inputs)", "x = (", "line 7: not valid Python: '(' was never closed"),
        ("import keras\n", "import keras\0", "cannot be read: "),
    ],
)
def test_a_file_that_is_no_network_is_refused_with_its_line(tmp_path: Path, old: str, new: str, wrong: str) -> None:
    assert old in TINY
    assert said(tmp_path, tiny=TINY.replace(old, new)).startswith(f"networks/tiny.py: {wrong}")


def model(**changes: Any) -> dict[str, Any]:
    return with_own({"variants": {"own": {"model": changes}}})


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (model(network="tny"), "params.yaml: variants.own.model.network: unknown network 'tny' (did you mean 'tiny'?); known"),
        (model(network=3), "params.yaml: variants.own.model.network: unknown network 3; known: none, tiny; files of networks"),
        (model(network=["tiny"]), "params.yaml: variants.own.model.network: unknown network ['tiny'] (did you mean 'tiny'?)"),
        (
            model(options={"wdth": 1}),
            "params.yaml: variants.own.model.options.wdth: unknown option 'wdth' (did you mean 'width'",
        ),
        (model(options={"width": "a"}), "params.yaml: variants.own.model.options.width: 'a' must be a whole number"),
        (model(options=[1]), "params.yaml: variants.own.model.options: [1] must be a mapping"),
        (model(hidden=[3]), "params.yaml: variants.own.model.hidden: the network 'tiny' does not read it; it reads options"),
        (model(hiden=[3]), "params.yaml: variants.own.model: unknown key 'hiden' (did you mean 'hidden'?)"),
        (model(network="none", options={"width": 3}), "params.yaml: variants.own.model.options: is for a network of your own"),
        (with_own(model={}), "params.yaml: model.hidden: is missing"),
        (with_own(model={"hidden": [3], "activation": "relu"}), "params.yaml: model.output_activation: is missing"),
    ],
)
def test_settings_of_a_network_that_are_wrong_are_refused_with_their_place(
    tmp_path: Path, content: dict[str, Any], wrong: str
) -> None:
    assert said(tmp_path, content).startswith(wrong)


def test_a_study_without_networks_says_where_one_lies(tmp_path: Path) -> None:
    (tmp_path / "networks").mkdir()
    line = said(tmp_path, with_own(), other="")
    assert "unknown network 'tiny'; known: none, other; files of networks" in line
    (tmp_path / "networks" / "other.py").unlink()
    with pytest.raises(UserError, match=r"'tiny' is no network; one of your own lies at .*/networks/NAME\.py, see docs"):
        own_study(tmp_path, with_own(), **{"Other": ""})


# How settings resolve


def variants(**models: dict[str, Any]) -> dict[str, Any]:
    """A study of variants, each of which extends the one before it, without keys of the model that nobody reads."""
    names = [None, *models]
    content = with_own(model={})
    content["variants"] = {
        name: {"tip": "T.", "view": "scaled", **({"extends": parent} if parent else {}), "model": model}
        for parent, (name, model) in zip(names, models.items(), strict=False)
    }
    return content


def test_options_are_inherited_and_go_with_their_network(tmp_path: Path) -> None:
    content = variants(
        first={"network": "tiny", "options": {"width": 8}},
        second={"options": {"dropout": 0.5}},
        third={"network": "other"},
        fourth={"network": "tiny"},
        fifth={"network": "tiny", "options": {"width": 8, "dropout": 0.0}},
    )
    recipes = own_study(tmp_path, content, tiny=TINY, other=TINY.replace("width: int = 4", "width: int = 2")).recipes
    assert {name: dict(recipe.model.options) for name, recipe in recipes.items()} == {
        "first": {"width": 8, "dropout": 0.0},
        "second": {"width": 8, "dropout": 0.5},
        "third": {"width": 2, "dropout": 0.0},
        "fourth": {"width": 4, "dropout": 0.0},
        "fifth": {"width": 8, "dropout": 0.0},
    }
    assert recipes["fifth"] == recipes["first"] != recipes["second"]
    assert recipes["first"].model_dump()["model"] == {"network": "tiny", "options": {"width": 8, "dropout": 0.0}}


def test_the_model_section_may_name_the_network_and_a_variant_may_go_back(tmp_path: Path) -> None:
    layers = {"hidden": [3], "activation": "relu", "output_activation": "softmax"}
    content = with_own({"variants": {"plain": {"model": {"network": "none", **layers}}, "own": {"model": {}}}})
    content["model"] = {"network": "tiny", "options": {"width": 7}, **layers}
    del content["variants"]["dropped"], content["variants"]["own"]["model"]
    study = own_study(tmp_path, content)
    assert study.recipes["own"].model.options["width"] == 7
    assert study.recipes["plain"].model.network is None
    assert study.recipes["plain"].model.options == {}
    assert "network" not in study.recipes["plain"].model_dump()["model"]


def test_keys_of_the_model_that_no_variant_reads_are_named(tmp_path: Path) -> None:
    content = {**variants(only={"network": "tiny"}), "model": {"hidden": [3]}}
    study = own_study(tmp_path, content)
    assert list(sense.doubts(study, "classification", 4)) == [
        "model.hidden: no variant reads it, since each has a network of its own"
    ]
    assert not list(sense.doubts(own_study(tmp_path), "classification", 4))


@pytest.mark.parametrize(
    ("task", "loss", "wrong"),
    [
        ("regression", "categorical_crossentropy", "variants.only.train.loss: categorical_crossentropy compares outputs"),
        ("regression", "mse", ""),
        ("classification", "categorical_crossentropy", ""),
    ],
)
def test_only_the_loss_is_judged_beside_a_network_of_one_s_own(tmp_path: Path, task: str, loss: str, wrong: str) -> None:
    study = own_study(tmp_path, {**variants(only={"network": "tiny"}), "train": {**with_own()["train"], "loss": loss}})
    assert not list(sense.doubts(study, task, 4))
    if wrong:
        with pytest.raises(UserError) as caught:
            sense.check(study, task)
        assert str(caught.value).startswith(wrong)
    else:
        sense.check(study, task)


def test_a_recipe_is_the_same_after_its_journey_without_the_file(tmp_path: Path) -> None:
    recipe = own_study(tmp_path).recipes["own"]
    travelled = Recipe.from_wire(recipe.wire)
    assert travelled == recipe
    assert travelled.model.network
    assert travelled.model.network.text == TINY


# Searches


def searching(space_: dict[str, Any], **more: Any) -> dict[str, Any]:
    search = edited({"variant": "own", "space": space_, "strategies": {"a": {"method": "random"}}, "claims": {}, **more})
    return with_own({"search": search})


def test_options_can_be_searched(tmp_path: Path) -> None:
    width = {"key": "model.options.width", "integers": [2, 8]}
    study = own_study(tmp_path, searching({"width": width, "rate": {"key": "train.learning_rate", "uniform": [0.01, 0.1]}}))
    assert study.search
    assert space.recipe_of(study, study.search, {"width": 5}).model.options["width"] == 5
    assert space.values_of(study.search, study.recipes["own"]) == {"width": 4, "rate": 0.01}


def test_networks_can_be_searched(tmp_path: Path) -> None:
    choices = {"key": "model.network", "choices": ["tiny", "other"]}
    study = own_study(tmp_path, searching({"network": choices}), tiny=TINY, other=TINY)
    assert study.search
    other = space.recipe_of(study, study.search, {"network": "other"}).model.network
    assert other
    assert other.name == "other"
    assert space.values_of(study.search, study.recipes["own"]) == {"network": "tiny"}


@pytest.mark.parametrize(
    ("range_", "wrong"),
    [
        ({"key": "model.hidden.units", "integers": [2, 8]}, "key: unknown key 'model.hidden.units'"),
        (
            {"key": "model.options.wdth", "integers": [2, 8]},
            "key: unknown key 'model.options.wdth' (did you mean",
        ),
        ({"key": "model.options.width", "uniform": [2.5, 8.5]}, "model.options.width: 2.5 must be a whole number"),
        ({"key": "model.network", "choices": ["tiny", "none", "no"]}, "model.network: unknown network 'no' (did you mean"),
    ],
)
def test_a_search_of_what_the_network_does_not_have_is_refused(tmp_path: Path, range_: dict[str, Any], wrong: str) -> None:
    line = said(tmp_path, searching({"width": range_}))
    assert line.startswith(f"params.yaml: search.space.width.{wrong}") or wrong in line
