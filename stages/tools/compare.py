"""Print the experiments of a study beside each other: `python -m stages.tools compare [STUDY]`.

Prints a column for the current commit and for each experiment that started from it, and a row for each knob, mean and verdict
that differs, within 120 characters. Experiments that did not change the study are left out. `dvc exp show` has all studies in
one table, whose columns are as wide as the names in them. `dvc exp diff main NAME --no-path` shows two experiments in full.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from stages.lib.cli import arguments, one_line_errors
from stages.lib.programs import dvc
from stages.lib.study.places import SETTINGS
from stages.lib.study.strict_yaml import flattened

WIDTH = 120
LEFT_OUT = (".effect", ".low", ".high")
"""Ends of the keys of metrics that have no row."""


def experiments(all_commits: bool) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The name and the content of every commit and experiment that DVC shows. Those that failed or wait have no content."""
    done = dvc("exp", "show", "--json", *(["--all-commits"] if all_commits else []))
    for commit in json.loads(done.stdout):
        states = [commit, *({**each["revs"][0], "name": each["name"]} for each in commit["experiments"] or [])]
        for state in states:
            if state["data"] and state["rev"] != "workspace":
                yield state["name"] or state["rev"][:7], state["data"]


def facts_of(content: Mapping[str, Any], study: Path) -> dict[str, Any]:
    """The study's parameters, and the means and verdicts of its metrics, by their dotted keys."""
    files = {**content["params"], **content["metrics"]}
    paths = [study / SETTINGS, *(study / "metrics" / name for name in ("metrics.json", "search.json"))]
    facts: dict[str, Any] = {}
    for path in paths:
        facts |= flattened(files.get(path.as_posix(), {}).get("data") or {})
    return {key: value for key, value in facts.items() if not key.endswith(LEFT_OUT) and not key.startswith("winner.")}


def table_of(found: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for every fact that differs, a column for every experiment. Columns that do not fit stand below the others."""
    table = pd.DataFrame({name: {key: str(value) for key, value in facts.items()} for name, facts in found.items()}).fillna("")
    differing = table[table.nunique(axis=1) > 1].T.drop_duplicates().T
    return differing.to_string(line_width=WIDTH) if len(differing) else "No experiment changed this study."


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--all-commits", action="store_true", help="of every commit, not of the current one alone")
    options = parser.parse_args()
    with one_line_errors("compare"):
        found = {name: facts_of(content, options.study) for name, content in experiments(options.all_commits)}
        print(table_of(found))


if __name__ == "__main__":
    main()
