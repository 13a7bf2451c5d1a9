"""The replicate cache: what decides a result is in its key, and what it returns is what was put."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.study import prepared_for, study_with
from stages.lib.cli import UserError
from stages.lib.engine import key
from stages.lib.engine.cache import ReplicateCache
from stages.lib.engine.key import environment, replicate_key
from stages.lib.training.result import Result

RESULT = Result({"history.csv": b"epoch\n1\n", "logs/train/events": b"\0\1"}, 1.5, 0.25)
KEY = "ab" + "0" * 62


@pytest.fixture
def cache(tmp_path: Path) -> ReplicateCache:
    return ReplicateCache(tmp_path / "cache", limit=10**6)


def said() -> tuple[list[str], Callable[[str], None]]:
    lines: list[str] = []
    return lines, lines.append


def test_what_was_put_comes_back(cache: ReplicateCache) -> None:
    lines, say = said()
    assert cache.get(KEY, say) is None
    cache.put(KEY, RESULT)
    assert cache.get(KEY, say) == RESULT
    assert lines == []


def test_what_another_run_prunes_meanwhile_still_comes_back(cache: ReplicateCache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put(KEY, RESULT)
    touch = os.utime

    def pruned(path: Path) -> None:
        shutil.rmtree(path)
        touch(path)

    monkeypatch.setattr(os, "utime", pruned)
    assert cache.get(KEY, lambda _: None) == RESULT
    assert cache.get(KEY, lambda _: None) is None


def test_putting_twice_keeps_the_first(cache: ReplicateCache) -> None:
    cache.put(KEY, RESULT)
    cache.put(KEY, replace(RESULT, seconds=9.0))
    assert cache.get(KEY, lambda _: None) == RESULT
    assert len(list(cache.folder.glob("*/*"))) == 1


@pytest.mark.parametrize("name", ["history.csv", "logs/train/events", "manifest.json"])
@pytest.mark.parametrize("damage", ["altered", "truncated", "removed"])
def test_a_damaged_entry_is_said_and_removed(cache: ReplicateCache, name: str, damage: str) -> None:
    cache.put(KEY, RESULT)
    file = next(cache.folder.rglob(name))
    if damage == "altered":
        file.write_bytes(b"x" + file.read_bytes()[1:])
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:-1])
        if name == "manifest.json":  # without its last newline it is still whole
            file.write_bytes(file.read_bytes()[:-1])
    else:
        file.unlink()
    lines, say = said()
    assert cache.get(KEY, say) is None
    assert len(lines) == 1
    assert "damaged" in lines[0]
    cache.put(KEY, RESULT)
    assert cache.get(KEY, say) == RESULT


def test_the_entries_used_longest_ago_go_first(cache: ReplicateCache) -> None:
    keys = [f"{number:02x}" + "0" * 62 for number in range(4)]
    for age, each in enumerate(keys):
        cache.put(each, Result({"a": bytes(1000)}, 1.0, 1.0))
        os.utime(next(cache.folder.glob(f"*/{each}")), (age, age))
    cache.get(keys[0], lambda _: None)  # now the one used last
    cache.limit = 3000
    cache.prune()
    assert [cache.get(key, lambda _: None) is not None for key in keys] == [True, False, False, True]


def test_an_interrupted_put_leaves_nothing(cache: ReplicateCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.put(KEY, RESULT)
    monkeypatch.undo()
    assert cache.get(KEY, lambda _: None) is None
    assert [path for path in cache.folder.rglob("*") if path.is_file()] == []


def test_everything_that_decides_a_result_is_in_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    study = study_with()
    prepared = prepared_for(study)
    recipe, view, surroundings = study.recipes["plain"], prepared.views["scaled"], environment("tensorflow")
    folds = {"data": {"k_fold": {"folds": 2, "repeats": 1, "seed": 0}}, "variants": {"plain": {"k_fold": True}}}
    other_recipes = [
        study_with(changes).recipes["plain"]
        for changes in (
            {"train": {"learning_rate": 0.02}},
            {"train": {"validation_rows": 10}},
            {"model": {"negative_slope": 0.1}},
            {"model": {"wide_deep": {"api": "functional"}}},
            {"replicates": {"jit_compile": True}},
            {"replicates": {"diagnostics": True}},
            {"limits": {"epochs": 2}},
            folds,
            {**folds, "data": {"k_fold": {"folds": 2, "repeats": 1, "seed": 1}}},
        )
    ]
    changed = [
        replicate_key(recipe, view, 0, "data", surroundings),
        replicate_key(recipe, view, 1, "data", surroundings),
        replicate_key(recipe, view, 0, "other data", surroundings),
        replicate_key(recipe, prepared.views["noisy"], 0, "data", surroundings),
        replicate_key(recipe, replace(view, noise_seed=1), 0, "data", surroundings),
        replicate_key(recipe, replace(view, own={"test": [0.0, 1.0]}), 0, "data", surroundings),
        *(replicate_key(other, view, 0, "data", surroundings) for other in other_recipes),
        *(replicate_key(recipe, view, 0, "data", {**surroundings, name: "other"}) for name in surroundings),
    ]
    assert len(set(changed)) == len(changed)
    assert replicate_key(recipe, view, 0, "data", environment("tensorflow")) == changed[0]

    sources = tmp_path / "training"
    sources.mkdir()
    (tmp_path / "engine").mkdir()
    for name in key.TRAINING_MODULES:
        (sources / f"{name}.py").write_text("one")
    monkeypatch.setattr(key, "__file__", str(tmp_path / "engine" / "key.py"))
    seen = {key.training_source()}
    for name in key.TRAINING_MODULES:
        (sources / f"{name}.py").write_text("two")
        seen.add(key.training_source())
    assert len(seen) == 1 + len(key.TRAINING_MODULES)


def test_a_recipe_that_says_the_same_in_another_way_has_the_same_key() -> None:
    """Limits that bind nothing, the tip, and how many replicates there are decide no result."""
    surroundings, view = environment("tensorflow"), prepared_for(study_with()).views["scaled"]
    changes: list[dict[str, Any]] = [
        {},
        {"limits": {"rows": 5, "epochs": 100, "seeds": 1}},
        {"variants": {"plain": {"tip": "Another."}}, "replicates": {"seeds": 9, "keep_models": "all", "time_limit": 1.0}},
        {"data": {"k_fold": {"folds": 2, "repeats": 1, "seed": 0}}},
        {"train": {"learning_rate": "default"}, "variants": {"plain": {"train": {"learning_rate": 0.01}}}},
    ]
    keys = {replicate_key(study_with(each).recipes["plain"], view, 0, "data", surroundings) for each in changes}
    assert len(keys) == 1


def test_a_variable_that_changes_arithmetic_is_part_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment("tensorflow")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert environment("tensorflow") != before


def test_the_fingerprint_sees_a_single_value() -> None:
    prepared = prepared_for(study_with())
    before = prepared.fingerprint()
    prepared.splits["test"][0][3, 2, 1] += 1
    assert prepared.fingerprint() != before


def test_the_limit_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TIPS_CACHE_GB", "0.5")
    cache = ReplicateCache.of_user()
    assert cache.limit == 500_000_000
    assert tmp_path in cache.folder.parents
    for given in ("2GB", "", "inf", "nan", "-1"):
        monkeypatch.setenv("TIPS_CACHE_GB", given)
        with pytest.raises(UserError, match=f"^TIPS_CACHE_GB: '{given}' is not allowed; a number of gigabytes is$"):
            ReplicateCache.of_user()
