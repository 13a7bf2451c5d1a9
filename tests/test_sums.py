"""No committed number depends on how Python adds: from 3.12 on, `sum` of floats is exact, and before it is not.

NumPy, pandas and `statistics.fmean` add in one way in every version.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from helpers.checkout import ROOT
from helpers.runs import complete_facts, waves, write_runs
from helpers.search import Pretender, found_by, searching
from helpers.study import study_with, write_study
from stages import evaluate, plot, search


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """`sum` refuses floats in the code of the stages."""
    add = builtins.sum

    def checked(numbers: Iterable[Any], /, start: Any = 0) -> Any:
        listed = list(numbers)
        caller = str(sys._getframe(1).f_globals.get("__name__"))
        if caller.startswith("stages.") and any(type(number) is float for number in [start, *listed]):
            raise AssertionError(f"{caller} adds floats with `sum`; use math.fsum or NumPy")
        return add(listed, start)

    monkeypatch.setattr(builtins, "sum", checked)


def test_tables_and_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    changes = {"replicates": {"diagnostics": True}}
    folder = write_study(tmp_path / "study", changes)
    write_runs(folder, changes, "noisy")
    complete_facts(folder, study_with(changes))
    monkeypatch.setattr(sys, "argv", ["stage", str(folder)])
    evaluate.main()
    plot.main()
    assert list((folder / "metrics" / "figures").iterdir())
    assert waves().figures()


def test_a_search(pretender: Pretender, tmp_path: Path) -> None:
    study, settings = searching()
    search.write_found(study, settings, found_by(study, settings, tmp_path / "cache"), tmp_path)
    assert (tmp_path / "search.json").exists()


def test_a_sum_of_floats_is_noticed() -> None:
    source = "def added(numbers): return sum(numbers)"
    space: dict[str, Any] = {"__name__": "stages.lib.judging.tables"}
    exec(source, space)  # noqa: S102  # as a module of the stages would
    assert space["added"]([1, 2, True]) == 4
    with pytest.raises(AssertionError, match="adds floats"):
        space["added"]([0.1, 0.2, 0.3])
