"""Draw the figures, judge the claims about time, and write the report.

Reads metrics/*.csv, metrics/search/*.csv of a study with a search, data/prepared, data/timings.json and params.yaml.

Writes metrics/figures/, which is small and the same from run to run, for Git; illustrations.csv is there if the source prints
numbers that need no training. Writes data/report.html, one page with all figures, and with the durations, which Git never has.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stages.lib.cli import arguments, one_line_errors
from stages.lib.data.prepared import Prepared, read_prepared
from stages.lib.files import write_text
from stages.lib.report.drawing import encoded, input_figures, result_figures, write_figures
from stages.lib.report.figures.search import search_figures
from stages.lib.report.illustrations.illustrated import compare_printed, file_of
from stages.lib.report.illustrations.registry import illustrate
from stages.lib.report.page import page
from stages.lib.report.results import read_results, read_search, require
from stages.lib.report.sections.search import search_section
from stages.lib.study.load import load_study


def validates_on_test(prepared: Prepared) -> bool:
    """Whether the validation rows are the test rows."""
    splits = prepared.splits
    return "validation" in splits and np.array_equal(splits["validation"][0], splits["test"][0])


def rows_of_classes(prepared: Prepared) -> dict[str, list[int]]:
    """Split -> how many rows each class has in it. Empty for a regression."""
    if prepared.task != "classification":
        return {}
    return {split: np.bincount(y, minlength=prepared.outputs).tolist() for split, (_, y) in prepared.splits.items()}


def main() -> None:
    folder: Path = arguments(__doc__).parse_args().study
    with one_line_errors("plot", folder):
        study = load_study(folder)
        prepared = read_prepared(folder / "data" / "prepared")
        require(study.views, prepared.views, folder / "data" / "prepared" / "views.json", "prepare")
        results = read_results(study, folder, prepared.facts)
        figures = result_figures(results) | input_figures(study, prepared)
        section = None
        if study.search:
            tables = read_search(study.search, folder)
            figures |= search_figures(study.search, tables, results.task)
            section = search_section(results, study.search, tables)
        illustrated = illustrate(study, prepared)
        figures |= {file_of(name, each): each.figure for name, each in illustrated.items()}
        pictures = encoded(figures)
        numbers = compare_printed(study, illustrated)
        csv = {"illustrations.csv": numbers.to_csv(index=False, lineterminator="\n").encode()} if len(numbers) else {}
        write_figures(folder / "metrics" / "figures", pictures | csv)
        html = page(results, pictures, illustrated, section, validates_on_test(prepared), rows_of_classes(prepared))
        write_text(folder / "data" / "report.html", html)


if __name__ == "__main__":
    main()
