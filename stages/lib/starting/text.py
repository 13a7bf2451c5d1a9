"""What a text file seems to be, as a table: its encoding, what divides a line into cells, and whether a header names them."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stages.lib.cli import UserError
from stages.lib.data.readers.columns import MISSING
from stages.lib.data.readers.text import BYTE_ORDER_MARKS, WHITESPACE
from stages.lib.starting.answers import Answers

SAMPLE = 1 << 20
"""Characters that are looked at."""
DELIMITERS = (";", "\t", "|", ",")
"""In the order of preference: where both ; and , divide all lines alike, the comma is a decimal sign."""
COMMENTS = ("#", "%")
ENCODINGS = ("utf-8", "cp1252", "latin-1")
MOST_PREAMBLE = 10
"""Lines before a table."""
ALIKE = 0.8
"""Share of the lines that must have as many cells as most."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
BLANKS = re.compile(r'"[^"]*"|\S+')
"""A cell between blanks."""
GROUPED = re.compile(r"[+-]?\d{1,3}(?:([.,' ])\d{3})(?:\1\d{3})*")
Rows = list[list[str]]


def encoding_of(path: Path) -> str:
    """The first encoding that the bytes of the file are text in. Raises UserError for what is none."""
    with path.open("rb") as file:
        start = file.read(1 << 16)
    if start.startswith(BYTE_ORDER_MARKS):
        return "utf-16"
    if b"\0" in start:
        raise UserError(f"{path}: neither text nor an image, an NPZ, NPY or IDX file, an archive, Parquet or Excel")
    for encoding in ENCODINGS:
        try:
            with path.open(encoding=encoding) as text:
                while text.read(SAMPLE):
                    pass
        except UnicodeDecodeError:
            continue
        return encoding
    raise AssertionError("latin-1 has every byte")


class Lines(NamedTuple):
    """The lines of a text divided into cells, without empty ones, and the number of the line that each begins after."""

    rows: Rows
    before: list[int]

    @property
    def width(self) -> int:
        """The cells that most lines have."""
        return Counter(map(len, self.rows)).most_common(1)[0][0] if self.rows else 0

    @property
    def alike(self) -> float:
        """The share of lines that have as many."""
        return sum(len(row) == self.width for row in self.rows) / max(1, len(self.rows))


def divided(text: str, delimiter: str) -> Lines:
    """The cells of each line."""
    rows: Rows = []
    before: list[int] = []
    if delimiter == WHITESPACE:
        for number, line in enumerate(re.split(r"\r\n|\r|\n", text)):
            if cells := [cell.strip('"') for cell in BLANKS.findall(line)]:
                rows.append(cells)
                before.append(number)
        return Lines(rows, before)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    last = 0
    try:
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                rows.append([cell.strip() for cell in cells])
                before.append(last)
            last = reader.line_num
    except csv.Error:  # such as a cell of a megabyte, which is another format
        pass
    if rows and all(row[-1] == "" for row in rows if len(row) == max(map(len, rows))):  # lines end with a delimiter
        widest = max(map(len, rows))
        rows = [row[:-1] if len(row) == widest else row for row in rows]
    return Lines(rows, before)


def look_at_text(path: Path, answers: Answers) -> dict[str, Any]:
    """Settings of the reader `csv` for a file, without those at their default. What the user has said is not looked for."""
    given = answers.reader
    found: dict[str, Any] = {}
    encoding = given.get("encoding") or encoding_of(path)
    if encoding != "utf-8":
        found["encoding"] = encoding
    with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as file:
        text = file.read(SAMPLE)
    if len(text) == SAMPLE:  # the last line may be cut
        text = text[: max(text.rfind("\n"), text.rfind("\r"), 0)]
    comment = given.get("comment") or next((sign for sign in COMMENTS if text.lstrip().startswith(sign)), "none")
    if comment != "none":
        found["comment"] = comment
        text = "".join(line for line in text.splitlines(keepends=True) if not line.lstrip().startswith(comment))
    delimiter = given.get("delimiter") or delimiter_of(text, path)
    if delimiter != ",":
        found["delimiter"] = delimiter
    lines = divided(text, delimiter)
    skipped = given.get("skip_lines") or _preamble(lines)
    if skipped:
        found["skip_lines"] = skipped
    rows = [row for row, before in zip(*lines, strict=True) if before >= skipped]
    found |= signs(rows[1:] or rows, delimiter)
    found |= _header(rows, {**found, **given}, path, answers)
    return {**found, **given}


def delimiter_of(text: str, path: Path) -> str:
    """What divides the lines into cells, as many in each. Raises UserError if nothing does."""
    found = {delimiter: divided(text, delimiter) for delimiter in DELIMITERS}
    found = {delimiter: lines for delimiter, lines in found.items() if lines.width > 1 and lines.alike >= ALIKE}
    lines = divided(text, WHITESPACE)
    if lines.width > 1 and lines.alike >= ALIKE and (not found or (set(found) == {"\t"} and lines.width > found["\t"].width)):
        return WHITESPACE
    if found:
        return max(found, key=lambda delimiter: found[delimiter].alike)
    if not lines.rows:
        raise UserError(f"{path}: has no rows")
    raise UserError(
        f"{path}: no sign divides its lines into as many cells each; a table has a column to predict and another; "
        "say --reader delimiter=SIGN"
    )


def _preamble(lines: Lines) -> int:
    """Lines before the table, such as its title, which have other numbers of cells."""
    first = next((number for number, row in enumerate(lines.rows) if len(row) == lines.width), 0)
    if first and len(lines.rows[first - 1]) == lines.width - 1 > 1:  # a header that does not name the row names
        first -= 1
    return lines.before[first] if 0 < first <= MOST_PREAMBLE else 0


def signs(rows: Rows, delimiter: str) -> dict[str, str]:
    """The decimal sign and that between thousands, where they are not a point and nothing."""
    cells = [cell for row in rows for cell in row if cell[-1:].isdigit()]
    for sign, name in ((",", ","), (".", "."), ("'", "'"), (" ", "blank")):
        decimal = "," if sign == "." else "."
        grouped = [match for cell in cells if (match := GROUPED.match(cell)) and match[1] == sign]
        sure = any(match[0].count(sign) > 1 or match.string[match.end() :].startswith(decimal) for match in grouped)
        sure |= sign in "' " or sign == delimiter  # which a cell only holds in quotes
        if grouped and sure and delimiter != decimal:
            return {"thousands": name, **({"decimal": ","} if sign == "." else {})}
    points = any("." in cell and NUMBER.fullmatch(cell) for cell in cells)
    commas = delimiter != "," and any(DECIMAL_COMMA.fullmatch(cell) for cell in cells)
    return {"decimal": ","} if commas and not points else {}


def _number(cell: str, options: Mapping[str, Any]) -> bool:
    thousands = {"none": "", "blank": " "}.get(options.get("thousands", "none"), options.get("thousands", ""))
    plain = cell.replace(thousands, "") if thousands else cell
    return NUMBER.fullmatch(plain.replace(options.get("decimal", "."), ".")) is not None


def _header(rows: Rows, options: Mapping[str, Any], path: Path, answers: Answers) -> dict[str, Any]:
    """Whether the first row names the columns, and whether each row has a name of its own before them."""
    if not rows:
        raise UserError(f"{path}: has no rows")
    first, rest = rows[0], rows[1:]
    width = Counter(map(len, rest)).most_common(1)[0][0] if rest else len(first)
    if len(first) == width - 1:
        return {"header": True, "row_names": True}
    named = options["header"] if "header" in options else has_header(first, rest, options)
    if named is None:
        question = f"{path}: does the first row, {', '.join(first[:4])}, name the columns?"
        named = answers.ask(question, ("yes", "no"), "--reader header=true, or header=false") == "yes"
    if not named:
        return {}
    names = [row[0] for row in rest if row]
    own = first[0] == "" and len(set(names)) == len(names)
    return {"header": True, **({"row_names": True} if own else {})}


def has_header(first: Sequence[str], rest: Rows, options: Mapping[str, Any]) -> bool | None:
    """Whether the first row names the columns, by what stands below. None if that does not tell."""
    if not rest:
        return not any(_number(cell, options) for cell in first)
    votes, known, repeated = 0, False, False
    for place, name in enumerate(first):
        cells = [row[place] for row in rest if place < len(row) and row[place] not in MISSING]
        numbers = sum(_number(cell, options) for cell in cells)
        if cells and numbers / len(cells) > ALIKE:
            votes += -1 if _number(name, options) else name not in MISSING
        known |= name in cells
        repeated |= len(set(cells)) * 2 <= len(cells)
    if votes:
        return votes > 0
    if known:
        return False
    return True if repeated else None
