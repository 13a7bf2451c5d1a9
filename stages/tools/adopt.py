"""Write what a search found into params.yaml, as a variant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.files import write_text
from stages.lib.searching import trials
from stages.lib.searching.rounds import search_of
from stages.lib.study.load import load_study


def adopt(folder: Path, name: str) -> None:
    """Write what was found into params.yaml, as a variant of this name."""
    path = folder / "params.yaml"
    study = load_study(folder)
    try:
        winner: dict[str, Any] = json.loads((folder / "metrics" / "search.json").read_text(encoding="utf-8"))["winner"]
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing; run `dvc repro`, or the search stage first") from None
    write_text(path, trials.adopted(study, search_of(study, folder), winner, name, path))
    print(f"{path} has a variant {name}; `dvc repro` trains it")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("name", metavar="NAME", help="of the new variant")
    options = parser.parse_args()
    with one_line_errors("adopt"):
        adopt(options.study, options.name)


if __name__ == "__main__":
    main()
