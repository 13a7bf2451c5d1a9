"""The schemas accept what is committed and refuse what the settings refuse; the files in docs/ are not stale."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from helpers.checkout import ROOT
from helpers.study import SMALL, study_with
from stages.lib.data.catalogue import Dataset
from stages.lib.study.settings import Study, merged
from stages.lib.study.strict_yaml import Section, read_yaml
from stages.tools import schema

FILES = [ROOT / "params.yaml", *sorted(ROOT.glob("studies/*/params.yaml")), ROOT / "data" / "datasets.yaml"]
DATASET: dict[str, Any] = {
    "title": "Numbers",
    "task": "classification",
    "reader": {"kind": "csv", "header": True, "target": "y", "features": ["a", 0], "shape": [1, 2]},
    "files": {"all": {"name": "all.csv", "sha256": "0" * 64, "sources": ["https://example.org/all.csv"]}},
    "licence": "CC0",
    "citation": "none",
}


def validator(name: str) -> Draft202012Validator:
    content = json.loads((ROOT / "docs" / name).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(content)
    return Draft202012Validator(content)


@pytest.fixture(scope="module")
def params() -> Draft202012Validator:
    return validator(schema.PARAMS)


@pytest.fixture(scope="module")
def catalogue() -> Draft202012Validator:
    return validator(schema.DATASETS)


@pytest.mark.parametrize("name", [schema.PARAMS, schema.DATASETS, schema.KNOBS])
def test_the_file_is_not_stale(name: str) -> None:
    committed = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert committed == schema.documents()[name], "run `python -m stages.tools schema`"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_committed_file_names_its_schema_and_is_valid(path: Path) -> None:
    name = schema.DATASETS if path.name == "datasets.yaml" else schema.PARAMS
    comment, _, target = path.read_text(encoding="utf-8").split("\n", 1)[0].partition("$schema=")
    assert comment == "# yaml-language-server: "
    assert (path.parent / target).resolve() == (ROOT / "docs" / name).resolve()
    assert [error.message for error in validator(name).iter_errors(read_yaml(path))] == []


def test_the_command_writes_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["schema"])
    schema.main()
    written = {path.relative_to("docs").as_posix(): path.read_text() for path in Path("docs").rglob("*.*")}
    assert written == schema.documents()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"claims": {}},
        {"limits": {"rows": "none", "epochs": 1}},
        {"train": {"learning_rate": "default"}},
        {"model": {"wide_deep": {"wide": "all"}}},
        {"model": {"wide_deep": {"api": "functional", "wide": [0, 3], "deep": [2, 8]}}},
        {"variants": {"plain": {"train": {"early_stopping": {"patience": 1}}, "model": {"wide_deep": {"api": "subclass"}}}}},
        {"variants": {"plain": {"reported": {"test_accuracy": 0.9, "epochs_to_0.97_accuracy": 3}}}},
        {"claims": {"noise_hurts": {"metric": "val_accuracy_after_epoch_12"}}},
        {"notes": ["One.", {"says": "Two.", "about": ["plain", "noise_hurts"]}]},
    ],
)
def test_what_the_settings_accept_is_valid(changes: dict[str, Any], params: Draft202012Validator) -> None:
    study_with(changes)
    assert [error.message for error in params.iter_errors(merged(SMALL, changes))] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"trian": {}},
        {"train": {"batch_sise": 1}},
        {"train": {"batch_size": 0}},
        {"train": {"batch_size": "64"}},
        {"train": {"loss": "cross_entropy"}},
        {"train": {"learning_rate": "fast"}},
        {"train": {"early_stopping": {"patince": 2}}},
        {"model": {"activation": "rellu"}},
        {"model": {"hidden": [16, 0]}},
        {"model": {"wide_deep": {"wide": [1, 2, 3]}}},
        {"views": {"Scaled": {}}},
        {"views": {"scaled": {"scale": "maximum"}}},
        {"limits": {"rows": "few"}},
        {"data": {"split": {"method": "random"}}},
        {"data": {"split": {"rows": [0, 1]}}},
        {"claims": {"noise_hurts": {"metric": "accuracy"}}},
        {"claims": {"noise_hurts": {"metric": "epochs_to_2.0_accuracy"}}},
        {"claims": {"noise_hurts": {"compare": ["plain"]}}},
        {"claims": {"noise_hurts": {"expect": "larger"}}},
        {"variants": {"plain": {"reported": {"accuracy": 0.9}}}},
        {"illustrations": {"sketch": {"says": "It draws."}}},
        {"notes": [1]},
        {"notes": [{"about": ["plain"]}]},
    ],
)
def test_what_the_settings_refuse_is_not_valid(changes: dict[str, Any], params: Draft202012Validator) -> None:
    content = merged(copy.deepcopy(SMALL), changes)
    with pytest.raises(ValidationError):
        Study.model_validate(content)
    assert not params.is_valid(content)


@pytest.mark.parametrize(
    "changes",
    [
        {"train": {"batch_sise": 1}},
        {"train": {"early_stopping": {"patince": 2}}},
        {"model": {"activation": "rellu"}},
        {"model": {"wide_deep": {"apu": "none"}}},
    ],
)
def test_a_variant_s_changes_are_checked_like_the_section_that_they_change(
    changes: dict[str, Any], params: Draft202012Validator
) -> None:
    assert not params.is_valid(merged(SMALL, {"variants": {"plain": changes}}))


def test_a_missing_key_is_not_valid(params: Draft202012Validator) -> None:
    for section in ("title", "data", "train"):
        assert not params.is_valid({key: value for key, value in SMALL.items() if key != section})


def changed(edit: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    entry = copy.deepcopy(DATASET)
    edit(entry)
    return entry


def test_a_data_set_of_one_s_own_is_valid(catalogue: Draft202012Validator) -> None:
    Dataset.model_validate(DATASET)
    assert [error.message for error in catalogue.iter_errors({"mine": DATASET})] == []


@pytest.mark.parametrize(
    "edit",
    [
        lambda entry: entry.update(lisence="CC0"),
        lambda entry: entry.pop("licence"),
        lambda entry: entry.update(task="regresion"),
        lambda entry: entry["reader"].update(kind="tsv"),
        lambda entry: entry["reader"].update(heeder=True),
        lambda entry: entry["reader"].update(dtype="float16"),
        lambda entry: entry["files"]["all"].update(sha256="0"),
        lambda entry: entry["files"]["all"].update(sources=[]),
        lambda entry: entry["files"]["all"].update(sources=["ftp://example.org/all.csv"]),
        lambda entry: entry["files"]["all"].update(name="a/b.csv"),
    ],
)
def test_a_mistake_in_a_data_set_is_not_valid(
    edit: Callable[[dict[str, Any]], object], catalogue: Draft202012Validator
) -> None:
    entry = changed(edit)
    with pytest.raises(ValidationError):
        Dataset.model_validate(entry)
    assert not catalogue.is_valid({"mine": entry})


def test_a_data_set_needs_a_name(catalogue: Draft202012Validator) -> None:
    assert not catalogue.is_valid({"My data": DATASET})


def test_every_key_says_what_it_means_and_forbids_others() -> None:
    for name in (schema.PARAMS, schema.DATASETS):
        content = json.loads(schema.documents()[name])
        definitions = {"the file": content, **content["$defs"]}
        for place, definition in definitions.items():
            assert definition["additionalProperties"] is False, place
            for key, value in definition.get("properties", {}).items():
                assert value.get("description"), f"{place}.{key}: write a string below its field"


def test_every_key_is_on_the_page() -> None:
    page = (ROOT / "docs" / schema.KNOBS).read_text(encoding="utf-8")
    headings = {line.removeprefix("### ").lower() for line in page.splitlines() if line.startswith("### ")}
    assert {"architecture", "traintestsplit", "note", "range", "csv", "file"} <= headings
    for section in Section.__subclasses__():
        if section.__name__.lower() in headings or section in (Study, Dataset):
            for key, field in section.model_fields.items():
                assert f"| `{key}` |" in page
                assert field.description, f"{section.__name__}.{key}"
                assert field.description in page
    assert {part.split(")")[0] for part in page.split("](#")[1:]} <= headings | {"metrics"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"type": "integer", "minimum": 1}, "a whole number ≥ 1"),
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 1}, "a number ≥ 0, < 1"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text"),
        ({"enum": ["none", None]}, "`none`"),
        ({"type": "array", "items": {"type": "integer"}}, "a list of whole numbers"),
        ({"$ref": "#/$defs/TrainChanges"}, "[Train](#train)"),
    ],
)
def test_what_is_allowed_is_said_in_words(content: dict[str, Any], words: str) -> None:
    assert schema.allowed(content) == words
