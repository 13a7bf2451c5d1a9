"""Fetch the study's data set: verified raw files in STUDY/data/raw.

Reads data.dataset in STUDY/params.yaml, and this entry of data/datasets.yaml. Writes STUDY/data/raw/<file>, unpacked.

A file comes from the user's download cache if it is there, else from DATA_MIRROR (a folder or a URL) if this variable is set,
else from its sources. Every file's SHA-256 is pinned, so a study never trains on something else, whoever serves it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stages.lib import environment
from stages.lib.cli import arguments, one_line_errors
from stages.lib.data.catalogue import CATALOGUE, Dataset, load_catalogue, pick
from stages.lib.data.download import obtain
from stages.lib.files import whole
from stages.lib.study.load import load_study


def fetch(name: str, dataset: Dataset, raw: Path, mirror: str | None, cache: Path) -> None:
    """Put each file of a data set into the folder `raw`. Raises UserError if no source has one of them."""
    with tempfile.TemporaryDirectory() as spare:
        for file in dataset.files.values():
            content = obtain(name, file, mirror, cache, Path(spare))
            with whole(raw / file.name) as temporary:
                shutil.copyfile(content, temporary)


def main(given: Sequence[str] | None = None) -> None:
    study: Path = arguments(__doc__).parse_args(given).study
    with one_line_errors("fetch", study):
        name = load_study(study).data.dataset
        dataset = pick(load_catalogue(CATALOGUE), name)
        fetch(name, dataset, study / "data" / "raw", environment.mirror(), environment.cache_folder("downloads"))


if __name__ == "__main__":
    main()
