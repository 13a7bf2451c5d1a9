"""Split the data set, fit every view on the training rows, and note what a report says of the data.

Reads STUDY/data/raw, data/datasets.yaml, and data, views and limits of STUDY/params.yaml. Writes to STUDY/data/prepared/:

    train.npz, test.npz   values and labels of each split, in their original type; also validation.npz, if the split has one
    views.json            every view as a fitted shift and factor, and what becomes of missing values and categories
    facts.json            where the data are from, the shape of each split, and its extremes in each view

The same bytes are written on every supported Python and processor.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from stages.lib.cli import arguments, one_line_errors
from stages.lib.data import checks
from stages.lib.data.catalogue import CATALOGUE, load_catalogue, pick
from stages.lib.data.parts import read_parts
from stages.lib.data.prepared import write_prepared
from stages.lib.data.splits import prepare
from stages.lib.study.load import load_study


def main() -> None:
    study_folder: Path = arguments(__doc__).parse_args().study
    with one_line_errors("prepare", study_folder):
        study = load_study(study_folder)
        dataset = pick(load_catalogue(CATALOGUE), study.data.dataset)
        parts = read_parts(dataset, study_folder / "data" / "raw", study.data.split_column)
        prepared = prepare(study, dataset, parts)
        for doubt in checks.doubts(parts, prepared.splits, prepared.facts["class_names"]):
            print(f"prepare: {doubt}", file=sys.stderr)
        target = study_folder / "data" / "prepared"
        shutil.rmtree(target, ignore_errors=True)  # a split that is no longer wanted must not stay
        write_prepared(prepared, target)


if __name__ == "__main__":
    main()
