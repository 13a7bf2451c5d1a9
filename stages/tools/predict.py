"""Predict the rows of a raw table with an export: `python predict.py TABLE [--to FILE] [--export FOLDER]`.

An export of a table holds a copy of this file. It needs NumPy, pandas, and TensorFlow or Keras, but not the project. The table
is one such as the network was trained on: text with delimiters, Parquet or Excel. The target may be left out, and other columns
may be there. Writes a row for each of the table: the prediction, and for classes the output for each of them.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.lib.training import encoding as encodings

ENCODING = "encoding.json"
MODELS = ("saved_model", "model.keras")
"""What an export may hold, in the order of preference."""


class TableError(Exception):
    """A table that the network cannot take. The message says where and why."""


def cells_of(path: Path, how: Mapping[str, Any]) -> pd.DataFrame:
    """The cells of a table as text, numbers or booleans, with its header's names or numbered from 0. Missing ones are NaN."""
    if how["kind"] == "parquet":
        frame = pd.read_parquet(path)
    elif how["kind"] == "excel":
        header = 0 if how["header"] else None
        frame = pd.read_excel(path, sheet_name=how["sheet"], header=header, skiprows=how["skip_lines"], keep_default_na=False)
    else:
        frame = _text_of(path, how)
    if how.get("header", True):
        frame.columns = pd.Index([_as_name(name) for name in frame.columns], dtype=object)
    frame = frame.iloc[: len(frame) - how["leave_out_last"]].reset_index(drop=True)
    stripped: pd.DataFrame = frame.apply(lambda column: column.map(_stripped))
    return stripped


def _text_of(path: Path, how: Mapping[str, Any]) -> pd.DataFrame:
    """A text's cells as text, without blank lines and comments."""
    encoding = "utf-8-sig" if how["encoding"].lower().replace("_", "-") in ("utf-8", "utf8") else how["encoding"]
    text = path.read_text(encoding=encoding)
    lines = text.splitlines(keepends=True)[how["skip_lines"] :]
    if how["comment"] != "none":
        lines = [line for line in lines if not line.lstrip().startswith(how["comment"])]
    quoting: dict[str, Any] = {"quoting": 3} if how["quote"] == "none" else {"quotechar": how["quote"]}
    separator = r"\s+" if how["delimiter"] == "whitespace" else how["delimiter"]
    read = {"sep": separator, "header": None, "dtype": str, "keep_default_na": False, "skipinitialspace": True, **quoting}
    header = pd.read_csv(StringIO("".join(lines)), nrows=1, **read).iloc[0].str.strip().tolist() if how["header"] else []
    width = pd.read_csv(StringIO("".join(lines)), nrows=1, skiprows=bool(header) * 1, **read).shape[1] if header else None
    names = range(max(width or 0, len(header))) if header else None
    frame = pd.read_csv(StringIO("".join(lines)), names=names, **read)
    if header:
        frame = frame.iloc[1:]
    if how["row_names"]:
        frame = frame.iloc[:, 1:]
        header = header[1:] if header and len(header) > frame.shape[1] else header
    if header:
        frame = frame.iloc[:, : len(header)]
        frame.columns = pd.Index(header, dtype=object)
    else:
        frame.columns = pd.RangeIndex(frame.shape[1])
    rows: pd.DataFrame = frame[(frame.fillna("") != "").any(axis=1)]
    return rows


def _as_name(cell: object) -> str:
    return re.sub(r"\s*[\r\n]\s*", " ", re.sub(r"^Unnamed: \d+$", "", str(cell).strip()))


def _stripped(cell: object) -> object:
    return cell.strip() if isinstance(cell, str) else cell


def _as_text(cell: object) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def numbers_of(column: pd.Series[Any], how: Mapping[str, Any], kind: str) -> pd.Series[Any]:
    """A column of numbers, true and false, or dates, as numbers. Raises TableError for the first cell that is none."""
    if kind == "date":
        text = column.map(str, na_action="ignore")
        days = pd.to_datetime(text, format=how["date_format"] or "ISO8601", errors="coerce", utc=True).dt.tz_localize(None)
        found = pd.Series((days.to_numpy("datetime64[ns]") - np.datetime64(0, "D")) / np.timedelta64(1, "D"), column.index)
    else:
        found = pd.to_numeric(column.map(lambda cell: _plain(cell, how), na_action="ignore").astype(object), errors="coerce")
    found = found.mask(np.isinf(found.astype(float)))
    if (wrong := found.isna() & column.notna()).any():
        row = int(np.flatnonzero(wrong)[0])
        raise TableError(f"row {row + 1}, column {column.name!r}: {str(column.iloc[row])!r} is no {kind}")
    return found


def _plain(cell: Any, how: Mapping[str, Any]) -> object:
    """A cell as Python writes numbers; true and false are 1 and 0."""
    if isinstance(cell, bool | np.bool_):
        return float(cell)
    if not isinstance(cell, str):
        return cell
    if cell.lower() in ("true", "false"):
        return float(cell.lower() == "true")
    decimal, thousands = how.get("decimal", "."), how.get("thousands", "none")
    mark = " " if thousands == "blank" else thousands
    if thousands != "none" and re.fullmatch(rf"[+-]?\d{{1,3}}({re.escape(mark)}\d{{3}})+({re.escape(decimal)}\d*)?", cell):
        cell = cell.replace(mark, "")
    return cell if decimal == "." else cell.replace(".", "no").replace(decimal, ".")


def rows_of(path: Path, facts: Mapping[str, Any]) -> np.ndarray:
    """The raw rows of a table, (n, inputs), as the network's data had them: NaN is missing, a category is its position.

    A category that the data never had is a position behind the last.
    """
    how = facts["reader"]
    cells = cells_of(path, how)
    target = how["target"]
    if how["columns"]:
        names = list(how["columns"])
        if len(names) == cells.shape[1] + 1:
            names.remove(target if isinstance(target, str) else names[target])
        if len(names) != cells.shape[1]:
            raise TableError(f"has {cells.shape[1]} columns; they should be {', '.join(names)}")
        cells.columns = pd.Index(names, dtype=object)
    elif not facts["names"] and cells.shape[1] == facts["width"] - 1:  # without a header and a target
        cells.columns = pd.Index([place for place in range(facts["width"]) if place != target % facts["width"]])

    def column(place: Any) -> pd.Series[Any]:
        if place not in cells.columns:
            known = ", ".join(map(str, cells.columns))
            raise TableError(f"has no column {place!r}; it has: {known}")
        chosen: pd.Series[Any] = cells[place]
        return chosen

    return np.column_stack([_input(column, each, how) for each in facts["inputs"]]).astype(facts["dtype"])


def _input(column: Any, each: Mapping[str, Any], how: Mapping[str, Any]) -> np.ndarray:
    """The values of one input, (n,)."""
    if each["ratio"]:
        above, below = (numbers_of(_present(column(place), how), how, "number").to_numpy(float) for place in each["ratio"])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(above / below)
    cells = _present(column(each["place"]), how, each["values"])
    if each["kind"] == "category":
        places = {value: place for place, value in enumerate(each["values"])}
        found = cells.map(_as_text, na_action="ignore").map(lambda cell: places.get(cell, len(places)), na_action="ignore")
        return found.to_numpy(float)
    return numbers_of(cells, how, each["kind"]).to_numpy(float)


def _present(cells: pd.Series[Any], how: Mapping[str, Any], values: Any = ()) -> pd.Series[Any]:
    """The cells, with NaN for those that mean nothing."""
    absent = [token for token in how["missing"] if token not in values]
    numbers = [float(token) for token in absent if re.fullmatch(r"[+-]?\d+(\.\d+)?", token)]
    gone = cells.isna() | cells.map(lambda cell: (cell in absent) if isinstance(cell, str) else (cell in numbers))
    if numbers and not values:
        gone |= pd.to_numeric(cells.map(lambda cell: _plain(cell, how), na_action="ignore"), errors="coerce").isin(numbers)
    return cells.astype(object).mask(gone, np.nan)


def inputs_of(rows: np.ndarray, facts: Mapping[str, Any]) -> np.ndarray:
    """What the exported network takes for raw rows, (n, ...) float32.

    Raises TableError for a value that must not be missing, and for one that has no place in an order.
    """
    encoding = facts["encoding"]
    fills = encoding["fills"] if encoding else [None] * rows.shape[1]
    ordinal = encoding["ordinal"] if encoding else []
    for number, each in enumerate(facts["inputs"]):
        missing = np.isnan(rows[:, number]) if rows.dtype.kind == "f" else np.zeros(len(rows), bool)
        if missing.any() and fills[number] is None and each["kind"] != "category":
            raise TableError(f"row {np.flatnonzero(missing)[0] + 1}: {each['name']} is missing; the network needs it")
        if number in ordinal and (odd := rows[:, number] == len(each["values"])).any():
            raise TableError(f"row {np.flatnonzero(odd)[0] + 1}: {each['name']} must be one of {', '.join(each['values'])}")
    if not encoding:
        return rows.reshape(-1, *facts["shape"]).astype(np.float32)
    shift, factor = np.asarray(facts["shift"], np.float32), np.asarray(facts["factor"], np.float32)
    numbers = (encodings.numbers(encoding, rows) - shift) * factor
    return np.concatenate([numbers, encodings.others(encoding, rows)], axis=1)


def outputs_of(folder: Path, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Name of an output, or "" for the only one -> the network's answers, (n, outputs)."""
    present = next((name for name in MODELS if (folder / name).exists()), None)
    if present is None:
        raise TableError(f"{folder} holds neither of {', '.join(MODELS)}")
    answers: Any
    if present == "saved_model":
        import tensorflow as tf

        model = tf.saved_model.load(str(folder / present))  # its variables live no longer than it
        answers = model.serve(inputs)
    else:
        import keras

        answers = keras.saving.load_model(folder / present).predict(inputs, verbose=0)
    several = answers if isinstance(answers, Mapping) else {"": answers}
    return {name: np.asarray(answer) for name, answer in several.items()}


def predict(table: Path, folder: Path) -> pd.DataFrame:
    """The prediction for each row of a table. Raises TableError for one that the export in `folder` cannot take."""
    facts = json.loads((folder / ENCODING).read_text(encoding="utf-8"))
    outputs = outputs_of(folder, inputs_of(rows_of(table, facts), facts))
    found = {}
    for name, answer in outputs.items():
        ending = f" ({name})" if name else ""
        if facts["class_names"]:
            found[f"prediction{ending}"] = np.array(facts["class_names"])[answer.argmax(axis=1)]
            found |= {f"{label}{ending}": answer[:, number] for number, label in enumerate(facts["class_names"])}
        else:
            found[f"prediction{ending}"] = answer[:, 0]
    return pd.DataFrame(found)


def main() -> None:
    spec = sys.modules["__main__"].__spec__  # there is none where this file is a copy
    parser = argparse.ArgumentParser(
        prog=f"python -m {spec.name.replace('.tools.', '.tools ')}" if spec else None,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", metavar="TABLE", type=Path, help="the table to predict")
    parser.add_argument("--to", metavar="FILE", type=Path, help="a CSV file to write (default: standard output)")
    own = Path(__file__).resolve().parent
    parser.add_argument("--export", metavar="FOLDER", type=Path, default=own, help="the export (default: this file's folder)")
    options = parser.parse_args()
    try:
        found = predict(options.table, options.export)
    except (TableError, OSError, UnicodeError, ValueError) as error:
        sys.exit(f"predict: {options.table}: {' '.join(str(error).split())}")
    found.to_csv(options.to or sys.stdout, index=False)


if __name__ == "__main__":
    main()
