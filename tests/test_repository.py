"""The repository is what it says: every stage has help, what is in Git is small, and nothing unpickles."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys

import pytest

from helpers.checkout import ROOT

LIGHT = ("stages.fetch", "stages.evaluate", "stages.plot", "stages.train", "stages.search", "stages.tools.review")
STAGES = ("fetch", "prepare", "train", "evaluate", "search", "plot")


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_help(stage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [stage, "--help"])
    monkeypatch.delitem(sys.modules, f"stages.{stage}", raising=False)  # which another test may have imported
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"stages.{stage}", run_name="__main__", alter_sys=True)
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: python -m stages.{stage} [-h]")
    assert "STUDY" in printed
    assert len(printed.splitlines()) > 8


def test_what_does_not_train_imports_neither_keras_nor_dvc() -> None:
    script = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    assert not {"keras", "tensorflow", "dvc"} & set(sys.modules), name
"""
    done = subprocess.run([sys.executable, "-c", script, *LIGHT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_in_git_stays_small() -> None:
    results = {
        folder: [path for path in folder.rglob("*") if path.is_file()]
        for folder in [ROOT / "metrics", *ROOT.glob("studies/*/metrics")]
    }
    assert results[ROOT / "metrics"], "metrics/ is committed: run `dvc repro`"
    for files in results.values():
        sizes = [path.stat().st_size for path in files]
        assert sum(sizes) < 2_000_000
        assert max(sizes, default=0) < 400_000  # 1,900 trials of a search, in three panels each


def test_the_lock_file_names_no_package_index() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"^\s*--(?:extra-)?index-url|^\s*--find-links|https?://", lock, flags=re.MULTILINE)
    assert "--hash=sha256:" in lock
    assert re.search(r"^setuptools==", lock, flags=re.MULTILINE)


def test_the_settings_do_not_use_pickle_or_eval() -> None:
    for path in [*ROOT.glob("stages/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]:
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"\bimport pickle|\bpickle\.load|(?<![.\w])eval\(|allow_pickle=True", source)


def test_durations_are_measured_by_a_clock_that_nobody_sets() -> None:
    """The time of day is asked for once: a cache entry whose date is in the future is of a clock that was wrong."""
    asks = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob("stages/**/*.py")
        if re.search(r"\btime\.time\(|\bdatetime\.now\(|\butcnow\(|\btoday\(", path.read_text(encoding="utf-8"))
    }
    assert asks == {"stages/lib/engine/cache.py"}
