"""Git and DVC, which this project asks as programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stages.lib.cli import UserError


def git(*arguments: str, given: str | None = None, index: Path | None = None, endings: tuple[int, ...] = (0,)) -> str:
    """What Git prints.

    given: its standard input.
    index: an index to use instead of the repository's own.
    endings: exit statuses that are no failure.
    Raises UserError with Git's first line where it fails.
    """
    environment = {**os.environ, "LC_ALL": "C"}
    if index:
        environment["GIT_INDEX_FILE"] = str(index)
    try:
        done = subprocess.run(
            ["git", *arguments], input=given, env=environment, capture_output=True, encoding="utf-8", errors="replace"
        )
    except FileNotFoundError:
        raise UserError("git is not installed") from None
    if done.returncode not in endings:
        lines = done.stderr.strip().splitlines() or ["failed"]
        raise UserError(f"git {arguments[0]}: {lines[0]}")
    return done.stdout


def paths(*arguments: str, given: str | None = None, endings: tuple[int, ...] = (0,)) -> list[str]:
    """The paths that a command with `-z` prints."""
    return [path for path in git(*arguments, given=given, endings=endings).split("\0") if path]


def dvc(*arguments: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
    """What DVC prints. Raises UserError with DVC's first mistake where it fails, unless it may."""
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True, check=False)
    if done.returncode and not fails:
        raise dvc_error(done)
    return done


def dvc_error(done: subprocess.CompletedProcess[str]) -> UserError:
    lines = [line for line in done.stderr.splitlines() if line.strip()] or ["failed"]
    errors = [line for line in lines if line.startswith("ERROR: ")] or lines
    return UserError(f"dvc: {errors[0].removeprefix('ERROR: ')}")
