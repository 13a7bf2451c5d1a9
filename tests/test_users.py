"""A user who owns neither the checkout nor the caches: what works, and the one line about what does not."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.checkout import ROOT
from helpers.processes import bytes_of
from helpers.runs import write_runs
from helpers.study import write_study
from helpers.users import NOBODY, another_user, reachable, read_only
from stages import evaluate, train
from stages.lib.data.catalogue import File
from stages.lib.data.download import obtain
from stages.lib.engine.cache import ReplicateCache
from stages.lib.training.result import Result

RESULT = Result({"history.csv": b"epoch\n1\n"}, 1.5, 0.25)
KEY, OTHER = "ab" + "0" * 62, "cd" + "0" * 62


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with reachable(tmp_path) as folder:
        yield folder


@pytest.fixture
def cache(place: Path) -> ReplicateCache:
    """Somebody's cache with one entry."""
    made = ReplicateCache(place / "cache", limit=10**6)
    made.put(KEY, RESULT, pytest.fail)
    return made


def denied(folder: Path) -> str:
    return f"the replicate cache {folder} cannot be written (Permission denied), so nothing more is kept in it"


def test_a_cache_that_may_be_read_is_read(cache: ReplicateCache) -> None:
    read_only(cache.folder)
    said: list[str] = []
    with another_user(cache.folder):
        cache.check(said.append)
        cache.put(OTHER, RESULT, said.append)
        assert cache.get(KEY, said.append) == RESULT
        cache.limit = 0
        cache.prune()
        assert cache.get(KEY, said.append) == RESULT
    assert said == [denied(cache.folder)]


@pytest.mark.parametrize("rights", [0o000, 0o111, 0o444], ids=["closed", "not listed", "not entered"])
def test_a_cache_that_may_not_be_read_is_done_without(cache: ReplicateCache, rights: int) -> None:
    cache.folder.chmod(rights)
    said: list[str] = []
    with another_user(cache.folder.parent):
        cache.check(said.append)
        cache.put(OTHER, RESULT, said.append)
        assert cache.get(OTHER, said.append) is None
        cache.prune()
    cache.folder.chmod(0o755)  # so that it can be cleared away
    assert said == [denied(cache.folder)]


def test_an_entry_that_may_not_be_read_is_trained_again_and_said_once(cache: ReplicateCache) -> None:
    cache.put(OTHER, RESULT, pytest.fail)
    for path in cache.folder.rglob("manifest.json"):
        path.chmod(0)
    said: list[str] = []
    with another_user(cache.folder):
        assert [cache.get(key, said.append) for key in (KEY, OTHER)] == [None, None]
        assert cache.seconds(KEY) is None
    [line] = said
    assert line.endswith(f"{KEY} cannot be read (Permission denied); such ones are trained again")


def test_downloads_that_may_be_read_are_used_and_others_are_fetched_beside_them(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "a.csv").write_bytes(b"1,2\n")
    file = File(name="a.csv", sha256=hashlib.sha256(b"1,2\n").hexdigest(), sources=((place / "a.csv").as_uri(),), member=None)
    full, empty, spare = (place / name for name in ("full", "empty", "spare"))
    assert obtain("digits", file, None, full, spare).parent == full
    capsys.readouterr()
    for folder in (full, empty, spare):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777 if folder == spare else 0o555)
    with another_user(place):
        assert obtain("digits", file, None, full, spare).parent == full
        assert capsys.readouterr().err == ""
        fetched = obtain("digits", file, None, empty, spare)
    assert (fetched.parent, fetched.read_bytes()) == (spare, b"1,2\n")
    line = f"a.csv: the download cache {empty} cannot be written (Permission denied), so nothing is kept in it"
    assert capsys.readouterr().err.splitlines()[0] == line


@pytest.mark.parametrize("stage", [train, evaluate], ids=["train", "evaluate"])
def test_a_study_of_another_user_ends_a_stage_with_one_line(
    place: Path, stage: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_study(place / "study")
    write_runs(folder, {})
    read_only(folder)
    name = str(stage.__name__).rpartition(".")[2]  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "argv", [name, str(folder)])
    with another_user(folder), pytest.raises(SystemExit) as caught:
        stage.main()  # type: ignore[attr-defined]
    for path in folder.rglob("*"):
        path.chmod(0o755)  # so that it can be cleared away
    said = str(caught.value.code)
    assert said.startswith(f"{name}: {folder}/")
    assert said.endswith(": Permission denied; the stage must be able to read and write there")
    assert "\n" not in said


@pytest.mark.slow
def test_a_user_without_a_home_trains_in_a_checkout_of_root(place: Path, trained_once: Path) -> None:
    """The study is the user's own. Nothing is kept, with one line about it, and the results are root's to the byte."""
    if os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("only root can train as another user, with setpriv")
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", sys.executable]
    probe = "import subprocess, sys; import stages, keras; subprocess.run([sys.executable, '-c', ''], check=True)"
    reach = subprocess.run([*user, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False)
    if reach.returncode:
        pytest.skip("another user cannot reach the checkout or its Python")
    study = write_study(place / "study", {"limits": {"seeds": 1}})
    for path in [study, *study.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    done = subprocess.run(
        [*user, "-m", "stages.train", str(study)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": "/nonexistent", "TIPS_WORKERS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines().count(f"train: {denied(Path('/nonexistent/.cache/tips-on-trial/replicates'))}") == 1
    first = {name: digest for name, digest in bytes_of(trained_once / "study" / "data" / "runs").items() if "/0/" in name}
    assert bytes_of(study / "data" / "runs") == first
