"""The command line of every stage and tool: how arguments are read, and one line for a user's mistake."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """A mistake that the user can mend: the message says what is wrong, where, and what is allowed, in one or two lines."""


def arguments(description: str | None, study: bool = True) -> argparse.ArgumentParser:
    """The parser of a stage or a tool, which may add its own options.

    study: whether the command takes a study's folder.
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
    return parser


@contextmanager
def one_line_errors(stage: str) -> Iterator[None]:
    """End the stage with exit status 1 and `STAGE: message` on standard error where its body raises UserError."""
    try:
        yield
    except UserError as error:
        sys.exit(f"{stage}: {error}")
