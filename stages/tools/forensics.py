"""Check whether the numbers that a source prints can have been printed: `python -m stages.tools forensics STUDY`.

Reads params.yaml, and data/prepared/facts.json for a split that takes shares of the rows. An accuracy on n rows is a whole
number of rows over n; one with all its digits is a float32 of it. What a study's `reported` holds is taken digit by digit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from stages.lib.cli import arguments, one_line_errors
from stages.lib.judging.forensics import Examined, of_study
from stages.lib.study.load import load_study


def lines(examined: Sequence[Examined]) -> Iterator[str]:
    """A line for each number, and how many there are of each kind."""
    if not examined:
        yield "the source prints no accuracy on a number of rows that is known, so there is nothing to check"
        return
    for each in examined:
        yield f"{each.variant}, {each.metric}: {each.text} is {each.finding.printing}: {each.finding.why}"
    kinds = [each.finding.printing for each in examined]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    yield f"of {len(kinds)} accuracies that the source prints: {counts}"


def main(given: Sequence[str] | None = None) -> None:
    folder: Path = arguments(__doc__).parse_args(given).study
    with one_line_errors("forensics", folder):
        study = load_study(folder)
        facts = folder / "data" / "prepared" / "facts.json"
        found = of_study(study, json.loads(facts.read_text(encoding="utf-8")) if facts.is_file() else None)
        print(*lines(found), sep="\n")


if __name__ == "__main__":
    main()
