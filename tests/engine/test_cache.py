"""The replicate cache: what decides a result is in its key, and what it returns is what was put."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

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


def fail(line: str) -> None:
    """Nothing has to be said."""
    raise AssertionError(line)


def test_what_was_put_comes_back(cache: ReplicateCache) -> None:
    lines, say = said()
    assert cache.get(KEY, say) is None
    cache.put(KEY, RESULT, fail)
    assert cache.get(KEY, say) == RESULT
    assert lines == []


def test_what_another_run_prunes_meanwhile_still_comes_back(cache: ReplicateCache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put(KEY, RESULT, fail)
    touch = os.utime

    def pruned(path: Path) -> None:
        shutil.rmtree(path)
        touch(path)

    monkeypatch.setattr(os, "utime", pruned)
    assert cache.get(KEY, lambda _: None) == RESULT
    assert cache.get(KEY, lambda _: None) is None


def test_putting_twice_keeps_the_first(cache: ReplicateCache) -> None:
    cache.put(KEY, RESULT, fail)
    cache.put(KEY, replace(RESULT, seconds=9.0), fail)
    assert cache.get(KEY, lambda _: None) == RESULT
    assert len(list(cache.folder.glob("*/*"))) == 1


@pytest.mark.parametrize("name", ["history.csv", "logs/train/events", "manifest.json"])
@pytest.mark.parametrize("damage", ["altered", "truncated", "removed"])
def test_a_damaged_entry_is_said_and_removed(cache: ReplicateCache, name: str, damage: str) -> None:
    cache.put(KEY, RESULT, fail)
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
    cache.put(KEY, RESULT, fail)
    assert cache.get(KEY, say) == RESULT


def test_the_entries_used_longest_ago_go_first(cache: ReplicateCache) -> None:
    keys = [f"{number:02x}" + "0" * 62 for number in range(4)]
    for age, each in enumerate(keys):
        cache.put(each, Result({"a": bytes(1000)}, 1.0, 1.0), fail)
        os.utime(next(cache.folder.glob(f"*/{each}")), (age, age))
    cache.get(keys[0], lambda _: None)  # now the one used last
    cache.limit = 3000
    cache.prune()
    assert [cache.get(key, lambda _: None) is not None for key in keys] == [True, False, False, True]


def test_entries_of_a_clock_that_was_wrong_go_before_all_others_and_come_back_when_they_are_used(cache: ReplicateCache) -> None:
    """A clock in 2040 must not keep its entries for ever, nor one in 1970 keep its own from being used."""
    now, year = time.time(), 365 * 86400.0
    used = {"2040": now + 14 * year, "2041": now + 15 * year, "1970": 0.0, "last year": now - year, "next minute": now + 60}
    keys = {name: f"{number:02x}" + "0" * 62 for number, name in enumerate(used)}
    for name, moment in used.items():
        cache.put(keys[name], Result({"a": bytes(1000)}, 1.0, 1.0), fail)
        os.utime(next(cache.folder.glob(f"*/{keys[name]}")), (moment, moment))

    def left() -> set[str]:
        cache.prune()
        return {name for name, key in keys.items() if cache.seconds(key) is not None}

    size = sum(file.stat().st_size for file in cache.folder.rglob("*") if file.is_file()) // len(used)
    cache.get(keys["2041"], fail)  # now it is of today
    cache.limit = 4 * size
    assert left() == {"2041", "1970", "last year", "next minute"}
    cache.limit = 2 * size
    assert left() == {"2041", "next minute"}


def test_an_interrupted_put_leaves_nothing(cache: ReplicateCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.put(KEY, RESULT, fail)
    monkeypatch.undo()
    assert cache.get(KEY, lambda _: None) is None
    assert [path for path in cache.folder.rglob("*") if path.is_file()] == []


MANIFEST: dict[str, Any] = {
    "files": {"history.csv": hashlib.sha256(b"1").hexdigest()},
    "seconds": 1.5,
    "seconds_per_epoch": 0.25,
}


def write_entry(cache: ReplicateCache, manifest: str) -> Path:
    """An entry as somebody else may have written it."""
    entry = cache.folder / KEY[:2] / KEY
    entry.mkdir(parents=True)
    (entry / "history.csv").write_bytes(b"1")
    (entry / "manifest.json").write_text(manifest)
    return entry


def test_an_entry_that_is_whole_comes_back(cache: ReplicateCache) -> None:
    write_entry(cache, json.dumps(MANIFEST))
    assert cache.get(KEY, fail) == Result({"history.csv": b"1"}, 1.5, 0.25)
    assert cache.seconds(KEY) == 1.5


@pytest.mark.parametrize(
    "manifest",
    [
        json.dumps({**MANIFEST, "files": {}}),
        json.dumps({**MANIFEST, "files": ["history.csv"]}),
        json.dumps({**MANIFEST, "files": {"history.csv": 1}}),
        json.dumps({**MANIFEST, "seconds": "1.5"}),
        json.dumps({**MANIFEST, "seconds": float("nan")}),
        json.dumps({**MANIFEST, "seconds_per_epoch": float("inf")}),
        json.dumps({**MANIFEST, "seconds": -1}),
        json.dumps({**MANIFEST, "seconds": None}),
        json.dumps({**MANIFEST, "more": 1}),
        json.dumps({name: value for name, value in MANIFEST.items() if name != "seconds"}),
        "[" * 100_000,
        '{"files": ' * 100_000,
        " " * 2_000_000,
        "[]",
        "null",
        "",
    ],
    ids=lambda manifest: manifest[:60],
)
def test_a_manifest_that_is_not_one_is_said_and_removed(cache: ReplicateCache, manifest: str) -> None:
    entry = write_entry(cache, manifest)
    assert cache.seconds(KEY) is None
    lines, say = said()
    assert cache.get(KEY, say) is None
    assert lines == [f"the cached replicate {entry} is damaged; it is removed and trained again"]
    assert not entry.exists()


@pytest.mark.parametrize("name", ["../../../secret", "/secret", "a/../../secret", "..\\secret", "C:\\secret", "", ".", "a\0b"])
def test_a_file_outside_the_entry_is_neither_read_nor_handed_on(cache: ReplicateCache, name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"1")
    entry = write_entry(cache, json.dumps({**MANIFEST, "files": {name: MANIFEST["files"]["history.csv"]}}))
    (entry.parent / "secret").write_bytes(b"1")
    lines, say = said()
    assert cache.get(KEY, say) is None
    assert len(lines) == 1


@pytest.mark.parametrize("name", ["history.csv", "manifest.json"])
def test_a_pipe_is_not_waited_for(cache: ReplicateCache, name: str) -> None:
    entry = write_entry(cache, json.dumps(MANIFEST))
    (entry / name).unlink()
    os.mkfifo(entry / name)
    lines, say = said()
    assert cache.get(KEY, say) is None
    assert len(lines) == 1


# A cache that nobody can write


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        (Path("/proc/nowhere"), "No such file or directory"),  # nobody can write there, root neither
        (Path("/dev/null/cache"), "Not a directory"),
        (Path("~/.cache"), "there is no home folder"),  # as platformdirs gives it where there is none
    ],
)
def test_a_cache_that_cannot_be_written_is_said_once_and_does_without(
    folder: Path, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache = ReplicateCache(folder, 10**6)
    lines, say = said()
    cache.check(say)
    cache.check(say)
    assert lines == [f"the replicate cache {folder} cannot be written ({why}), so nothing more is kept in it"]
    cache.put(KEY, RESULT, say)
    assert cache.get(KEY, say) is None
    cache.prune()
    assert len(lines) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_at_the_start_or_later_is_said_once(cache: ReplicateCache, monkeypatch: pytest.MonkeyPatch) -> None:
    lines, say = said()
    cache.check(say)
    cache.put(KEY, RESULT, say)
    assert lines == []

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    other = "cd" + "0" * 62
    cache.put(other, RESULT, say)
    cache.put(other, RESULT, say)
    assert len(lines) == 1
    assert "(No space left on device)" in lines[0]
    assert cache.get(other, say) is None
    assert cache.get(KEY, say) == RESULT  # what is there is still used
