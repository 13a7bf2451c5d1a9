"""Readers of tables: text with delimiters, Parquet and Excel. A column is a number, a boolean, a date or a category."""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import field_validator, model_validator

from stages.lib.cli import SettingError, UserError
from stages.lib.data.readers import columns as cells_of
from stages.lib.data.readers.table import Place, Table
from stages.lib.data.readers.text import WHITESPACE, Format, check_encoding, read_cells
from stages.lib.study.strict_yaml import matching
from stages.lib.study.values import Whole

Sign = Annotated[str, matching(r"[^\w\s]|none", "one sign that is no letter, digit or blank, or none")]


class Csv(Table):
    """Text with delimiters, one row a line. Each part has a file."""

    kind: Literal["csv"]
    """This reader. Files: all; or train and test."""
    header: bool = False
    """Whether the first row names the columns."""
    delimiter: Annotated[str, matching(rf"[^\w\n\r.\"]|{WHITESPACE}", "one sign between cells, or whitespace")] = ","
    """What is between cells. `whitespace` is any number of blanks and tabs."""
    decimal: Literal[".", ","] = "."
    """The decimal sign."""
    thousands: Literal["none", ".", ",", "blank", "'"] = "none"
    """What is between thousands, if anything is."""
    encoding: str = "utf-8"
    """How text is written in bytes: utf-8, utf-16, latin-1, cp1252 or another that Python knows."""
    quote: Sign = '"'
    """What stands around a cell that holds a delimiter."""
    comment: Sign = "none"
    """Lines that begin with it are left out."""
    skip_lines: Whole = 0
    """Lines at the beginning that are no rows and no header."""
    row_names: bool = False
    """Whether each row begins with a name or a number of its own, which is left out."""

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str) -> str:
        check_encoding(name)
        return name

    @model_validator(mode="after")
    def _signs_differ(self) -> Csv:
        thousands = " " if self.thousands == "blank" else self.thousands
        quoted = self.quote != "none"  # which may hold a delimiter, as "1,234" does
        if self.delimiter == self.decimal or thousands == self.decimal or (thousands == self.delimiter and not quoted):
            key = "delimiter" if self.delimiter == self.decimal else "thousands"
            raise SettingError(f"{getattr(self, key)!r} has another meaning here already", key)
        return self

    @property
    def has_header(self) -> bool:
        return self.header

    def _cells(self, path: Path, as_text: Collection[Place]) -> pd.DataFrame:
        how = Format(**{name: getattr(self, name) for name in Format._fields})
        return read_cells(path, how, as_text, self.thousands != "none")

    def _parsed(self, cells: pd.Series[Any]) -> pd.Series[Any]:
        return cells_of.numbers(cells, self.decimal, " " if self.thousands == "blank" else self.thousands)


class Parquet(Table):
    """A Parquet file, which names its columns. It needs pyarrow. Each part has a file."""

    kind: Literal["parquet"]
    """This reader. Files: all; or train and test."""

    def _cells(self, path: Path, as_text: Collection[Place]) -> pd.DataFrame:  # noqa: ARG002
        with _read_by("pyarrow", "Parquet", path):
            return pd.read_parquet(path, engine="pyarrow")


class Excel(Table):
    """A sheet of an Excel file (.xlsx). It needs openpyxl. Each part has a file."""

    kind: Literal["excel"]
    """This reader. Files: all; or train and test."""
    header: bool = True
    """Whether the first row names the columns."""
    sheet: int | str = 0
    """The sheet, by its name, or by its position from 0."""
    skip_lines: Whole = 0
    """Rows at the beginning that are no rows of the table and no header."""

    @property
    def has_header(self) -> bool:
        return self.header

    def _cells(self, path: Path, as_text: Collection[Place]) -> pd.DataFrame:  # noqa: ARG002
        with _read_by("openpyxl", "Excel", path):
            header = 0 if self.header else None
            return pd.read_excel(
                path, sheet_name=self.sheet, header=header, skiprows=self.skip_lines, keep_default_na=False, engine="openpyxl"
            )


@contextmanager
def _read_by(library: str, format_name: str, path: Path) -> Iterator[None]:
    """Raises UserError if the library is not installed, or if it cannot read the file."""
    if importlib.util.find_spec(library) is None:
        raise UserError(f"{path}: {format_name} files need {library}, which is not installed: pip install {library}")
    try:
        yield
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, ImportError) as error:
        raise UserError(f"{path}: not a table in an {format_name} file: {shorten(' '.join(str(error).split()), 150)}") from None
