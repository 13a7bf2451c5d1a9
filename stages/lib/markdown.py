"""Markdown: text that shows as it is, code, tables, and the generated part of a page.

Tables are written here and not by tabulate, which pads every cell to the width of its column: in a page under Git one longer
cell would change every line, and a review would no longer fit into a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from stages.lib.cli import UserError

LEFT, RIGHT = "---", "---:"
"""How a column is aligned."""


def one_line(text: str, most: int | None = None) -> str:
    """The text with every run of white space as one space; longer text than `most` characters is cut."""
    flat = " ".join(text.split())
    return flat if most is None or len(flat) <= most else f"{flat[: most - 1]}…"


def cell(text: str) -> str:
    """Text for a table: on one line, and without HTML. Its Markdown still works."""
    return one_line(text).replace("|", "\\|").replace("<", "&lt;")


def escape(text: str, most: int = 160) -> str:
    """Text of a stranger: nothing in it is rendered, linked or notified."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", one_line(text, most)).replace("<", "&lt;").replace("@", "&#64;")


def code(value: object, most: int = 100) -> str:
    """A value as code, which nobody renders and which notifies nobody."""
    text = one_line(str(value), most).replace("`", "'").replace("|", "\\|")
    return f"`{text}`"


def table(header: Sequence[str], rows: Iterable[Iterable[object]], alignments: Sequence[str] = ()) -> str:
    """A table. Its cells are Markdown already; columns are aligned to the left unless `alignments` says otherwise."""
    rule = alignments or [LEFT] * len(header)
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in [header, rule, *rows])


def markers(name: str, command: str) -> tuple[str, str]:
    """The lines between which a command writes a part of a page."""
    return f"<!-- {name}: made by {command} -->", f"<!-- end of {name} -->"


def between_markers(page: str, marks: tuple[str, str], content: str, path: str) -> str:
    """The page with `content` between two markers.

    path: names the page in the message.
    Raises UserError where a marker is missing.
    """
    begin, end = marks
    before, found, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise UserError(f"{path}: the markers {begin!r} and {end!r} are missing")
    return f"{before}{begin}\n{content}\n{end}{after}"
