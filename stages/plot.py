"""Draw the figures, judge the claims about time, and write the report.

Reads metrics/*.csv, metrics/search/*.csv where the study has a search, data/prepared, data/timings.json and params.yaml. Writes
metrics/figures/, small and the same bytes from run to run, for Git, with illustrations.csv where the source prints numbers that
take no training; and data/report.html, one page that holds the figures and, other than any file in Git, the durations.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stages.lib.cli import arguments, one_line_errors
from stages.lib.data.prepared import read_prepared
from stages.lib.files import write_text
from stages.lib.report.drawing import encoded, input_figures, result_figures, write_figures
from stages.lib.report.figures.search import search_figures
from stages.lib.report.illustrations.comparison import compared
from stages.lib.report.illustrations.illustrated import file_of
from stages.lib.report.illustrations.registry import illustrate
from stages.lib.report.page import page
from stages.lib.report.results import read_results, read_search, require
from stages.lib.report.search_section import section
from stages.lib.study.load import load_study


def main() -> None:
    folder: Path = arguments(__doc__).parse_args().study
    with one_line_errors("plot"):
        study = load_study(folder)
        prepared = read_prepared(folder / "data" / "prepared")
        require(study.views, prepared.views, folder / "data" / "prepared" / "views.json", "prepare")
        results = read_results(study, folder, prepared.task)
        drawn = result_figures(study, results, prepared.task, prepared.facts["target"]) | input_figures(study, prepared)
        searched = read_search(study, folder)
        if study.search:
            drawn |= search_figures(study.search, searched, prepared.task)
        illustrated = illustrate(study, prepared)
        drawn |= {file_of(name, each): each.figure for name, each in illustrated.items()}
        pictures = encoded(drawn)
        numbers = compared(study, illustrated)
        tables = {"illustrations.csv": numbers.to_csv(index=False, lineterminator="\n").encode()} if len(numbers) else {}
        write_figures(folder / "metrics" / "figures", pictures | tables)
        same_test = "validation" in prepared.splits and np.array_equal(
            prepared.splits["validation"][0], prepared.splits["test"][0]
        )
        search = section(study, study.search, folder, searched, prepared.task) if study.search else None
        html = page(study, folder, prepared.facts, results, pictures, same_test, illustrated, search)
        write_text(folder / "data" / "report.html", html)


if __name__ == "__main__":
    main()
