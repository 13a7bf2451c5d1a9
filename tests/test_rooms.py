"""Who may import whom: a room imports the floors below it, and nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.checkout import ROOT
from helpers.imports import Import, imports_of, room_of

FLOORS = (
    ("__init__", "cli", "environment", "files", "markdown", "programs", "syntax", "templates"),
    ("study",),
    ("training",),
    ("data",),
    ("judging",),
    ("engine",),
    ("searching",),
    ("report", "review", "starting"),
    ("stages", "tools"),
)
"""The rooms of stages/lib from the bottom to the top; then the scripts of stages/, and the tools."""

RANKS = {room: rank for rank, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(path.relative_to(ROOT) for path in ROOT.glob("stages/**/*.py"))


def objection(file: Path, imported: Import) -> str | None:
    """What is wrong with an import."""
    room, other = room_of(file), room_of(imported.file)
    if room == other:
        return "no script imports a script" if room == "stages" else None
    if RANKS[other] > RANKS[room]:
        return f"{other} is above {room}"
    if RANKS[other] == RANKS[room] and RANKS[room]:
        return f"{other} is beside {room}"
    if room == "training" and other == "study" and not imported.for_types:
        return "training imports study for types alone"
    return None


def objections(file: Path) -> Iterator[str]:
    for imported in imports_of(file):
        if wrong := objection(file, imported):
            yield f"{file} imports {imported.file}: {wrong}"


def test_every_module_has_its_floor() -> None:
    assert {room_of(file) for file in FILES} == set(RANKS)


def test_nothing_is_imported_from_above_or_from_beside() -> None:
    assert [wrong for file in FILES for wrong in objections(file)] == []


@pytest.mark.parametrize(
    ("file", "imported", "for_types", "expected"),
    [
        ("stages/lib/data/splits.py", "stages/lib/engine/key.py", True, "engine is above data"),
        ("stages/lib/report/page.py", "stages/lib/review/sides.py", False, "review is beside report"),
        ("stages/lib/files.py", "stages/lib/study/load.py", False, "study is above files"),
        ("stages/lib/markdown.py", "stages/lib/cli.py", False, None),
        ("stages/lib/training/views.py", "stages/lib/study/settings.py", False, "training imports study for types alone"),
        ("stages/lib/training/views.py", "stages/lib/study/settings.py", True, None),
        ("stages/search.py", "stages/train.py", False, "no script imports a script"),
        ("stages/search.py", "stages/tools/plan.py", False, "tools is beside stages"),
        ("stages/tools/plan.py", "stages/train.py", False, "stages is beside tools"),
        ("stages/tools/plan.py", "stages/tools/show.py", False, None),
    ],
)
def test_the_rule_refuses(file: str, imported: str, for_types: bool, expected: str | None) -> None:
    assert objection(Path(file), Import(Path(imported), for_types)) == expected


def test_packages_hold_a_docstring_and_nothing_else() -> None:
    for file in FILES:
        if file.name == "__init__.py":
            (only,) = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
            assert isinstance(only, ast.Expr), file
