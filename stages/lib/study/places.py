"""Where studies lie: the starter in the checkout's root, every other one in a folder of studies/."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path("studies")


def studies(root: Path = Path()) -> list[Path]:
    """The folders of all studies, relative to the checkout's root; the starter first."""
    others = sorted(path.parent.relative_to(root) for path in (root / FOLDER).glob("*/params.yaml"))
    return [*([Path()] if (root / "params.yaml").is_file() else []), *others]


def name_of(study: Path) -> str:
    """What a study is called: its folder's name; `starter` for the root."""
    return "starter" if study == Path() else study.name


def target_of(study: Path, stage: str) -> str:
    """What to type after `dvc repro` at the checkout's root."""
    return stage if study == Path() else f"{study.as_posix()}/dvc.yaml:{stage}"
