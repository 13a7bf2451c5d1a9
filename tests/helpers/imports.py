"""What the modules of stages/ import of each other, read from their source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from helpers.checkout import ROOT


class Import(NamedTuple):
    """A file of this project that another one imports, and whether for the type checker alone."""

    file: Path
    for_types: bool


def file_of(module: str) -> Path | None:
    """The file of a module, or the __init__.py of a package, relative to the checkout's root."""
    path = Path(*module.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if (ROOT / file).is_file()), None)


def modules_of(statement: ast.Import | ast.ImportFrom) -> list[str]:
    """The modules that a statement imports.

    A name that follows `from package import` is a module too: packages here hold nothing else.
    """
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    module = statement.module or ""
    assert not statement.level, f"line {statement.lineno}: a relative import"
    if (ROOT / Path(*module.split("."))).is_dir():
        return [f"{module}.{alias.name}" for alias in statement.names]
    return [module]


def _statements(node: ast.AST, for_types: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import below a node, and whether it stands below `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, for_types
        else:
            guarded = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            yield from _statements(child, for_types or guarded)


def imports_of(file: Path) -> list[Import]:
    """What a file imports of this project. Raises AssertionError for an import that leads nowhere."""
    found = []
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    for statement, for_types in _statements(tree):
        for module in modules_of(statement):
            if module.partition(".")[0] == "stages":
                imported = file_of(module)
                assert imported, f"{file}, line {statement.lineno}: {module} is no module"
                found.append(Import(imported, for_types))
    return found


def closure_of(file: Path) -> set[Path]:
    """The files that run when this one is imported, itself among them."""
    found, waiting = {file}, [file]
    while waiting:
        files = {each.file for each in imports_of(waiting.pop()) if not each.for_types}
        waiting += files - found
        found |= files
    return found


def room_of(file: Path) -> str:
    """`study`, `training` and so on; a module outside of the rooms is its own; `tools`, or else `stages` for a script."""
    match file.parts:
        case ("stages", "lib", name, *_):
            return name.removesuffix(".py")
        case ("stages", "tools", *_):
            return "tools"
        case _:
            return "stages"
