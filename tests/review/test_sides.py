"""Settings are named as DVC names them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.networks import TINY, own_study
from helpers.study import write_params
from stages.lib.review.sides import read_side, settings_in

IDENTITY = ("-c", "user.name=A", "-c", "user.email=a@b")
SETTINGS: dict[str, Any] = {
    "model": {"hidden": [16, 8]},
    "variants": {"dropped": {"reported": {"test_accuracy": 0.9}}},
    "claims": {"noise_hurts": {"margin": 1e-5}},
    "errata": ["It forgets a sign."],
}


def test_settings_have_the_keys_that_dvc_gives_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["git", "init", "-q", "-b", "main"], ["git", *IDENTITY, "commit", "-q", "--allow-empty", "-m", "empty"]):
        subprocess.run(command, check=True)
    (tmp_path / ".dvc").mkdir()
    write_params(tmp_path, SETTINGS)
    command = [sys.executable, "-m", "dvc", "params", "diff", "main", "--all", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer = {key: change["new"] for key, change in json.loads(done.stdout)["params.yaml"].items()}
    settings = settings_in(tmp_path / "params.yaml")
    assert {key: str(value) if isinstance(value, list) else value for key, value in settings.items()} == answer


@pytest.mark.parametrize("text", [None, "", "a: [", "just text", "a: 2024-13-01"])
def test_what_cannot_be_read_has_no_settings(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "params.yaml").write_text(text)
    assert settings_in(tmp_path / "params.yaml") == {}


def test_a_side_is_read_with_the_networks_of_its_revision(tmp_path: Path) -> None:
    folder = Path("studies/mine")
    file = tmp_path / folder / "networks" / "tiny.py"
    own_study(tmp_path / folder)
    side, wrong = read_side(folder, tmp_path)
    assert not wrong
    before = side.recipes
    file.write_text(f"# A comment.{TINY}")
    assert read_side(folder, tmp_path)[0].recipes == before
    file.write_text(TINY.replace("relu", "tanh"))
    assert read_side(folder, tmp_path)[0].recipes != before
    file.write_text("def build(): ...")
    _, wrong = read_side(folder, tmp_path)
    assert wrong.startswith("studies/mine/networks/tiny.py: line 1: build takes two arguments")
