"""Where studies lie: the starter at the checkout's root, and every other study in a folder of studies/."""

from __future__ import annotations

from pathlib import Path

STARTER = Path()
FOLDER = Path("studies")
SETTINGS = "params.yaml"
PIPELINE = "dvc.yaml"


def is_place(folder: Path) -> bool:
    """Whether a study may lie in this folder, relative to the checkout's root."""
    return folder == STARTER or folder.parent == FOLDER


def studies(root: Path = Path()) -> list[Path]:
    """The folders of all studies, relative to the checkout's root, the starter first."""
    places = [STARTER, *sorted(path.relative_to(root) for path in (root / FOLDER).glob("*"))]
    return [place for place in places if (root / place / SETTINGS).is_file()]


def name_of(study: Path) -> str:
    """A study's name is that of its folder; the one at the root is `starter`."""
    return "starter" if study == STARTER else study.name


def target_of(study: Path, stage: str) -> str:
    """A stage as one types it after `dvc repro`, at the checkout's root."""
    return stage if study == STARTER else f"{(study / PIPELINE).as_posix()}:{stage}"
