"""The README's table is made from the committed metrics."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import ROOT

from stages.lib.cli import UserError
from stages.overview import BEGIN, END, overview, with_table


def test_the_readme_shows_the_committed_results() -> None:
    assert (ROOT / "README.md").read_text(encoding="utf-8") == overview(ROOT), "stale: run `python -m stages.overview`"


def test_the_table_replaces_what_is_between_the_markers() -> None:
    readme = f"before\n{BEGIN}\nold\n{END}\nafter"
    assert with_table(readme, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter"
    assert with_table(with_table(readme, "new"), "new") == with_table(readme, "new")


@pytest.mark.parametrize("readme", ["", BEGIN, END])
def test_a_readme_without_markers_is_refused(readme: str) -> None:
    with pytest.raises(UserError, match="markers"):
        with_table(readme, "new")


def test_every_committed_claim_has_a_row() -> None:
    claims = (Path(ROOT) / "metrics" / "claims.csv").read_text(encoding="utf-8").splitlines()[1:]
    rows = (ROOT / "README.md").read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    assert len(rows) == len(claims) > 0
