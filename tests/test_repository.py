"""The repository agrees with itself: dvc.yaml with the code, the committed results with what is small and reviewable."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.checkout import ROOT
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import read_yaml

STAGES = ("fetch", "prepare", "train", "evaluate", "search", "plot")
SHARED = {"__init__", "cli", "files", "settings", "study", "strict_yaml", "result"}
"""Modules that a stage need not depend on: reading settings and writing files decide nothing that the parameters do not."""


def pipeline() -> dict[str, dict[str, Any]]:
    stages: dict[str, dict[str, Any]] = read_yaml(ROOT / "dvc.yaml")["stages"]
    return stages


def local_imports(file: Path) -> set[str]:
    """The modules of stages that a file imports, and those that these import, but not what the shared ones do."""
    found: set[str] = set()
    waiting = [file]
    while waiting:
        for node in ast.walk(ast.parse(waiting.pop().read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("stages"):
                continue
            module = (node.module or "").replace(".", "/")
            named = [f"{module}/{alias.name}.py" for alias in node.names]
            for path in [f"{module}.py", *named]:
                if (ROOT / path).is_file() and path not in found and Path(path).stem not in SHARED:
                    found.add(path)
                    waiting.append(ROOT / path)
    return found


def dependencies(stage: str) -> set[str]:
    return {path for path in pipeline()[stage]["deps"] if path.startswith("stages/")}


def test_every_stage_has_its_file_and_a_description() -> None:
    assert tuple(pipeline()) == STAGES
    for name, stage in pipeline().items():
        assert (ROOT / "stages" / f"{name}.py").is_file()
        assert stage["cmd"] == f"python -m stages.{name}"
        assert stage["desc"]


@pytest.mark.parametrize("stage", [name for name in STAGES if name not in ("train", "search")])
def test_every_local_import_is_a_dependency(stage: str) -> None:
    assert local_imports(ROOT / "stages" / f"{stage}.py") - dependencies(stage) == set()
    assert f"stages/{stage}.py" in dependencies(stage)


def test_train_depends_on_exactly_the_modules_in_the_replicate_key() -> None:
    assert dependencies("train") == {"stages/lib/training"}


def test_search_depends_on_what_trains_and_on_what_chooses_and_judges() -> None:
    own = {"stages/search.py", *(f"stages/lib/{name}.py" for name in ("scores", "search", "space", "verdicts"))}
    assert dependencies("search") == dependencies("train") | own


def test_every_parameter_of_a_stage_exists() -> None:
    sections = set(Study.model_fields)
    for stage in pipeline().values():
        for each in stage.get("params", []):
            if isinstance(each, str):
                assert each.split(".")[0] in sections


def test_every_section_of_the_parameters_is_a_stage_s() -> None:
    named = {each.split(".")[0] for stage in pipeline().values() for each in stage.get("params", []) if isinstance(each, str)}
    assert named == set(Study.model_fields)


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
