"""An exported table predicts raw rows in a process without this project, and reads them as the reader does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.checkout import environment_of
from helpers.datasets import dataset, read
from helpers.study import write_params
from helpers.tables import FORMATS, X
from stages.lib.cli import UserError
from stages.lib.data.parts import read_parts
from stages.lib.data.prepared import write_prepared
from stages.lib.data.splits import prepare
from stages.lib.files import write_bytes
from stages.lib.study.load import load_study
from stages.lib.training import replicate, views
from stages.tools import export, predict

TABLE = "\n".join(
    ["name;sex;age;size;alone;label"]
    + [
        f"p{number};{'mf'[number % 2]};{'?' if number % 7 == 0 else f'{number},5'};{('small', 'large', '')[number % 3]};"
        f"{'true' if number % 5 else 'false'};{('saved', 'lost')[number % 2]}"
        for number in range(60)
    ]
)
READER: dict[str, Any] = {
    "kind": "csv",
    "header": True,
    "delimiter": ";",
    "decimal": ",",
    "leave_out": ["name"],
    "categories": {"sex": None, "size": ["small", "large"]},
}
STUDY: dict[str, Any] = {
    "data": {"dataset": "people", "split": {"train": 36, "validation": 12, "test": 12}},
    "views": {
        "scaled": {
            "scale": "standard",
            "per": "feature",
            "missing": "median",
            "missing_indicator": True,
            "crosses": [["sex", "size"], ["sex", "alone"]],
        },
        "noisy": {"test_noise": 0.0, "missing": "median"},
    },
    "variants": {
        "wide": {
            "tip": "Crosses.",
            "extends": "plain",
            "model": {"wide_deep": {"api": "subclass", "wide": "crosses", "deep": "columns"}},
        }
    },
}
NEW = (
    "size;age;sex;alone;note\n"
    "large;3,5;f;TRUE;well\n"
    "huge;?;x;false;never seen\n"
    ";?;?;?;of almost nothing\n"
    "small;-1;m;true;all known\n"
)


def made(folder: Path, text: str, reader: dict[str, Any], changes: dict[str, Any], variants: list[str], **entry: Any) -> None:
    """A trained study of a table in `folder`/study, whose catalogue is in `folder`/data."""
    raw = folder / "study" / "data" / "raw"
    raw.mkdir(parents=True)
    people = dataset(raw, reader, {"all": text.encode()}, **entry)
    (folder / "data").mkdir()
    (folder / "data" / "datasets.yaml").write_text(
        json.dumps({"people": people.model_dump(mode="json", exclude_defaults=True)})
    )
    write_params(folder / "study", json.loads(json.dumps(changes)))
    study = load_study(folder / "study")
    prepared = prepare(study, people, read_parts(people, raw))
    write_prepared(prepared, folder / "study" / "data" / "prepared")
    labels = np.int32 if people.task == "classification" else np.float32
    for variant in variants:
        recipe, view = study.recipes[variant], prepared.views[study.view_of(variant)]
        inputs = {name: (x, y.astype(labels)) for name, (x, y) in views.inputs_of(recipe, view, prepared.splits, 0).items()}
        result = replicate.train_replicate(views.resolved(recipe, view), 0, inputs, prepared.outputs, prepared.task)
        for name, content in result.files.items():
            write_bytes(folder / "study" / "data" / "runs" / variant / "0" / name, content)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout's folder with a trained study of people, and two exports of it."""
    folder = tmp_path_factory.mktemp("people")
    made(folder, TABLE, READER, STUDY, ["plain", "wide"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        export.export(Path("study"), "plain", 0, ["keras"], folder / "plain")
        export.export(Path("study"), "wide", 0, ["saved_model"], folder / "wide")
    return folder


def predicted(export_folder: Path, text: str, *options: str) -> pd.DataFrame:
    """What the export says of a table, in a new process that cannot see this project."""
    (export_folder / "new.csv").write_text(text)
    command = [sys.executable, "predict.py", "new.csv", "--to", "found.csv", *options]
    environment = environment_of(export_folder)
    done = subprocess.run(command, cwd=export_folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return pd.read_csv(export_folder / "found.csv")


@pytest.mark.parametrize("variant", ["plain", "wide"])
def test_a_new_process_predicts_raw_rows_as_the_replicate_did(people: Path, variant: str) -> None:
    """All rows of the table, of which the test rows are compared with what the replicate predicted when it was trained."""
    found = predicted(people / variant, TABLE)
    with np.load(people / "study" / "data" / "prepared" / "test.npz") as archive:
        test = archive["x"]
    with np.load(people / "study" / "data" / "runs" / variant / "0" / "predictions.npz") as archive:
        expected = archive["test"]
    facts = json.loads((people / variant / "encoding.json").read_text())
    rows = predict.rows_of(people / variant / "new.csv", facts)
    places = [int(np.flatnonzero([np.array_equal(row, other, equal_nan=True) for other in rows])[0]) for row in test]
    answers = found[["lost", "saved"]].to_numpy()
    np.testing.assert_allclose(answers[places], expected, atol=1e-5)
    assert found["prediction"].tolist() == [("lost", "saved")[label] for label in answers.argmax(axis=1)]


def test_new_rows_may_lack_the_target_and_hold_what_was_never_seen(people: Path) -> None:
    """The columns stand in another order. A sex that the data never had is no sex: all its columns are zero."""
    (people / "plain" / "other.csv").write_text(NEW)
    facts = json.loads((people / "plain" / "encoding.json").read_text())
    rows = predict.rows_of(people / "plain" / "other.csv", facts)
    np.testing.assert_array_equal(rows, [[0, 3.5, 1, 1], [2, np.nan, 2, 0], [np.nan, np.nan, np.nan, np.nan], [1, -1, 0, 1]])
    inputs = predict.inputs_of(rows, facts)
    names = json.loads((people / "plain" / "export.json").read_text())["input"]["encoded"]
    by_name = {name: inputs[:, number].tolist() for number, name in enumerate(names)}
    assert by_name["sex f"] == [1, 0, 0, 0]
    assert by_name["sex m"] == [0, 0, 0, 1]
    assert by_name["age missing"] == [0, 1, 1, 0]
    assert by_name["sex f x size large"] == [1, 0, 0, 0]
    assert sum(by_name[name][1] for name in names if " x " in name) == 0
    assert len(predicted(people / "plain", NEW)) == 4


def test_the_export_lists_the_columns(people: Path) -> None:
    facts = json.loads((people / "wide" / "export.json").read_text())
    assert [feature["name"] for feature in facts["input"]["features"]] == ["sex", "age", "size", "alone"]
    assert facts["input"]["features"][2]["values"] == ["small", "large"]
    assert sorted(path.name for path in (people / "wide").iterdir() if path.suffix in (".py", ".json")) == [
        "encoding.json",
        "encoding.py",
        "export.json",
        "predict.py",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (NEW.replace("age", "years"), "has no column 'age'; it has: size, years, sex, alone, note"),
        (NEW.replace("3,5", "old"), "row 1, column 'age': 'old' is no number"),
        (NEW.replace("3,5", "3.5"), "row 1, column 'age': '3.5' is no number"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(people: Path, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "new.csv").write_text(text)
    with pytest.raises(predict.TableError) as caught:
        predict.predict(tmp_path / "new.csv", people / "plain")
    assert str(caught.value) == said


def test_raw_files_that_are_gone_are_refused(people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(people)
    raw = people / "study" / "data" / "raw" / "all"
    content = raw.read_bytes()
    raw.unlink()
    with pytest.raises(UserError, match=r"study/data/raw/all: missing; run the fetch stage"):
        export.export(Path("study"), "plain", 0, ["keras"], tmp_path)
    raw.write_bytes(content)


def test_numbers_without_names_predict_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A regression without a header, a missing value or a category: the scaling is in the network, as before."""
    text = "".join(f"{number},{number * 3 % 7},{number / 4}\n" for number in range(1, 41))
    changes = {
        "data": {"dataset": "people", "split": {"method": "rows"}},
        "model": {"output_activation": "linear"},
        "train": {"loss": "mse"},
        "claims": {"noise_hurts": {"metric": "test_loss"}},
    }
    ranges = {
        name: {"part": "all", "rows": rows} for name, rows in (("train", [0, 24]), ("validation", [24, 32]), ("test", [32, 40]))
    }
    split = {"method": "rows", **ranges}
    reader = {"kind": "csv", "ratios": {"r": [0, 1]}, "features": [1, "r"], "missing": ["none"]}
    monkeypatch.setattr("helpers.study.SMALL", small_with(split))
    text = text.replace(",0,", ",5,")
    made(tmp_path, text, reader, changes | {"data": {"dataset": "people"}}, ["plain"], task="regression")
    monkeypatch.chdir(tmp_path)
    export.export(Path("study"), "plain", 0, ["keras"], tmp_path / "out")
    facts = json.loads((tmp_path / "out" / "encoding.json").read_text())
    assert [(each["name"], each["place"], each["ratio"]) for each in facts["inputs"]] == [
        ("column_2", 1, None),
        ("r", "r", [0, 1]),
    ]
    named = json.loads((tmp_path / "out" / "export.json").read_text())["input"]["features"]
    assert [feature["name"] for feature in named] == ["column_2", "r"]
    with np.load(tmp_path / "study" / "data" / "runs" / "plain" / "0" / "predictions.npz") as archive:
        expected = archive["test"][:, 0]
    (tmp_path / "new.csv").write_text("".join(line.rpartition(",")[0] + "\n" for line in text.splitlines()[32:]))
    found = predict.predict(tmp_path / "new.csv", tmp_path / "out")
    np.testing.assert_allclose(found["prediction"], expected, rtol=1e-4)
    (tmp_path / "new.csv").write_text("1,none\n")
    with pytest.raises(predict.TableError, match="row 1: column_2 is missing; the network needs it"):
        predict.predict(tmp_path / "new.csv", tmp_path / "out")


def small_with(split: dict[str, Any]) -> dict[str, Any]:
    from helpers.study import SMALL

    return {**SMALL, "data": {"dataset": "people", "split": split}}


@pytest.mark.parametrize("name", FORMATS)
def test_it_reads_the_same_rows_in_many_forms(tmp_path: Path, name: str) -> None:
    content, options = FORMATS[name]
    content = content if isinstance(content, bytes) else content.encode()
    reader = {"kind": "csv", "header": True, **options}
    read(tmp_path, reader, {"all": content})
    table = dataset(tmp_path, reader, {"all": content}).reader
    assert isinstance(table, export.Table)
    path = tmp_path / "all"
    names = list(table.frame(path).columns)
    inputs: list[dict[str, Any]] = [
        {"name": str(place), "kind": "number", "values": [], "place": place, "ratio": None} for place in table.places(path)
    ]
    facts = {"names": names if table.has_header else [], "width": len(names), "inputs": inputs, "dtype": "float32"}
    how = {**table.model_dump(mode="json"), "missing": [str(token) for token in table.missing]}
    assert predict.rows_of(path, {**facts, "reader": how}).tolist() == X
