"""What a reader of the report can type, at the checkout's root."""

from __future__ import annotations

from pathlib import Path

from stages.lib.study.places import SETTINGS, STARTER, is_place, target_of
from stages.lib.study.search import Search
from stages.lib.study.settings import Study

NO_CACHE = "XDG_CACHE_HOME=$(mktemp -d) "
"""Put before a command so that the replicate cache is empty."""


Commands = list[tuple[str, str]]
"""What each command does, and what to type."""


def command_of(module: str, folder: Path, *options: str) -> str:
    """The call of a stage or a tool for the study in that folder."""
    return " ".join([f"python -m {module}", *([] if folder == STARTER else [folder.as_posix()]), *options])


def stage_of(folder: Path, stage: str) -> str | None:
    """What to type after `dvc repro`; None if no dvc.yaml has the study, because it lies elsewhere."""
    return target_of(folder, stage) if is_place(folder) else None


def judging_again(folder: Path, key: str, seeds: int, counted: str, value: str = "") -> Commands:
    """How to judge again, and by more seeds: the value of a key of params.yaml. Nothing if no dvc.yaml has the study.

    counted: what the report calls them. value: of the key, if it is not their number.
    """
    target = stage_of(folder, "plot")
    if target is None:
        return []
    settings = "" if folder == STARTER else f"{(folder / SETTINGS).as_posix()}:"
    more = f"dvc exp run --temp -S {settings}{key}={value or seeds} {target}"
    return [
        ("judge it again, and write this page", f"dvc repro {target}"),
        (f"judge it by {seeds} {counted}, in a temporary copy of the checkout", more),
    ]


def claim_commands(study: Study, name: str, folder: Path) -> Commands:
    """How to train the replicates of a claim again, and how to judge it by more of them."""
    claim, train = study.claims[name], stage_of(folder, "train")
    found = []
    if not claim.about_time:
        verify = command_of("stages.tools verify", folder, "--claim", name)
        found.append(("train its replicates again, and compare them with these numbers", verify))
    elif train:
        timed = f"{NO_CACHE}dvc repro --force --single-item {train}"
        found.append(("time it again, with an empty replicate cache", timed))
    if looks := study.statistics.looks:
        more = [*looks, 2 * looks[-1]]
        again = judging_again(folder, "statistics.looks", more[-1], "replicates", f"'[{','.join(map(str, more))}]'")
    else:
        again = judging_again(folder, "replicates.seeds", 2 * study.replicates.seeds, "replicates")
    return found + (again or [("judge it again", command_of("stages.evaluate", folder))])


def search_commands(search: Search, folder: Path) -> Commands:
    """How to search again, and how to judge the claims about strategies by more searches."""
    stage = stage_of(folder, "search")
    again = f"dvc repro --force --single-item {stage}" if stage else command_of("stages.search", folder)
    return [
        ("search again; trials in the replicate cache are not trained", again),
        ("search again with an empty replicate cache, so that every trial is trained", f"{NO_CACHE}{again}"),
        *judging_again(folder, "search.seeds", 2 * search.seeds, "seeds"),
    ]
