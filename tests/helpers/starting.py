"""Studies begun from files of a few rows, in a checkout that holds a catalogue and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from helpers.datasets import message
from stages.lib.data.catalogue import Dataset, load_catalogue
from stages.lib.starting.answers import Answers
from stages.lib.study.load import load_study
from stages.lib.study.settings import Study
from stages.tools.new import New

CATALOGUE = f"""# Mine.

other:  # stays
  title: Other
  task: regression
  reader: {{kind: csv}}
  files:
    all: {{name: a.csv, sha256: "{"0" * 64}", sources: [a.csv]}}
  licence: none
  citation: none
"""


class Begun(NamedTuple):
    """A study, and what its files were taken for."""

    said: list[str]
    reader: dict[str, Any]
    dataset: Dataset
    study: Study


def checkout(folder: Path) -> Path:
    """A folder like a checkout, with a catalogue of one data set."""
    root = folder / "checkout"
    (root / "data").mkdir(parents=True, exist_ok=True)
    (root / "data" / "datasets.yaml").write_text(CATALOGUE)
    return root


def begin(folder: Path, files: Mapping[str, bytes | str], answers: Answers | None = None, name: str = "mine") -> Begun:
    """A study of files: name -> content."""
    root = checkout(folder)
    said = New(name, root).from_files(written(folder, files), None, answers or Answers(), overwrite=False)
    path = root / "data" / "datasets.yaml"
    entry = YAML(typ="safe", pure=True).load(path.read_text())[name]
    return Begun(said, entry["reader"], load_catalogue(path)[name], load_study(root / "studies" / name))


def refusal(folder: Path, files: Mapping[str, bytes | str], answers: Answers | None = None) -> str:
    """What is said of files that no study can be made of, without their folder. Nothing is written then."""
    root = checkout(folder)
    said = message(New("mine", root).from_files, written(folder, files), None, answers or Answers(), overwrite=False)
    assert (root / "data" / "datasets.yaml").read_text() == CATALOGUE
    assert not (root / "studies").exists()
    return said.replace(f"{folder}/", "")


def written(folder: Path, files: Mapping[str, bytes | str]) -> Sequence[Path]:
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return [folder / name for name in files]


def table(head: str, row: str, rows: int = 40) -> str:
    """A table of text: the head, and a row for each number, with {i} for it, and {0}, {1}, ... for what rises and falls."""
    lines = [row.format(i * 0.5, i % 7 + 0.25, i=i, label=i % 2, text="ab"[i % 2], three="xyz"[i % 3]) for i in range(rows)]
    return "\n".join([*([head] if head else []), *lines]) + "\n"
