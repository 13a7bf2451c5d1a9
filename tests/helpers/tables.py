"""The same rows of a table in many forms."""

from __future__ import annotations

from typing import Any

ROWS = "a,b,label\n0.5,0.25,0\n1.5,1.25,1\n2.5,2.25,2\n"
X = [[0.5, 0.25], [1.5, 1.25], [2.5, 2.25]]


FORMATS: dict[str, tuple[str | bytes, dict[str, Any]]] = {
    "plain": (ROWS, {}),
    "byte order mark": ("\ufeff" + ROWS, {}),
    "byte order mark, quoted": ("\ufeff" + ROWS.replace("a,b,label", '"a","b","label"'), {}),
    "byte order mark, no header": ("\ufeff" + ROWS.partition("\n")[2], {"header": False}),
    "a line end in a name": (ROWS.replace("a,b", 'a,"b\n(m)"'), {}),
    "carriage returns": (ROWS.replace("\n", "\r"), {}),
    "Windows": (ROWS.replace("\n", "\r\n"), {}),
    "no line end": (ROWS.rstrip("\n"), {}),
    "semicolons": (ROWS.replace(",", ";"), {"delimiter": ";"}),
    "semicolons, no header": (ROWS.replace(",", ";").partition("\n")[2], {"delimiter": ";", "header": False}),
    "tabs": (ROWS.replace(",", "\t"), {"delimiter": "\t"}),
    "bars": (ROWS.replace(",", "|"), {"delimiter": "|"}),
    "blanks": (ROWS.replace(",", "   "), {"delimiter": "whitespace"}),
    "blanks at both ends": (ROWS.replace(",", "  ").replace("\n", " \n "), {"delimiter": "whitespace"}),
    "tabs and blanks": (ROWS.replace(",", " \t"), {"delimiter": "whitespace"}),
    "decimal commas": (ROWS.replace(",", ";").replace(".", ","), {"delimiter": ";", "decimal": ","}),
    "blanks around cells": (ROWS.replace(",", ", "), {}),
    "blanks before delimiters": (ROWS.replace(",", " , "), {}),
    "quoted after blanks": (ROWS.replace("0.25", '"0.25"').replace(",", ", "), {}),
    "other quotes": (ROWS.replace("0.25", "'0.25'"), {"quote": "'"}),
    "a line end in quotes": (ROWS.replace("0.25", '"0.25\n"'), {}),
    "utf-16": (ROWS.encode("utf-16"), {"encoding": "utf-16"}),
    "latin-1": (ROWS.replace("a,", "Größe,").encode("latin-1"), {"encoding": "latin-1"}),
    "cp1252": (ROWS.replace("a,", "€,").encode("cp1252"), {"encoding": "cp1252"}),
    "comments": ("# measured by me\n" + ROWS + "# the end\n", {"comment": "#"}),
    "comments between": (ROWS.replace("1.5", "  # no row\n1.5"), {"comment": "#"}),
    "lines before the header": ("Results of 2024;;\n\n" + ROWS, {"skip_lines": 2}),
    "blank lines": (ROWS.replace("\n", "\n\n"), {}),
    "lines of blanks": (ROWS.replace("\n", "\n  \n"), {}),
    "empty rows of a spreadsheet": (ROWS.replace("a,b", "a,b") + ",,\n,,\n", {}),
    "delimiters at the end": (
        ROWS.replace("label\n", "label\n").replace("0\n", "0,\n").replace("1\n", "1,\n").replace("2\n", "2,\n"),
        {},
    ),
    "an index with an empty name": (
        ",a,b,label\n0,0.5,0.25,0\n1,1.5,1.25,1\n2,2.5,2.25,2\n",
        {"leave_out": [0]},
    ),
    "row names with an empty name": (",a,b,label\nx,0.5,0.25,0\ny,1.5,1.25,1\nz,2.5,2.25,2\n", {"row_names": True}),
    "row names that the header leaves out": ("a,b,label\n0,0.5,0.25,0\n1,1.5,1.25,1\n2,2.5,2.25,2\n", {"row_names": True}),
    "row names without a header": ("x,0.5,0.25,0\ny,1.5,1.25,1\nz,2.5,2.25,2\n", {"row_names": True, "header": False}),
    "totals": (ROWS + "Total,,\n", {"leave_out_last": 1}),
    "a column to leave out": (
        "a,note,b,label\n0.5,well,0.25,0\n1.5,,1.25,1\n2.5,?,2.25,2\n",
        {"leave_out": ["note"]},
    ),
}
