"""List the commands, or run one: `python -m stages.tools NAME ...`."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

from stages.lib.cli import UserError, one_line_errors
from stages.lib.study.strict_yaml import unknown


def summary(module: Path) -> str:
    """The first line of a module's docstring, without the command that may follow a colon."""
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].partition(": `")[0].rstrip(".")


def commands() -> dict[str, str]:
    """Name -> summary of every module in this folder."""
    modules = [path for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")]
    return {path.stem: summary(path) for path in sorted(modules)}


def main() -> None:
    known = commands()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        width = max(map(len, known))
        print("usage: python -m stages.tools NAME ...; `NAME --help` says more\n")
        print("\n".join(f"  {command:{width}}  {text}" for command, text in known.items()))
        return
    with one_line_errors("tools"):
        if name not in known:
            raise UserError(str(unknown("command", name, known)))
    del sys.argv[0]
    runpy.run_module(f"stages.tools.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
