"""A study's own metrics: the functions of its metrics.py, which is read here and run by the evaluate stage alone."""

from __future__ import annotations

import ast
from pathlib import Path

from stages.lib.cli import SettingError, UserError
from stages.lib.study.metrics import OWN
from stages.lib.study.places import PIPELINE
from stages.lib.study.strict_yaml import unknown

FILE = "metrics.py"
"""Beside params.yaml."""
ARGUMENTS = ["labels", "predictions"]


def functions(path: Path) -> dict[str, ast.FunctionDef]:
    """The functions of a metrics.py by name, in their order; none without the file.

    Raises UserError for a file that is no Python.
    """
    if not path.is_file():
        return {}
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:  # a byte that is no text is a ValueError
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        raise UserError(f"{path}: {line}not valid Python: {getattr(error, 'msg', error)}") from None
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def meaning(function: ast.FunctionDef) -> str:
    """The first paragraph of its docstring; empty if it has none."""
    return " ".join((ast.get_docstring(function) or "").split("\n\n")[0].split())


def check_pipeline(folder: Path) -> None:
    """Raises UserError for a metrics.py that the study's dvc.yaml does not know, so that a change of it would go unnoticed."""
    pipeline = folder / PIPELINE
    file = folder / FILE
    if file.is_file() and pipeline.is_file() and file.as_posix() not in pipeline.read_text(encoding="utf-8").split():
        raise UserError(f"{pipeline}: does not name {FILE}; run `python -m stages.tools pipelines` after you added that file")


def check(metric: str, folder: Path) -> None:
    """Raises SettingError or UserError for an own metric that the study's metrics.py does not have, or not as it must be."""
    path, own = folder / FILE, OWN.fullmatch(metric)
    if not own:
        return
    known, name = functions(path), own[1]
    if not path.is_file():
        raise SettingError(f"{metric} needs the function {name}(labels, predictions) in {FILE}, beside params.yaml")
    if name not in known:
        raise unknown("metric", metric, [f"own.{each}" for each in known if not each.startswith("_")])
    function = known[name]
    place, given = f"{path}: line {function.lineno}: {name}", function.args
    taken = [each.arg for each in [*given.posonlyargs, *given.args]]
    if taken != ARGUMENTS or given.kwonlyargs or given.vararg or given.kwarg:
        raise UserError(f"{place} must take labels and predictions: {name}(labels, predictions)")
    if not meaning(function):
        raise UserError(f"{place} needs a docstring, which says in a report what it means")
