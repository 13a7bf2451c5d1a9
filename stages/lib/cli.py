"""The command line that all stages and tools share, and mistakes of a user, which end them with one line."""

from __future__ import annotations

import argparse
import errno
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
"""What a system answers that lets nobody write."""


class UserError(Exception):
    """A mistake that the user can mend. The message says what is wrong, where, and what is allowed, in one or two lines.

    trace: the traceback of a mistake in the user's own code, for `--debug`.
    """

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.trace = trace


class SettingError(UserError, ValueError):
    """A setting that is not allowed, with its place.

    Code that checks a part of the settings gives the place within this part. Each caller puts its own keys in front, by
    `below`, and the last one adds the file. As a ValueError it can be raised in pydantic's validators.
    """

    def __init__(self, message: str, *place: str, file: Path | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        """The keys that lead to the setting."""
        self.file = file

    def below(self, *place: str, file: Path | None = None) -> SettingError:
        """The same mistake, with `place` in front of its own and with the file, if it has none."""
        return SettingError(self.message, *place, *self.place, file=self.file or file)

    def __str__(self) -> str:
        keys = [key if re.fullmatch(r"[\w-]{1,60}", key) else as_yaml(key) for key in self.place]
        if self.file and not keys:
            keys = ["top level"]
        file = [str(self.file)] if self.file else []
        place = [".".join(keys)] if keys else []
        return ": ".join([*file, *place, self.message])


def as_yaml(value: object) -> str:
    """A value much as YAML writes it, on one line and at most 60 characters long."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = str(value) if isinstance(value, date) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def first_of(names: Sequence[object], most: int) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


def arguments(description: str | None, study: bool = True, debug: bool = False) -> argparse.ArgumentParser:
    """The parser of a stage or a tool, which may add its own options.

    study: whether the command takes a study's folder.
    debug: whether it runs code of the user's, whose mistakes have a traceback.
    """
    spec = sys.modules["__main__"].__spec__
    parser = argparse.ArgumentParser(
        prog=f"python -m {spec.name.replace('.tools.', '.tools ')}" if spec else None,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if study:
        parser.add_argument(
            "study",
            nargs="?",
            type=Path,
            default=Path(),
            metavar="STUDY",
            help="the study's folder, relative to the checkout's root (default: the root, the starter study)",
        )
    if debug:
        parser.add_argument("--debug", action="store_true", help="print the traceback of a mistake in a network of your own")
    return parser


@contextmanager
def written_by(stage: str) -> Iterator[None]:
    """Raises UserError if the body misses a file that the stage should have written."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing; run `dvc repro`, or the {stage} stage first") from None


@contextmanager
def one_line_errors(stage: str, study: Path | None = None, debug: bool = False) -> Iterator[None]:
    """End the process with exit status 1 and `STAGE: message` on standard error, if the body raises UserError.

    A mistake in the settings that names no file is one in the params.yaml of the folder `study`. The same goes for a disk that
    is full or read-only, and for files of another user. With `debug`, the traceback of a mistake in the user's own code comes
    first.
    """
    try:
        yield
    except SettingError as error:
        sys.exit(f"{stage}: {error.below(file=study and study / 'params.yaml')}")
    except UserError as error:
        if debug and error.trace:
            print(error.trace, file=sys.stderr)
        sys.exit(f"{stage}: {error}")
    except BrokenPipeError:  # such as of `| head`; what is still buffered has no reader, and would raise once more at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno not in NOT_ALLOWED:
            raise
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(f"{stage}: {place}{error.strerror}; the stage must be able to read and write there")
