"""What a reader of the report can type, at the checkout's root."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from stages.lib.study.places import SETTINGS, STARTER, is_place, target_of
from stages.lib.study.search import Search
from stages.lib.study.settings import Study

NO_CACHE = "XDG_CACHE_HOME=$(mktemp -d) "
"""Put before a command so that the replicate cache is empty."""


class Command(NamedTuple):
    """A command, and what it does."""

    what: str
    typed: str


def command_of(module: str, folder: Path, *options: str) -> str:
    """The call of a stage or a tool for the study in that folder."""
    return " ".join([f"python -m {module}", *([] if folder == STARTER else [folder.as_posix()]), *options])


def stage_of(folder: Path, stage: str) -> str | None:
    """What to type after `dvc repro`; None if no dvc.yaml has the study, because it lies elsewhere."""
    return target_of(folder, stage) if is_place(folder) else None


def experiment(folder: Path, key: str, value: int, target: str) -> str:
    """The command that runs a stage with another value of a key of params.yaml, in a copy of the checkout."""
    params = "" if folder == STARTER else f"{(folder / SETTINGS).as_posix()}:"
    return f"dvc exp run --temp -S {params}{key}={value} {target}"


def claim_commands(study: Study, name: str, folder: Path) -> list[Command]:
    """How to train the replicates of a claim again, and how to judge it by more of them."""
    claim = study.claims[name]
    found = []
    if not claim.about_time:
        verify = command_of("stages.tools verify", folder, "--claim", name)
        found.append(Command("train its replicates again, and compare them with these numbers", verify))
    target = stage_of(folder, "plot")
    if target is None:
        return [*found, Command("judge it again", command_of("stages.evaluate", folder))]
    if claim.about_time:
        train = f"{NO_CACHE}dvc repro --force --single-item {stage_of(folder, 'train')}"
        found.append(Command("time it again, with an empty replicate cache", train))
    seeds = 2 * study.claim_seeds(claim)
    more = experiment(folder, "replicates.seeds", seeds, target)
    return [
        *found,
        Command("judge it again, and write this page", f"dvc repro {target}"),
        Command(f"judge it by {seeds} replicates, in a temporary copy of the checkout", more),
    ]


def search_commands(search: Search, folder: Path) -> list[Command]:
    """How to search again, and how to judge the claims about strategies by more searches."""
    stage, target, seeds = stage_of(folder, "search"), stage_of(folder, "plot"), 2 * search.seeds
    again = f"dvc repro --force --single-item {stage}" if stage else command_of("stages.search", folder)
    found = [
        Command("search again; trials in the replicate cache are not trained", again),
        Command("search again with an empty replicate cache, so that every trial is trained", f"{NO_CACHE}{again}"),
    ]
    if target is None:
        return found
    more = experiment(folder, "search.seeds", seeds, target)
    return [
        *found,
        Command("judge it again, and write this page", f"dvc repro {target}"),
        Command(f"judge it by {seeds} seeds, in a temporary copy of the checkout", more),
    ]
