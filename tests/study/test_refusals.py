"""Whatever is wrong with the settings is refused in one short line that names the file, and the key or the line."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from benchmarks import chaos, mutations
from helpers.checkout import ROOT
from helpers.study import JARGON

KEY = r"""('[^']*'|"[^"]*"|[\w-]+)"""
FILE = r"is empty; |.{1,60} is no name|.{1,60}; it must hold a mapping"
"""What is said of a file as a whole, or of a name at its top."""
PLACE = re.compile(rf"(line \d+|cannot be read|top level|{KEY}(\.{KEY})*): |{FILE}")


@pytest.mark.parametrize("kind", ["params.yaml", "datasets.yaml"])
@pytest.mark.parametrize("seed", range(6))
def test_any_damage_is_accepted_or_refused_in_one_line_with_its_place(
    kind: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for number in range(6):
        folder = tmp_path / str(number)
        folder.mkdir()
        said = mutations.KINDS[kind](Random(f"{seed} {number}"), folder)
        if said:
            file = f"{folder / kind}: "
            assert said.startswith(file)
            assert "\n" not in said
            rest = said.removeprefix(file)
            assert len(rest) <= 380
            assert PLACE.match(rest), rest
            assert not [word for word in JARGON if re.search(rf"\b{word}\b", rest.partition(": ")[2].partition("'")[0])]


@pytest.mark.parametrize("number", [2, 174, 814, 854, 914])
def test_a_damaged_raw_file_ends_in_one_line(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among these are an encrypted member, and headers of which all would be said."""
    monkeypatch.chdir(ROOT)
    assert chaos.mutate("data", Random(f"0 {number}")) == ""
