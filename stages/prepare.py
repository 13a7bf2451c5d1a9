"""Split the data set, fit the views, and note the facts.

Reads data/raw, data/datasets.yaml and params.yaml. Writes data/prepared/: train.npz, validation.npz (if any) and test.npz, each
once and in its original type; views.json, every view as a fitted shift and factor; facts.json, what a report says of the data.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from stages.lib.cli import arguments, one_line_errors
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
        prepared = prepare(study, dataset, read_parts(dataset, study_folder / "data" / "raw"))
        target = study_folder / "data" / "prepared"
        shutil.rmtree(target, ignore_errors=True)  # a split that is no longer wanted must not stay
        write_prepared(prepared, target)


if __name__ == "__main__":
    main()
