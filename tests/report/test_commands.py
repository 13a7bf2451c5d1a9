"""The commands of a report name the study, at the checkout's root and elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.runs import TIMED
from helpers.search import searching
from helpers.study import study_with
from stages.lib.report.commands import claim_commands, search_commands


@pytest.mark.parametrize(
    ("folder", "commands"),
    [
        (Path(), ["python -m stages.tools verify --claim noise_hurts", "dvc repro plot"]),
        (
            Path("studies/waves"),
            ["python -m stages.tools verify studies/waves --claim noise_hurts", "dvc repro studies/waves/dvc.yaml:plot"],
        ),
        (Path("mine"), ["python -m stages.tools verify mine --claim noise_hurts", "python -m stages.evaluate mine"]),
    ],
)
def test_commands_name_the_study(folder: Path, commands: list[str]) -> None:
    found = [command for _, command in claim_commands(study_with(), "noise_hurts", folder)]
    assert found[:2] == commands


def test_more_replicates_are_a_further_look_where_looks_are_planned() -> None:
    study = study_with({"statistics": {"looks": [5, 10]}})
    found = [command for _, command in claim_commands(study, "noise_hurts", Path())]
    assert found[-1] == "dvc exp run --temp -S statistics.looks='[5,10,20]' plot"


def test_a_claim_about_time_is_timed_again() -> None:
    study = study_with({"claims": {"dropout_takes_longer": TIMED}})
    found = [command for _, command in claim_commands(study, "dropout_takes_longer", Path())]
    assert found[0] == "XDG_CACHE_HOME=$(mktemp -d) dvc repro --force --single-item train"


@pytest.mark.parametrize(
    ("folder", "commands"),
    [
        (
            Path(),
            [
                "dvc repro --force --single-item search",
                "XDG_CACHE_HOME=$(mktemp -d) dvc repro --force --single-item search",
                "dvc repro plot",
                "dvc exp run --temp -S search.seeds=6 plot",
            ],
        ),
        (
            Path("studies/waves"),
            [
                "dvc repro --force --single-item studies/waves/dvc.yaml:search",
                "XDG_CACHE_HOME=$(mktemp -d) dvc repro --force --single-item studies/waves/dvc.yaml:search",
                "dvc repro studies/waves/dvc.yaml:plot",
                "dvc exp run --temp -S studies/waves/params.yaml:search.seeds=6 studies/waves/dvc.yaml:plot",
            ],
        ),
        (Path("mine"), ["python -m stages.search mine", "XDG_CACHE_HOME=$(mktemp -d) python -m stages.search mine"]),
    ],
)
def test_a_claim_about_strategies_says_how_to_search_again(folder: Path, commands: list[str]) -> None:
    _, settings = searching()
    assert [command for _, command in search_commands(settings, folder)] == commands
