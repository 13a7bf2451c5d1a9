"""The report of a search: its section, its figures, and how to search again."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.runs import complete_facts, write_runs
from helpers.search import Pretender, edited, found_by
from helpers.study import study_with
from stages import evaluate, plot, search


@pytest.mark.parametrize("changes", [{}, {"seeds": 1, "claims": ..., "strategies.few.reported": ...}])
def test_the_report_has_a_section_and_the_figures(
    changes: dict[str, Any], small_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, pretender: Pretender
) -> None:
    settings = {"search": edited(changes)}
    folder = small_study(settings)
    study = study_with(settings)
    assert study.search is not None
    complete_facts(folder, study)
    write_runs(folder, settings)
    search.write_found(study, study.search, found_by(study, study.search, folder / "cache"), folder / "metrics")
    for each in (evaluate, plot):
        monkeypatch.setattr(sys, "argv", ["stage", str(folder)])
        each.main()
    text = (folder / "data" / "report.html").read_text(encoding="utf-8")
    assert '<h2 id="search">' in text
    for name in ("default", *study.search.strategies):
        assert f'id="strategy-{name}"' in text
    drawn = {path.name for path in (folder / "metrics" / "figures").glob("search_*")}
    assert {"search_progress.svg", "search_settings.svg"} <= drawn
    assert ("search_claims.svg" in drawn) == bool(study.search.claims) == ("search-claim-clever_is_better" in text)
    counts = re.findall(r"<strong>(\d+)</strong>", text[text.index('<ul class="counts"') :].partition("</ul>")[0])
    assert sum(map(int, counts)) == len(study.claims) + len(study.search.claims)
    if study.search.claims:
        card = text[text.index('<details class="card" id="search-claim-clever_is_better"') :].partition("</details>")[0]
        for expected in (
            *('href="#metric-test_accuracy"', 'href="#strategy-clever"', 'href="#figure-search_progress"'),
            f"<code>python -m stages.search {folder.as_posix()}</code>",
        ):
            assert expected in card
        assert 'id="figure-search_progress"' in text
    assert ("What the source prints of its search" in text) == ("strategies.few.reported" not in changes)


def test_a_study_without_a_search_has_no_section(small_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = small_study()
    complete_facts(folder, study_with())
    write_runs(folder, {})
    for each in (evaluate, plot):
        monkeypatch.setattr(sys, "argv", ["stage", str(folder)])
        each.main()
    assert 'id="search"' not in (folder / "data" / "report.html").read_text(encoding="utf-8")
    assert not list((folder / "metrics" / "figures").glob("search_*"))
