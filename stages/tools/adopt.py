"""Write the winner of a search into params.yaml, as a variant.

Reads params.yaml and metrics/search.json. Adds the variant after the others; every other byte of params.yaml stays.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages.lib.cli import UserError, arguments, one_line_errors, written_by
from stages.lib.files import write_text
from stages.lib.searching.rounds import search_of
from stages.lib.study import space
from stages.lib.study.load import load_study
from stages.lib.study.search import Search
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import NAME, NO_NAME


def adopt(folder: Path, name: str) -> None:
    """Write the winner into params.yaml as a variant with this name. Raises UserError if that cannot be done."""
    path = folder / "params.yaml"
    study = load_study(folder)
    search = search_of(study, folder)
    with written_by("search"):
        winner: dict[str, Any] = json.loads((folder / "metrics" / "search.json").read_text(encoding="utf-8"))["winner"]
    if not re.fullmatch(NAME, name):
        raise UserError(f"{name!r} {NO_NAME}")
    if name in study.variants:
        raise UserError(f"{path} has a variant {name} already; choose another name")
    if set(winner["settings"]) != set(search.space):
        raise UserError(f"{path} has another search.space than the search that was run; run `dvc repro` first")
    write_text(path, with_variant(path.read_text(encoding="utf-8"), name, variant_of(study, search, winner)))
    print(f"{path} has a variant {name}; `dvc repro` trains it")


def variant_of(study: Study, search: Search, winner: Mapping[str, Any]) -> dict[str, Any]:
    """The winner of search.json as a variant."""
    score = f"{search.metric} {winner[search.metric]}"
    tip = f"Found by the search: trial {winner['trial']} of {winner['strategy']} with seed {winner['seed']}, {score}."
    variant = search.variant_of(winner["strategy"])
    changes = space.changes(search, study.recipes[variant], winner["settings"])
    return {"tip": tip, "extends": variant, **changes, "ours": True}


def with_variant(text: str, name: str, variant: Mapping[str, Any]) -> str:
    """The text of a params.yaml with one more variant; every other byte stays."""
    content = YAML().load(text)
    lines = text.splitlines(keepends=True)
    first = content.lc.key("variants")[0]
    later = [line for key in content if (line := content.lc.key(key)[0]) > first]
    end = min(later, default=len(lines))
    while not lines[end - 1].strip() or lines[end - 1].startswith("#"):  # blank lines and comments belong to what follows
        end -= 1
    lines[end - 1] = f"{lines[end - 1].rstrip()}\n"  # the last line of a file may lack its end
    indent = " " * content["variants"].lc.col
    added = [f"{indent}{line}" for line in block_style({name: variant}).splitlines(keepends=True)]
    return "".join([*lines[:end], *added, *lines[end:]])


def block_style(content: Mapping[str, Any]) -> str:
    """YAML as in params.yaml: mappings as blocks, each list and each sentence on one line."""
    yaml = YAML()
    yaml.width = 1000
    yaml.representer.add_representer(list, lambda dumper, each: dumper.represent_sequence("tag:yaml.org,2002:seq", each, True))
    buffer = io.StringIO()
    yaml.dump(content, buffer)
    return buffer.getvalue()


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("name", metavar="NAME", help="the name of the new variant")
    options = parser.parse_args()
    with one_line_errors("adopt", options.study):
        adopt(options.study, options.name)


if __name__ == "__main__":
    main()
