"""Every number of params.yaml has a limit, which is said with its key, and whatever is accepted can be planned at once."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from helpers.search import SEARCH, edited
from helpers.study import SMALL
from stages.lib.cli import UserError
from stages.lib.study.load import load_study
from stages.lib.study.settings import merged

FOLDS = {"folds": 5, "repeats": 2, "seed": 0}
HUGE = (10**12, 10**18, 10**309, 10**400, 1e308)


def with_value(content: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    for key in reversed(place.split(".")):
        value = {key: value}
    return merged(copy.deepcopy(content), value)


def numbers(content: Any, *place: str) -> Iterator[tuple[str, ...]]:
    """The places of all numbers but those in lists, which are replaced as a whole."""
    if isinstance(content, dict):
        for key, inner in content.items():
            yield from numbers(inner, *place, key)
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield place


def refusal(folder: Path, content: dict[str, Any]) -> str:
    """What is said of the settings, after the file's name."""
    path = folder / "params.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(content, file)
    with pytest.raises(UserError) as caught:
        load_study(folder)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


FULL = merged(
    copy.deepcopy(SMALL),
    {
        "data": {"k_fold": FOLDS},
        "views": {"noisy": {"noise_seed": 0}},
        "model": {"maxout_pieces": 2, "negative_slope": 0.2},
        "train": {"validation_rows": 0},
        "limits": {"rows": 100, "epochs": 2, "seeds": 1},
        "claims": {"noise_hurts": {"margin": 0.0}, "learns": {"says": "-", "variant": "plain"}},
        "variants": {"plain": {"reported": {"test_accuracy": 0.9}}},
    },
)
FULL["claims"]["learns"] |= {"metric": "test_accuracy", "expect": "at_least", "threshold": 0.5}
SEARCHING = {**SMALL, "search": SEARCH}


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize("place", [".".join(place) for place in numbers(FULL)])
def test_a_number_beyond_reason_is_refused_with_its_key(place: str, value: float, tmp_path: Path) -> None:
    assert refusal(tmp_path, with_value(FULL, place, value)).startswith(f"{place}: ")


@pytest.mark.parametrize("value", HUGE[:3])
@pytest.mark.parametrize("place", [".".join(place) for place in numbers(SEARCH, "search")])
def test_a_number_of_a_search_has_a_limit_too(place: str, value: int, tmp_path: Path) -> None:
    assert refusal(tmp_path, with_value(SEARCHING, place, value)).startswith(f"{place}: ")


ONE_MORE = {"tip": "-", "extends": "plain"}
MANY = {"replicates": {"seeds": 1000}, "variants": {f"v{number}": dict(ONE_MORE) for number in range(30)}}
CHOICES = {"space.rate": {"key": "train.learning_rate", "choices": list(range(1, 2000))}}
BEYOND: list[tuple[dict[str, Any], str]] = [
    ({"model": {"hidden": [10**18]}}, "model.hidden.0: 1000000000000000000 must be less than or equal to 1000000"),
    ({"model": {"hidden": [1] * 1001}}, "model.hidden: [1, 1, "),
    ({"model": {"conv": [10**9]}}, "model.conv.0: 1000000000 must be less than or equal to 1000000"),
    ({"variants": {"plain": {"train": {"epochs": 10**39}}}}, "variants.plain.train.epochs: 1000"),
    (
        {"variants": {"plain": {"reported": {"test_accuracy": 97}}}},
        "variants.plain.reported.test_accuracy: 97.0 is more than 1",
    ),
    ({"claims": {"noise_hurts": {"margin": 2.0}}}, "claims.noise_hurts.margin: 2.0 is more than 1"),
    ({"variants": {"a" * 300: ONE_MORE}}, "variants.'aaa"),
    ({"variants": {f"v{number}": dict(ONE_MORE) for number in range(600)}}, "variants: {'"),
    (MANY, "replicates.seeds: 33000 replicates of 33 variants"),
    ({"title": "\ud800"}, "title: \\ud800 is half of a character"),
    ({"search": edited({"space.layers.integers": [1, 10**15]})}, "search.space.layers.integers.1: 1000000000000000 must be"),
    ({"search": edited({"space.layers.integers": [1, 10**9]})}, "search.space.layers: model.hidden.layers: 1000000000 must be"),
    ({"search": edited(CHOICES)}, "search.space.rate.choices: [1, "),
    (
        {"search": edited({"strategies.few.reported": {"val_accuracy": 97}})},
        "search.strategies.few.reported.val_accuracy: 97.0",
    ),
]


@pytest.mark.parametrize(("changes", "said"), BEYOND, ids=[said.split(":")[0] for _, said in BEYOND])
def test_what_is_beyond_reason_is_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, merged(copy.deepcopy(SMALL), changes)).startswith(said)


def test_what_is_accepted_is_read_at_once(tmp_path: Path) -> None:
    """The most that one may ask for, in several respects at once."""
    keys = ("train.learning_rate", "model.dropout", "model.l2")
    choices = {f"r{n}": {"key": key, "choices": [each / 100 for each in range(1, 80)]} for n, key in enumerate(keys)}
    content = {
        "replicates": {"seeds": 1000},
        "variants": {f"v{number}": dict(ONE_MORE) for number in range(17)},
        "search": edited({"space": choices, "strategies": {"a": {"method": "random"}}, "claims": {}}),
    }
    with (tmp_path / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(merged(copy.deepcopy(SMALL), content), file)
    started = time.process_time()
    study = load_study(tmp_path)
    assert time.process_time() - started < 20  # three on an idle core
    assert sum(len(study.seeds(name)) for name in study.variants) == 20_000
