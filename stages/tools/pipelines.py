"""Write the dvc.yaml of every study from one template, or those of the studies that are named.

Reads params.yaml and data/datasets.yaml. Pipelines differ in the tables of their task, and in whether there is a search, a
folder of the study's own networks, or a file of its own metrics. Verdicts decide what is trained, so the train stage depends on
what judges.
"""

from __future__ import annotations

import os
from pathlib import Path

from stages.lib.cli import arguments, one_line_errors
from stages.lib.data.catalogue import CATALOGUE, load_catalogue, pick
from stages.lib.files import write_text
from stages.lib.study import own
from stages.lib.study.load import load_study
from stages.lib.study.networks import FOLDER
from stages.lib.study.places import PIPELINE, STARTER, studies
from stages.lib.templates import render

TABLES = {
    "classification": ("claims", "confusion", "curves", "diagnostics", "environment", "replicates", "summary"),
    "regression": ("claims", "residuals", "curves", "diagnostics", "environment", "replicates", "summary"),
}
"""Task -> what the evaluate stage writes to metrics/, besides metrics.json."""
QUALITY = {"classification": "accuracy", "regression": "mae"}
"""Task -> the curve that DVC plots beside the loss."""


def pipeline(folder: Path, root: Path = Path()) -> str:
    """The text of a study's dvc.yaml. `folder` is relative to the checkout's root."""
    study = load_study(root / folder)
    task = pick(load_catalogue(root / CATALOGUE), study.data.dataset).task
    has_validation = study.data.split.validation not in (0, "none")
    split, prefix = ("Validation", "val_") if has_validation else ("Training", "")
    quality = QUALITY[task]
    at_root = folder == STARTER
    return render(
        Path(__file__).with_name("dvc.yaml.j2"),
        study="" if at_root else f"{folder.as_posix()}/",
        argument="" if at_root else f" {folder.as_posix()}",
        wdir=Path(os.path.relpath(Path(), folder)).as_posix(),
        tables=[f"{name}.json" if name == "environment" else f"{name}.csv" for name in TABLES[task]],
        search=study.search is not None,
        networks=(root / folder / FOLDER).is_dir(),
        own=(root / folder / own.FILE).is_file(),
        curves=[
            (f"{split} {quality}", f"{prefix}{quality}_mean", "variants", quality),
            ("Training loss", "loss_mean", "variants_log", "loss"),
        ],
    )


def main() -> None:
    parser = arguments(__doc__, study=False)
    parser.add_argument("studies", nargs="*", type=Path, metavar="STUDY", help="folders (default: every study)")
    options = parser.parse_args()
    with one_line_errors("pipelines"):
        for folder in options.studies or studies():
            write_text(folder / PIPELINE, pipeline(folder))


if __name__ == "__main__":
    main()
