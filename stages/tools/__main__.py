"""List the commands, or run one: `python -m stages.tools NAME ...`."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

from stages.lib.cli import UserError, one_line_errors
from stages.lib.study.strict_yaml import unknown


def commands() -> dict[str, str]:
    """Name -> the first line of its docstring, for every module of this folder."""
    modules = sorted(path for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))
    texts = {path.stem: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) for path in modules}
    return {name: (text or "").splitlines()[0].partition(": `")[0].rstrip(".") for name, text in texts.items()}


def main() -> None:
    known = commands()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print("usage: python -m stages.tools NAME ...; `NAME --help` says more\n")
        width = max(map(len, known))
        print("\n".join(f"  {each:{width}}  {text}" for each, text in known.items()))
        return
    with one_line_errors("tools"):
        if name not in known:
            raise UserError(str(unknown("command", name, known)))
    sys.argv = sys.argv[1:]
    runpy.run_module(f"stages.tools.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
