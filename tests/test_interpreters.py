"""The same bytes on every patch release of Python: this one, and another of the same minor version on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from helpers.checkout import ROOT, environment_of
from helpers.study import blobs, study_with
from stages.lib.data.catalogue import Dataset
from stages.lib.data.prepared import write_prepared
from stages.lib.data.splits import prepare
from stages.lib.engine.conditions import training_variables
from stages.lib.files import arrays_to_bytes

DATASET = {
    "title": "Blobs",
    "task": "classification",
    "reader": {"kind": "csv"},
    "files": {"all": {"name": "blobs.csv", "sha256": "0" * 64, "sources": ["https://example.org/blobs.csv"]}},
    "licence": "none",
    "citation": "the tests",
}
STUDY = {
    "views": {"scaled": {"scale": "standard", "per": "feature"}},
    "replicates": {"diagnostics": True},
}
VERSION = "import sys; print(*sys.version_info[:3], sys.implementation.name)"


def other_python() -> Path:
    """A CPython of the same minor version and another patch release. Skips the test where the machine has none."""
    minor = f"python3.{sys.version_info.minor}"
    ours = (*sys.version_info[:3], "cpython")
    tried = []
    for command in ("/usr/bin/python3", f"/usr/bin/{minor}", f"/usr/local/bin/{minor}", shutil.which(minor)):
        if command and Path(command).is_file():
            answer = subprocess.run([command, "-c", VERSION], capture_output=True, text=True, check=False).stdout.split()
            version = (*map(int, answer[:3]), *answer[3:])
            if version[:2] == ours[:2] and version[3:] == ours[3:] and version != ours:
                return Path(command)
            tried.append(f"{command} is {'.'.join(answer[:3]) or 'broken'}")
    pytest.skip(
        f"needs a second Python 3.{sys.version_info.minor} beside {sys.version.split()[0]}; {', '.join(tried) or 'none found'}"
    )


def digests_of_prepared(folder: Path) -> dict[str, str]:
    """File -> SHA-256, of an archive of arrays and of a small prepared study."""
    prepared = prepare(study_with(STUDY), Dataset.model_validate(DATASET), {"all": blobs(200)})
    write_prepared(prepared, folder)
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    files["an archive"] = arrays_to_bytes({"x": np.arange(12).reshape(3, 4), "y": np.array([0.5, np.nan])})
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def digests_of_a_replicate() -> dict[str, str]:
    """File -> SHA-256, of everything that training one replicate returns."""
    from stages.lib.training.replicate import train_replicate
    from stages.lib.training.views import inputs_of

    study = study_with(STUDY)
    recipe = study.recipes["dropped"]
    prepared = prepare(study, Dataset.model_validate(DATASET), {"all": blobs(200)})
    splits = inputs_of(recipe, prepared.views["scaled"], prepared.splits, seed=0)
    typed = {name: (x, y.astype(np.int32)) for name, (x, y) in splits.items()}
    result = train_replicate(recipe, 0, typed, prepared.outputs, prepared.task)
    return {name: hashlib.sha256(content).hexdigest() for name, content in result.files.items()}


def run_elsewhere(expression: str, folder: Path) -> dict[str, str]:
    """What an expression of this module gives in the other Python, which uses the packages of this one."""
    python = other_python()
    script = f"import json; from pathlib import Path; from test_interpreters import *; print(json.dumps({expression}))"
    path = os.pathsep.join([sysconfig.get_path("purelib"), str(ROOT), str(ROOT / "tests")])
    variables = {**training_variables("tensorflow"), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    environment = environment_of(folder / "cache", **variables)
    done = subprocess.run([python, "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    digests: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return digests


def test_a_prepared_study_has_the_same_bytes_on_another_python(tmp_path: Path) -> None:
    elsewhere = run_elsewhere("digests_of_prepared(Path('prepared'))", tmp_path)
    assert elsewhere == digests_of_prepared(tmp_path / "ours")


@pytest.mark.slow
def test_a_replicate_has_the_same_bytes_on_another_python(tmp_path: Path) -> None:
    elsewhere = run_elsewhere("digests_of_a_replicate()", tmp_path)
    assert elsewhere == digests_of_a_replicate()
    assert {"predictions.npz", "model.weights.h5", "history.csv", "diagnostics.csv"} <= set(elsewhere)
