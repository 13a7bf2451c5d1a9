"""Splits that are disjoint, in proportion and decided by the seed; and what the stage writes."""

from __future__ import annotations

import json
import re
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from helpers.study import REGRESSION, blobs, study_with, write_params
from stages import prepare
from stages.lib.cli import UserError
from stages.lib.data import splits as row_splits
from stages.lib.data.catalogue import Dataset
from stages.lib.data.prepared import Prepared, read_prepared, write_prepared
from stages.lib.study.rows import RowsSplit, StratifiedSplit, TrainTestSplit, View
from stages.lib.training.views import apply, fit

Parts = dict[str, tuple[np.ndarray, np.ndarray]]


def stratified(train: int, validation: int, test: int, seed: int = 0) -> StratifiedSplit:
    return StratifiedSplit(method="stratified", train=train, validation=validation, test=test, seed=seed)


def rows_split(train: tuple[str, int, int], validation: tuple[str, int, int] | None, test: tuple[str, int, int]) -> RowsSplit:
    def given_rows(part: str, first: int, stop: int) -> dict[str, Any]:
        return {"part": part, "rows": [first, stop]}

    return RowsSplit.model_validate(
        {
            "method": "rows",
            "train": given_rows(*train),
            "validation": given_rows(*validation) if validation else "none",
            "test": given_rows(*test),
        }
    )


def numbered(classes: list[int]) -> Parts:
    """So many rows of each class, x being the row's number."""
    labels = np.repeat(np.arange(len(classes)), classes)
    return {"all": (np.arange(len(labels))[:, None], labels)}


def dataset_of(task: str = "classification", **changes: Any) -> Dataset:
    return Dataset.model_validate(
        {
            "title": "Blobs",
            "task": task,
            "reader": {"kind": "csv"},
            "files": {"all": {"name": "blobs.csv", "sha256": "0" * 64, "sources": ["https://example.org/blobs.csv"]}},
            "licence": "none",
            "citation": "the tests",
            **changes,
        }
    )


# Stratified


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    classes=st.lists(st.integers(20, 40), min_size=1, max_size=6),
    shares=st.tuples(st.integers(1, 10), st.integers(0, 5), st.integers(1, 5)),
    seed=st.integers(0, 2**32 - 1),
)
def test_splits_are_disjoint_have_their_sizes_and_hold_the_classes_in_proportion(
    classes: list[int], shares: tuple[int, int, int], seed: int
) -> None:
    sizes = dict(zip(("train", "validation", "test"), shares, strict=True))
    splits = row_splits.stratified(numbered(classes), stratified(*shares, seed))
    assert {name: len(y) for name, (_, y) in splits.items()} == {name: size for name, size in sizes.items() if size}
    chosen = np.concatenate([x[:, 0] for x, _ in splits.values()])
    assert len(set(chosen.tolist())) == len(chosen)
    labels = numbered(classes)["all"][1]
    for x, y in splits.values():
        np.testing.assert_array_equal(y, labels[x[:, 0]])
        share = len(y) / len(labels)
        assert np.abs(np.bincount(y, minlength=len(classes)) - np.array(classes) * share).max() < 2


def test_equal_classes_and_even_sizes_are_split_exactly() -> None:
    """As the starter's: 3,500, 500 and 1,000 of 5,000 digits, 500 of each."""
    splits = row_splits.stratified(numbered([500] * 10), stratified(3500, 500, 1000))
    for name, each in (("train", 350), ("validation", 50), ("test", 100)):
        assert np.bincount(splits[name][1]).tolist() == [each] * 10


def test_equal_classes_differ_by_one_row_at_most_whatever_the_sizes() -> None:
    for seed in range(20):
        for _, y in row_splits.stratified(numbered([50] * 10), stratified(123, 45, 67, seed)).values():
            assert np.abs(np.bincount(y, minlength=10) - len(y) / 10).max() < 1


def test_a_rare_class_is_in_every_split() -> None:
    for seed in range(20):
        splits = row_splits.stratified(numbered([400, 20]), stratified(210, 105, 105, seed))
        assert [np.bincount(y).tolist() for _, y in splits.values()] == [[200, 10], [100, 5], [100, 5]]


def test_the_seed_decides_which_rows() -> None:
    def rows(seed: int) -> list[int]:
        x, _ = row_splits.stratified(numbered([50, 50]), stratified(20, 0, 20, seed))["train"]
        return [int(number) for number in x[:, 0]]

    assert rows(3) == rows(3)
    assert rows(3) != rows(4)
    assert rows(3) != sorted(rows(3))


def test_rows_are_drawn_from_all_parts_together() -> None:
    parts = {"train": (np.arange(10)[:, None], np.zeros(10, int)), "test": (np.arange(10, 20)[:, None], np.ones(10, int))}
    splits = row_splits.stratified(parts, stratified(10, 0, 10))
    assert [np.bincount(y).tolist() for _, y in splits.values()] == [[5, 5], [5, 5]]


def test_all_rows_can_be_used_but_no_more() -> None:
    splits = row_splits.stratified(numbered([6, 4]), stratified(5, 2, 3))
    assert sorted(np.concatenate([x[:, 0] for x, _ in splits.values()]).tolist()) == list(range(10))
    with pytest.raises(UserError) as caught:
        row_splits.stratified(numbered([6, 4]), stratified(5, 2, 4))
    assert str(caught.value) == ("data.split: train, validation and test add up to 11 rows; the data set has 10")


# scikit-learn's


def train_test(test: float, validation: float, seeds: tuple[int, int] = (7, 11)) -> TrainTestSplit:
    return TrainTestSplit(
        method="train_test_split", test=test, test_seed=seeds[0], validation=validation, validation_seed=seeds[1]
    )


def test_train_test_split_is_scikit_learn_s_twice() -> None:
    x, y = np.arange(40.0).reshape(20, 2), np.arange(20) / 2
    rest_x, test_x, rest_y, test_y = train_test_split(x, y, random_state=7)
    train_x, validation_x, train_y, validation_y = train_test_split(rest_x, rest_y, random_state=11)
    splits = row_splits.train_test({"train": (x[:9], y[:9]), "test": (x[9:], y[9:])}, train_test(0.25, 0.25))
    expected = {"train": (train_x, train_y), "validation": (validation_x, validation_y), "test": (test_x, test_y)}
    assert list(splits) == list(expected)
    for name, arrays in expected.items():
        for found, wanted in zip(splits[name], arrays, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_the_housing_rows_are_split_as_the_tutorial_does() -> None:
    splits = row_splits.train_test(numbered([20640]), train_test(0.25, 0.25))
    assert {name: len(y) for name, (_, y) in splits.items()} == {"train": 11610, "validation": 3870, "test": 5160}


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    rows=st.integers(3, 60),
    shares=st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)),
    seeds=st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
)
def test_train_test_split_uses_each_row_once_or_says_that_there_are_too_few(
    rows: int, shares: tuple[float, float], seeds: tuple[int, int]
) -> None:
    try:
        splits = row_splits.train_test(numbered([rows]), train_test(*shares, seeds))
    except UserError:
        event("too few")
        return
    assert all(len(y) for _, y in splits.values())
    assert sorted(np.concatenate([x[:, 0] for x, _ in splits.values()]).tolist()) == list(range(rows))


def test_two_rows_are_too_few() -> None:
    with pytest.raises(UserError) as caught:
        row_splits.train_test(numbered([2]), train_test(0.25, 0.25))
    assert str(caught.value) == "data.split: 2 rows are too few to train, validate and test on"


# As given


def test_rows_are_taken_as_given_and_in_their_order() -> None:
    parts = {"train": (np.arange(9, -1, -1)[:, None], np.arange(10)), "test": (np.arange(100, 104)[:, None], np.arange(4))}
    splits = row_splits.as_given(parts, rows_split(("train", 0, 6), ("train", 7, 10), ("test", 1, 3)))
    assert {name: x[:, 0].tolist() for name, (x, _) in splits.items()} == {
        "train": [9, 8, 7, 6, 5, 4],
        "validation": [2, 1, 0],
        "test": [101, 102],
    }
    assert {name: y.tolist() for name, (_, y) in splits.items()} == {
        "train": [0, 1, 2, 3, 4, 5],
        "validation": [7, 8, 9],
        "test": [1, 2],
    }


def test_validation_none_makes_no_validation_split() -> None:
    splits = row_splits.as_given(numbered([10]), rows_split(("all", 0, 6), None, ("all", 6, 10)))
    assert list(splits) == ["train", "test"]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            rows_split(("all", 0, 6), None, ("all", 6, 11)),
            "data.split.test.rows: [6, 11] goes past the 10 rows of part 'all'",
        ),
        (
            rows_split(("train", 0, 6), None, ("all", 6, 10)),
            "data.split.train.part: the data set has no part 'train'; it has: all",
        ),
        (
            rows_split(("all", 0, 6), ("tset", 0, 6), ("all", 6, 10)),
            "data.split.validation.part: the data set has no part 'tset'; it has: all",
        ),
        (
            rows_split(("all", 0, 6), None, ("all", 5, 10)),
            "data.split.test.rows: [5, 10] overlaps the training rows [0, 6] of part 'all'",
        ),
        (
            rows_split(("all", 2, 6), ("all", 0, 3), ("all", 6, 10)),
            "data.split.validation.rows: [0, 3] overlaps the training rows [2, 6] of part 'all'",
        ),
    ],
)
def test_rows_that_are_not_there_are_refused(split: RowsSplit, message: str) -> None:
    with pytest.raises(UserError) as caught:
        row_splits.as_given(numbered([10]), split)
    assert str(caught.value) == message


@settings(deadline=None, max_examples=60, derandomize=True)
@given(ranges=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 10)).filter(lambda r: r[0] < r[1]), min_size=3, max_size=3))
def test_a_row_is_trained_on_or_tested_on_but_never_both(ranges: list[tuple[int, int]]) -> None:
    train, validation, test = (("all", *each) for each in ranges)
    rows = [set(range(*each)) for each in ranges]
    both = rows[0] & (rows[1] | rows[2])
    with pytest.raises(UserError, match="overlaps the training rows") if both else nullcontext():
        row_splits.as_given(numbered([10]), rows_split(train, validation, test))


def test_the_same_rows_of_another_part_are_other_rows() -> None:
    parts = {"train": numbered([10])["all"], "test": numbered([10])["all"]}
    assert len(row_splits.as_given(parts, rows_split(("train", 0, 10), ("test", 0, 10), ("test", 0, 10)))) == 3


# Facts


def facts_of(dataset: Dataset, splits: Parts, **views: View) -> dict[str, Any]:
    """The facts of a data set whose parts are its splits."""
    fitted = {name: fit(view, {split: x for split, (x, _) in splits.items()}) for name, view in views.items()}
    return row_splits.facts(dataset, splits, splits, fitted)


def test_facts_name_the_source_and_the_extremes_of_each_split() -> None:
    splits = {
        "train": (np.array([[0, 255], [3, 7]], np.uint8), np.array([0, 2])),
        "test": (np.array([[1, 9]], np.uint8), np.array([1])),
    }
    assert facts_of(dataset_of(description="Bright corners.", target="the corner"), splits, scaled=View(scale="max")) == {
        "title": "Blobs",
        "description": "Bright corners.",
        "licence": "none",
        "citation": "the tests",
        "task": "classification",
        "target": "the corner",
        "class_names": ["0", "1", "2"],
        "feature_names": [],
        "first_rows": [[0.0, 255.0, 0.0], [3.0, 7.0, 2.0]],
        "splits": {
            "train": {"shape": [2, 2], "type": "uint8", "smallest": 0.0, "largest": 255.0},
            "test": {"shape": [1, 2], "type": "uint8", "smallest": 1.0, "largest": 9.0},
        },
        "views": {
            "scaled": {
                "train": {"smallest": 0.0, "largest": 1.0},
                "test": {"smallest": 0.00392157, "largest": 0.0352941},
            }
        },
    }


def test_facts_keep_the_data_set_s_class_names() -> None:
    names = ["shirt", "coat", "bag"]
    splits = {"train": (np.zeros((1, 2)), np.array([0]))}
    assert facts_of(dataset_of(class_names=names), splits)["class_names"] == names


def test_a_class_that_no_split_holds_is_a_class() -> None:
    parts = numbered([4, 4, 4])
    splits = row_splits.as_given(parts, rows_split(("all", 0, 2), None, ("all", 2, 6)))
    assert row_splits.facts(dataset_of(), parts, splits, {})["class_names"] == ["0", "1", "2"]


def test_a_regression_has_no_class_names() -> None:
    splits = {"train": (np.zeros((1, 2)), np.array([3.5]))}
    assert facts_of(dataset_of("regression"), splits)["class_names"] == []


def test_the_first_five_rows_with_their_targets() -> None:
    parts = {
        "train": (np.arange(12, dtype=np.float32).reshape(6, 2) / 10, np.arange(6) / 3),
        "test": (np.ones((1, 2)), np.ones(1)),
    }
    assert facts_of(dataset_of("regression", feature_names=["a", "b"]), parts)["first_rows"] == [
        [0.0, 0.1, 0.0],
        [0.2, 0.3, 0.3333333],
        [0.4, 0.5, 0.6666667],
        [0.6, 0.7, 1.0],
        [0.8, 0.9, 1.333333],
    ]


def test_images_have_no_first_rows() -> None:
    assert facts_of(dataset_of(), {"train": blobs(20)})["first_rows"] == []


def test_zero_has_no_sign() -> None:
    assert [str(row_splits.short(value, 6)) for value in (-0.0, 1 / 3, 255)] == ["0.0", "0.333333", "255.0"]


# The whole


@pytest.mark.parametrize("rows", [None, 1, 30, 1000])
def test_a_limit_keeps_the_first_rows_of_each_split(rows: int | None) -> None:
    changes: dict[str, Any] = {"limits": {"rows": rows}}
    for split in (
        None,
        {"method": "train_test_split", "test": 0.2, "test_seed": 7, "validation": 0.25, "validation_seed": 11},
        {
            "method": "rows",
            "train": {"part": "all", "rows": [0, 120]},
            "validation": "none",
            "test": {"part": "all", "rows": [120, 200]},
        },
    ):
        study, parts = study_with(changes), {"all": blobs(200)}
        if split:
            model = TrainTestSplit if split["method"] == "train_test_split" else RowsSplit
            data = study.data.model_copy(update={"split": model.model_validate(split)})
            study = study.model_copy(update={"data": data})
        limited = row_splits.prepare(study, dataset_of(), parts)
        whole = row_splits.prepare(study.model_copy(update={"limits": study_with().limits}), dataset_of(), parts)
        for name, arrays in whole.splits.items():
            for kept, full in zip(limited.splits[name], arrays, strict=True):
                np.testing.assert_array_equal(kept, full[:rows])
        assert limited.outputs == 4


def test_a_classification_needs_two_classes_in_its_training_rows() -> None:
    x, _ = blobs(90)
    study = study_with()
    sorted_rows = study.data.model_copy(update={"split": rows_split(("all", 0, 40), ("all", 40, 60), ("all", 60, 90))})
    with pytest.raises(UserError, match=r"^data\.split: all 40 training rows are of class 2; a classification needs two"):
        row_splits.prepare(study.model_copy(update={"data": sorted_rows}), dataset_of(), {"all": (x, np.repeat([2, 0], 45))})


def test_a_class_with_fewer_rows_than_splits_cannot_be_stratified() -> None:
    x, y = blobs(220)
    y[y == 3] = 0
    y[:2] = 3
    with pytest.raises(UserError, match=r"^data\.split: class 3 has 2 of 220 rows, too few for 3 splits to have one each"):
        row_splits.prepare(study_with(), dataset_of(), {"all": (x, y)})


@pytest.mark.parametrize("limit", ["none", 10])
def test_there_are_no_more_folds_than_rows(limit: object) -> None:
    folds = {"folds": 161 if limit == "none" else 21, "repeats": 1, "seed": 0}
    study = study_with({"data": {"k_fold": folds}, "variants": {"plain": {"k_fold": True}}, "limits": {"rows": limit}})
    with pytest.raises(UserError, match=r"^data\.k_fold\.folds: (161|21) folds of (160|20) rows; a fold needs a row"):
        row_splits.prepare(study, dataset_of(), {"all": blobs(220)})


def test_validation_rows_may_be_test_rows() -> None:
    shared = study_with().data.model_copy(update={"split": rows_split(("all", 0, 60), ("all", 60, 90), ("all", 60, 90))})
    prepared = row_splits.prepare(study_with().model_copy(update={"data": shared}), dataset_of(), {"all": blobs(90)})
    np.testing.assert_array_equal(prepared.splits["validation"][0], prepared.splits["test"][0])


def test_a_view_of_each_split_is_fitted_on_each() -> None:
    study = study_with({"views": {"own": {"scale": "standard", "per": "feature", "fit_on": "each_split"}}})
    x, y = blobs(220)
    prepared = row_splits.prepare(study, dataset_of(), {"all": (x + np.arange(220, dtype=np.int16)[:, None, None], y)})
    for name, (raw, _) in prepared.splits.items():
        inputs = apply(prepared.views["own"], raw, name)
        np.testing.assert_allclose([inputs.mean(0), inputs.std(0) - 1], 0, atol=1e-4)
    assert set(prepared.facts["views"]) == {"scaled", "noisy", "own"}


def test_every_view_is_fitted_on_the_training_rows_alone() -> None:
    """Values of the other splits are far outside, and change nothing."""
    x = np.concatenate([np.linspace(0, 10, 6), [1000.0, -1000.0, 5000.0, 0.0]])[:, None]
    study = study_with({**REGRESSION, "claims": {"noise_hurts": {"metric": "test_loss"}}})
    data = study.data.model_copy(update={"split": rows_split(("all", 0, 6), ("all", 6, 8), ("all", 8, 10))})
    prepared = row_splits.prepare(study.model_copy(update={"data": data}), dataset_of("regression"), {"all": (x, x[:, 0])})
    assert prepared.views["scaled"].factor == 0.1
    inputs = apply(prepared.views["noisy"], x[:6], "train")
    assert inputs.mean() == pytest.approx(0, abs=1e-6)
    assert inputs.std() == pytest.approx(1)


def test_a_regression_cannot_be_stratified() -> None:
    study = study_with({**REGRESSION, "claims": {"noise_hurts": {"metric": "test_loss"}}})
    with pytest.raises(UserError, match=r"data\.split\.method: stratified needs classes; a regression takes another"):
        row_splits.prepare(study, dataset_of("regression"), {"all": (np.zeros((200, 1)), np.zeros(200))})


def test_a_claim_about_what_the_task_does_not_have_is_refused() -> None:
    with pytest.raises(UserError, match=r"claims\.noise_hurts\.metric: test_accuracy is not measured in a regression"):
        row_splits.prepare(study_with(), dataset_of("regression"), {"all": (np.zeros((200, 1)), np.zeros(200))})


def test_prepared_data_survive_writing_and_reading(tmp_path: Path) -> None:
    before = row_splits.prepare(study_with(), dataset_of(), {"all": blobs(220)})
    write_prepared(before, tmp_path)
    after = read_prepared(tmp_path)
    assert (after.views, after.facts, after.fingerprint()) == (before.views, before.facts, before.fingerprint())
    assert after.splits["train"][0].dtype == np.uint8
    assert (after.task, after.outputs) == ("classification", 4)


def test_the_fingerprint_is_that_of_the_splits_and_the_task() -> None:
    def fingerprint(splits: Parts, **facts: Any) -> str:
        return Prepared(splits, {}, {"task": "classification", "class_names": ["a", "b"], **facts}).fingerprint()

    x, y = np.arange(6).reshape(3, 2), np.arange(3)
    first = fingerprint({"train": (x, y), "test": (x, y)})
    assert fingerprint({"test": (x.copy(order="F"), y), "train": (x, y)}, title="another") == first
    others = [
        fingerprint({"train": (x, y)}),
        fingerprint({"train": (x, y), "test": (x + 1, y)}),
        fingerprint({"train": (x, y), "test": (x.reshape(3, 2, 1), y)}),
        fingerprint({"train": (x, y), "test": (x.astype(np.int32), y)}),
        fingerprint({"train": (x, y), "test": (x, y)}, task="regression"),
        fingerprint({"train": (x, y), "test": (x, y)}, class_names=["a", "b", "c"]),
    ]
    assert len({first, *others}) == 7


def test_what_was_not_prepared_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"views\.json is missing; run `dvc repro`, or the prepare stage first"):
        read_prepared(tmp_path / "data" / "prepared")


@pytest.fixture
def run_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study's folder whose raw data are blobs."""
    monkeypatch.setattr(sys, "argv", ["prepare", str(tmp_path)])
    monkeypatch.setattr(prepare, "load_catalogue", lambda *_: {"blobs": dataset_of()})
    monkeypatch.setattr(prepare, "read_parts", lambda *_: {"all": blobs(220)})
    return tmp_path


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "data" / "prepared").iterdir()}


def test_the_stage_writes_each_split_once_and_the_same_bytes_again(run_stage: Path) -> None:
    write_params(run_stage)
    prepare.main()
    first = content_of(run_stage)
    assert sorted(first) == ["facts.json", "test.npz", "train.npz", "validation.npz", "views.json"]
    assert list(json.loads(first["views.json"])) == ["noisy", "scaled"]
    prepare.main()
    assert content_of(run_stage) == first


def test_a_split_that_is_no_longer_wanted_does_not_stay(run_stage: Path) -> None:
    write_params(run_stage)
    prepare.main()
    write_params(run_stage, {"data": {"split": {"validation": 0}}})
    prepare.main()
    assert sorted(content_of(run_stage)) == ["facts.json", "test.npz", "train.npz", "views.json"]
    assert list(read_prepared(run_stage / "data" / "prepared").splits) == ["train", "test"]


def test_a_refused_split_leaves_what_was_prepared(run_stage: Path) -> None:
    write_params(run_stage)
    prepare.main()
    first = content_of(run_stage)
    write_params(run_stage, {"data": {"split": {"train": 500}}})
    with pytest.raises(SystemExit) as caught:
        prepare.main()
    assert caught.value.code == (
        f"prepare: {run_stage}/params.yaml: data.split: train, validation and test add up to 580 rows; the data set has 220"
    )
    assert content_of(run_stage) == first


def test_an_unknown_data_set_is_refused_in_one_line(run_stage: Path) -> None:
    write_params(run_stage, {"data": {"dataset": "blob"}})
    with pytest.raises(SystemExit) as caught:
        prepare.main()
    assert "unknown data set 'blob' (did you mean 'blobs'?); known: blobs" in str(caught.value.code)


def test_the_stage_says_which_class_has_few_rows(
    run_stage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = blobs(220)
    y[y == 3] = 0
    y[:6] = 3
    monkeypatch.setattr(prepare, "read_parts", lambda *_: {"all": (x, y)})
    write_params(run_stage)
    prepare.main()
    (said,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"prepare: data\.split: class 3 \([34] in train, 1 in validation, 1 in test\): few rows", said)
