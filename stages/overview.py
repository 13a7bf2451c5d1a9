"""Write the README's table of results from the committed metrics: `python -m stages.overview`.

No stage of the pipeline, since DVC would own the README. A test fails when the table is stale.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from stages.lib.cli import UserError, one_line_errors
from stages.lib.files import write_text
from stages.lib.settings import Study, load_study

BEGIN, END = "<!-- results: made by python -m stages.overview -->", "<!-- end of results -->"


def results_table(study: Study, claims: pd.DataFrame) -> str:
    """A Markdown table of the claims: what is said, the verdict, the effect with its interval, the replicates."""
    lines = ["| claim | verdict | effect | interval | replicates |", "| --- | --- | ---: | :---: | ---: |"]
    for row in claims.to_dict("records"):
        finite = row["low"] not in ("never", "diverged")
        effect = f"{float(row['effect']):.3g}" if row["effect"] not in ("never", "diverged") else row["effect"]
        interval = f"{float(row['low']):.3g} to {float(row['high']):.3g}" if finite else "by rank"
        verdict = f"**{row['verdict']}**{' (close)' if row['close'] == 'True' else ''}"
        lines.append(f"| {study.claims[row['claim']].says} | {verdict} | {effect} | {interval} | {row['replicates']} |")
    return "\n".join(lines)


def with_table(readme: str, table: str) -> str:
    """The README with the table between its markers. Raises UserError where a marker is missing."""
    if BEGIN not in readme or END not in readme:
        raise UserError(f"README.md: the markers {BEGIN!r} and {END!r} are missing")
    before, _, rest = readme.partition(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}"


def overview(root: Path) -> str:
    """The README in `root` as it should be."""
    claims = pd.read_csv(root / "metrics" / "claims.csv", dtype=str)
    return with_table((root / "README.md").read_text(encoding="utf-8"), results_table(load_study(root), claims))


def main() -> None:
    with one_line_errors("overview"):
        write_text(Path("README.md"), overview(Path()))


if __name__ == "__main__":
    main()
