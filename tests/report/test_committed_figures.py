"""Today's code draws every committed figure that needs no data, to the byte, from the committed tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from helpers.checkout import ROOT
from stages.lib.data.catalogue import CATALOGUE, load_catalogue, pick
from stages.lib.report import drawing
from stages.lib.report.figures.search import search_figures
from stages.lib.report.results import Results, read_search, read_table, with_single_runs
from stages.lib.study.load import load_study
from stages.lib.study.places import STARTER, studies

OF_DATA = ("histograms", "views", "illustration")
"""What the names of figures of the data, and of what the source draws, begin with."""


RUN = [study for study in studies(ROOT) if (ROOT / study / "metrics" / "figures").is_dir()]


@pytest.mark.parametrize(
    "folder", [pytest.param(study, marks=[] if study == STARTER else pytest.mark.slow, id=str(study)) for study in RUN]
)
def test_figures_are_those_of_the_committed_tables(folder: Path) -> None:
    study, metrics = load_study(ROOT / folder), ROOT / folder / "metrics"
    dataset = pick(load_catalogue(ROOT / CATALOGUE), study.data.dataset)
    by_task = "confusion" if dataset.task == "classification" else "residuals"
    names = ("claims", "summary", "replicates", "curves", "diagnostics", by_task)
    tables = {name: read_table(metrics / f"{name}.csv", "evaluate") for name in names}
    tables["claims"] = with_single_runs(study, tables["claims"], tables["replicates"])
    facts = {"task": dataset.task, "target": dataset.target}
    results = Results(study, folder, facts, timed=tables["claims"][:0], durations=pd.DataFrame(), timings={}, **tables)
    drawn = drawing.result_figures(results)
    if study.search:
        drawn |= search_figures(study.search, read_search(study.search, ROOT / folder), dataset.task)
    committed = {path.name: path.read_bytes() for path in (metrics / "figures").iterdir() if not path.name.startswith(OF_DATA)}
    assert set(drawn) == set(committed)
    different = [name for name, content in drawing.encoded(drawn).items() if content != committed[name]]
    assert not different, "stale: run `dvc repro`"
