"""A user's mistake ends a stage with one line that names the file and the keys that lead to it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from pydantic import BaseModel, field_validator

from stages.lib.cli import SettingError, UserError, one_line_errors
from stages.lib.study.strict_yaml import at

FILE = Path("studies/waves/params.yaml")


def test_each_caller_adds_the_keys_that_it_knows() -> None:
    error = SettingError("must be 1", "size").below("network").below("models", "a b", file=FILE)
    assert error.place == ("models", "a b", "network", "size")
    assert str(error) == "studies/waves/params.yaml: models.'a b'.network.size: must be 1"


def test_the_file_that_is_known_first_stays() -> None:
    assert str(SettingError("no", "key", file=FILE).below(file=Path("other"))) == "studies/waves/params.yaml: key: no"


def test_a_mistake_without_a_place_is_one_of_the_whole_file() -> None:
    assert str(SettingError("no")) == "no"
    assert str(SettingError("no", file=FILE)) == "studies/waves/params.yaml: top level: no"


class Section(BaseModel):
    number: int
    other: int = 0

    @field_validator("number")
    @classmethod
    def _odd(cls, number: int) -> int:
        if number % 2 == 0:
            raise SettingError(f"{number} is even", "digit")
        return number


def test_validators_of_pydantic_may_raise_it() -> None:
    with pytest.raises(SettingError) as caught, at("sections", file=FILE):
        Section.model_validate({"number": 2, "other": "x"})
    assert str(caught.value) == "studies/waves/params.yaml: sections.number.digit: 2 is even (and 1 more)"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (SettingError("too few", "rows"), "train: studies/waves/params.yaml: rows: too few"),
        (SettingError("too few", "rows", file=Path("data/datasets.yaml")), "train: data/datasets.yaml: rows: too few"),
        (UserError("the disk is full"), "train: the disk is full"),
    ],
)
def test_a_stage_ends_with_one_line(error: UserError, line: str) -> None:
    with pytest.raises(SystemExit) as caught, one_line_errors("train", FILE.parent):
        raise error
    assert caught.value.code == line


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT])
def test_where_nobody_may_write_a_stage_ends_with_one_line(number: int) -> None:
    with pytest.raises(SystemExit) as caught, one_line_errors("train", FILE.parent):
        raise OSError(number, os.strerror(number), "studies/waves/data/runs")
    why = f"studies/waves/data/runs: {os.strerror(number)}"
    assert caught.value.code == f"train: {why}; the stage must be able to read and write there"


def test_any_other_error_of_the_system_is_a_fault_of_ours_and_keeps_its_traceback() -> None:
    with pytest.raises(IsADirectoryError), one_line_errors("train", FILE.parent):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
