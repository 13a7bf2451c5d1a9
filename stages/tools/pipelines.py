"""Write the dvc.yaml of every study from one template, or of the studies that are named.

Reads params.yaml and data/datasets.yaml. A study's stages differ in the tables that its task has, and in whether it searches.
"""

from __future__ import annotations

import os
from pathlib import Path

from stages.lib.cli import arguments, one_line_errors
from stages.lib.data.catalogue import CATALOGUE, load_catalogue, pick
from stages.lib.files import write_text
from stages.lib.study.load import load_study
from stages.lib.study.places import studies
from stages.lib.templates import render

TABLES = "claims {by_task} curves diagnostics environment replicates summary"


def pipeline(folder: Path, root: Path = Path()) -> str:
    """The text of a study's dvc.yaml."""
    study = load_study(root / folder)
    task = pick(load_catalogue(root / CATALOGUE), study.data.dataset).task
    quality, by_task = ("accuracy", "confusion") if task == "classification" else ("mae", "residuals")
    watched, prefix = ("Validation", "val_") if study.data.sets_validation_apart else ("Training", "")
    return render(
        Path(__file__).with_name("dvc.yaml.j2"),
        study="" if folder == Path() else f"{folder.as_posix()}/",
        argument="" if folder == Path() else f" {folder.as_posix()}",
        wdir=Path(os.path.relpath(Path(), folder)).as_posix(),
        tables=[
            "environment.json" if name == "environment" else f"{name}.csv" for name in TABLES.format(by_task=by_task).split()
        ],
        search=study.search is not None,
        curves=[
            (f"{watched} {quality}", f"{prefix}{quality}_mean", "variants", quality),
            ("Training loss", "loss_mean", "variants_log", "loss"),
        ],
    )


def main() -> None:
    parser = arguments(__doc__, study=False)
    parser.add_argument("studies", nargs="*", type=Path, metavar="STUDY", help="folders (default: every study)")
    options = parser.parse_args()
    with one_line_errors("pipelines"):
        for folder in options.studies or studies():
            write_text(folder / "dvc.yaml", pipeline(folder))


if __name__ == "__main__":
    main()
