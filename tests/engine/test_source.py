"""The digest of the training code: what computes changes it, what explains does not."""

from __future__ import annotations

import ast
import glob
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.checkout import ROOT
from stages.lib.engine import source
from stages.lib.syntax import digest_of

MODULE = '''
"""A module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stages.lib.training import views
from stages.lib.training.result import Result

if TYPE_CHECKING:
    from stages.lib.study.recipe import Model

LIMIT: int = 3
"""A constant."""


class Kept:
    """A class."""

    first: int
    second: int = 1


def total(x: np.ndarray, settings: Model, scale: float = 1.0) -> Result:
    """A function."""
    # a comment
    return Result(np.sum(views.apply(x)) * scale + LIMIT)
'''
SAME = {
    "a comment": ("# a comment", "# another"),
    "no comment": ("    # a comment\n", ""),
    "a docstring": ('"""A function."""', '"""Another text."""'),
    "a docstring of a constant": ('"""A constant."""\n', ""),
    "an annotation": ("x: np.ndarray", "x: object"),
    "no annotation": ("settings: Model, scale: float", "settings, scale"),
    "an annotation of a result": (" -> Result:", ":"),
    "an annotation of a variable": ("LIMIT: int =", "LIMIT ="),
    "an annotation of a field": ("first: int", "first: float"),
    "an import that is unused": ("import numpy as np", "import json\nimport numpy as np"),
    "an import for annotations": ("Model\n\nLIMIT", "Model, Recipe\n\nLIMIT"),
    "another name of an import": ("np", "numpy"),
    "another name of a module": ("views", "seen"),
    "another place of a module": ("stages.lib.training.result", "stages.lib.training.outcome"),
    "white space": ("(x)) * scale", "( x ))*scale"),
}
OTHER = {
    "an operator": (") * scale", ") / scale"),
    "a constant": ("= 3", "= 4"),
    "a default": ("scale: float = 1.0", "scale: float = 2.0"),
    "a default of a field": ("second: int = 1", "second: int = 2"),
    "the order of fields": ("first: int", "third: int"),
    "a type of a constant": ("= 3", "= 3.0"),
    "a call": ("np.sum", "np.mean"),
    "another package of the same name": ("import numpy as np", "import jax.numpy as np"),
    "a name of an argument": ("scale", "factor"),
}


@pytest.mark.parametrize("change", SAME)
def test_what_explains_the_code_does_not_change_the_digest(change: str) -> None:
    old, new = SAME[change]
    changed = MODULE.replace(old, new)
    assert changed != MODULE
    assert digest_of([changed]) == digest_of([MODULE])


@pytest.mark.parametrize("change", OTHER)
def test_what_computes_changes_the_digest(change: str) -> None:
    old, new = OTHER[change]
    changed = MODULE.replace(old, new)
    assert changed != MODULE
    assert digest_of([changed]) != digest_of([MODULE])


def test_the_names_and_the_order_of_modules_do_not_change_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def training_source(**modules: str) -> str:
        folder = tmp_path / "".join(modules)
        folder.mkdir()
        for name, content in modules.items():
            (folder / f"{name}.py").write_text(content)
        monkeypatch.setattr(source, "TRAINING", folder)
        return source.training_source()

    first = training_source(a="x = 1", b="x = 2")
    assert training_source(renamed="x = 2", also="x = 1") == first
    assert training_source(one="x = 1") != first
    assert training_source(c="x = 1", d="x = 2", e="x = 2") != first


def test_the_committed_results_are_those_of_the_present_training_code() -> None:
    """It fails when the training code changes.

    If the results are the same to the byte (train some replicates before and after, and compare all files), write the new
    digest into SAME_AS. If they are not, delete SAME_AS: everything is then trained again.
    """
    present = digest_of(path.read_text(encoding="utf-8") for path in source.TRAINING.glob("*.py"))
    assert set(source.SAME_AS) <= {present}, "the training code changed: results change, so remove the entry of SAME_AS"


def test_the_digest_is_the_same_for_every_version_of_python() -> None:
    """For those of this machine. It needs nothing but the standard library."""
    script = f"import runpy; print(runpy.run_path({source.__file__!r})['training_source']())"
    places = [
        "/usr/bin/python3.1[1-3]",
        "/usr/local/bin/python3.1[1-3]",
        f"{Path.home()}/.pyenv/versions/3.1[1-3].*/bin/python3",
    ]
    found = {Path(path).resolve() for place in places for path in glob.glob(place)}  # noqa: PTH207
    for python in {*found, Path(sys.executable)}:
        done = subprocess.run([python, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == source.training_source(), python


def test_training_imports_nothing_else_that_could_decide_a_result() -> None:
    """Of the project it may use itself, the writing of files, and the settings as types alone."""
    for path in source.TRAINING.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for_types = {id(each) for node in ast.walk(tree) if isinstance(node, ast.If) for each in node.body}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stages"):
                for_code = (node.module or "").startswith(("stages.lib.training", "stages.lib.files"))
                is_type = (node.module or "").startswith("stages.lib.study.") and id(node) in for_types
                assert for_code or is_type, f"{path.name}: {node.module}"


def test_project_files_hold_what_a_trainer_imports() -> None:
    files = source.project_files()
    assert {"stages/__init__.py", "stages/lib/engine/trainer.py", "stages/lib/training/replicate.py"} <= set(files)
    assert all(name.startswith("stages/lib/") or name == "stages/__init__.py" for name in files)
