"""Questions to Git."""

from __future__ import annotations

import os
import subprocess
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
