"""A dvc.lock that a killed DVC left broken is put back, and no other is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.checkout import ROOT, Checkout
from helpers.study import write_params
from stages.tools import restore

LOCK = (ROOT / "dvc.lock").read_text(encoding="utf-8")
CUT_OFF = LOCK[: LOCK.index("stages:") + 20]
BROKEN = {"empty": "", "cut off": CUT_OFF, "cut off in a list": LOCK[: LOCK.index("deps:") + 9] + "- [", "a list": "- 1\n"}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """The current folder: a starter whose lock file is committed, and a study `first` whose lock file is not."""
    (tmp_path / "studies" / "first").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "studies" / "first"):
        write_params(folder)
    made = Checkout(tmp_path, tmp_path / "cache")
    (tmp_path / "dvc.lock").write_text(LOCK)
    made.run("git", "init", "-q", "-b", "main")
    made.run("git", "add", "dvc.lock")
    made.run("git", "commit", "-q", "-m", "run")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["restore"])
    return made


@pytest.mark.parametrize("left", BROKEN.values(), ids=BROKEN)
def test_the_committed_lock_file_comes_back_in_one_line(
    checkout: Checkout, left: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("dvc.lock").write_text(left)
    restore.main()
    assert Path("dvc.lock").read_text(encoding="utf-8") == LOCK
    assert checkout.run("git", "status", "--short", "--untracked-files=no") == ""
    said = "restore: dvc.lock was empty or cut off, as a killed DVC leaves it; the committed one is back\n"
    assert capsys.readouterr().out == said


def test_a_broken_lock_file_that_is_not_committed_goes(checkout: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    lock = Path("studies/first/dvc.lock")
    lock.write_text("")
    restore.main()
    assert not lock.exists()
    assert capsys.readouterr().out.startswith("restore: studies/first/dvc.lock was empty or cut off and is not committed")


def test_a_whole_lock_file_stays_though_it_is_not_the_committed_one(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    other = LOCK.replace("md5: ", "md5: 0")
    Path("dvc.lock").write_text(other)
    restore.main()
    assert Path("dvc.lock").read_text(encoding="utf-8") == other
    assert capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.parametrize("left", BROKEN.values(), ids=BROKEN)
def test_dvc_refuses_what_is_restored(left: str, tmp_path: Path) -> None:
    """So that this knows no less than DVC does."""
    checkout = Checkout(tmp_path, tmp_path / "cache")
    checkout.run("git", "init", "-q", "-b", "main")
    checkout.run("dvc", "init", "-q")
    (tmp_path / "dvc.yaml").write_text("stages:\n  fetch:\n    cmd: echo\n")
    (tmp_path / "dvc.lock").write_text(left)
    assert "dvc.lock" in checkout.run("dvc", "repro", "--dry", fails=True)
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n  fetch:\n    cmd: echo\n")
    assert not restore.is_broken(tmp_path / "dvc.lock")
    checkout.run("dvc", "repro", "--dry")


@pytest.mark.parametrize("left", ["", '{"/a/file": {"write'])
def test_a_broken_list_of_files_in_use_is_removed(checkout: Checkout, left: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = checkout.folder / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    path.write_text(left)
    restore.main()
    assert not path.exists()
    assert capsys.readouterr().out.startswith("restore: .dvc/tmp/rwlock was empty or cut off")


def test_a_whole_list_of_files_in_use_stays(checkout: Checkout) -> None:
    path = checkout.folder / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    restore.main()
    assert path.read_text() == "{}"
