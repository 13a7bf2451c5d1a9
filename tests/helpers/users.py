"""Another user, who may read what tests write and change nothing of it."""

from __future__ import annotations

import codecs
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534


@contextmanager
def reachable(own: Path) -> Iterator[Path]:
    """A folder that every user can enter: `own`, or one beside it where root runs the tests, whose folders are closed."""
    if os.geteuid():
        yield own
        return
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def another_user(place: Path) -> Iterator[None]:
    """Be a user who owns nothing, where root runs the tests. Everyone else stays what they are, and folders read-only.

    Skips the test if that user cannot reach `place`.
    """
    if os.geteuid():
        yield
        return
    codecs.lookup("cp437")  # of zipfile: the other user may not be able to read this Python's files
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        try:
            place.stat()
        except PermissionError:
            pytest.skip("another user cannot reach the temporary folder")
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def read_only(folder: Path) -> Path:
    """Let nobody but root write into a folder, nor change its files."""
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return folder
