"""`python -m stages.tools` lists every command, and asking one for help changes nothing."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from helpers.checkout import ROOT
from stages.lib import files
from stages.tools.__main__ import commands, main

PAGES = ("README.md", "studies/README.md", "docs/verdicts.md", "params.yaml", "dvc.yaml", "data/datasets.yaml")
"""Files of a checkout that a command reads or writes."""


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["python -m stages.tools", *arguments])
    for name in arguments[:1]:  # which another test may have imported
        monkeypatch.delitem(sys.modules, f"stages.tools.{name}", raising=False)
    main()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a checkout of a few files, in which whoever writes a file or starts a program fails."""
    for name in PAGES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".dvc").mkdir()

    def fail(*_: object, **__: object) -> NoReturn:
        pytest.fail("a command that was asked for help wrote a file or started a program")

    monkeypatch.setattr(files, "whole", fail)
    monkeypatch.setattr("subprocess.Popen", fail)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", commands())
def test_help_says_how_to_call_a_command_and_changes_no_file(
    name: str, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in checkout.rglob("*")}
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, name, "--help")
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: python -m stages.tools {name} [-h]")
    assert commands()[name] in " ".join(printed.split())
    assert {path: path.stat().st_mtime_ns for path in checkout.rglob("*")} == before


def test_the_list_has_a_line_for_every_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(monkeypatch)
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split()[0] for line in lines] == list(commands())
    assert all(re.fullmatch(r"  \w+ +[A-Z].{20,}", line) and len(line) <= 120 for line in lines)


def test_an_unknown_command_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"^tools: unknown command 'loch' \(did you mean 'lock'\?\); known: adopt, "):
        run(monkeypatch, "loch")
