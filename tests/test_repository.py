"""The repository is what it says: every stage has help, what is in Git is small, and nothing unpickles."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from helpers.checkout import ROOT

STAGES = ("fetch", "prepare", "train", "evaluate", "search", "plot")


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_help(stage: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "STUDY" in done.stdout
    assert len(done.stdout.splitlines()) > 8


@pytest.mark.parametrize("stage", ["evaluate", "plot"])
def test_stages_that_only_read_results_import_no_keras(stage: str) -> None:
    check = f"import sys, stages.{stage}; print([name for name in ('keras', 'tensorflow') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_in_git_stays_small() -> None:
    results = {
        folder: [path for path in folder.rglob("*") if path.is_file()]
        for folder in [ROOT / "metrics", *ROOT.glob("studies/*/metrics")]
    }
    assert results[ROOT / "metrics"], "metrics/ is committed: run `dvc repro`"
    for files in results.values():
        sizes = [path.stat().st_size for path in files]
        assert sum(sizes) < 2_000_000
        assert max(sizes, default=0) < 300_000


def test_the_lock_file_names_no_package_index() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"^\s*--(?:extra-)?index-url|^\s*--find-links|https?://", lock, flags=re.MULTILINE)
    assert "--hash=sha256:" in lock
    assert re.search(r"^setuptools==", lock, flags=re.MULTILINE)


def test_the_settings_do_not_use_pickle_or_eval() -> None:
    for path in [*ROOT.glob("stages/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]:
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"\bimport pickle|\bpickle\.load|(?<![.\w])eval\(|allow_pickle=True", source)
