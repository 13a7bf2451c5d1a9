"""The replicate cache: what decides a result is in its key, and what it returns is what was put."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stages.lib.cli import UserError
from stages.lib.engine.cache import ReplicateCache
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
