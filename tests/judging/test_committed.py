"""Today's code gives every committed verdict and every committed interval, from the committed replicates."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest

from helpers.checkout import ROOT
from stages.lib.judging import claims, tables
from stages.lib.judging.planned import OF_ROWS
from stages.lib.judging.replicates import COLLAPSED
from stages.lib.searching.results import judge_strategies
from stages.lib.study.load import load_study
from stages.lib.study.metrics import finite
from stages.lib.study.places import studies

STUDIES = [ROOT / study for study in studies(ROOT)]
SEARCHED = [study for study in STUDIES if (study / "metrics" / "search").exists()]
LAST_DIGIT = 1.01e-5
"""Replicates are committed with five decimals, but the tables were made from all digits."""
ENDS = ("low", "high")
SKEWED = 0.05
"""The same, relative, of an interval that corrects for skewness: its third moments have the third power of a rounding."""


def read(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)


def assert_same(made: pd.DataFrame, path: Path, numbers: list[str]) -> None:
    """All cells are the same text, but that numbers may differ in the last digit.

    Intervals for other rows are made from predictions, which are not in Git.
    """
    committed = read(path.read_text(encoding="utf-8"))
    made = read(tables.csv_text(made))
    words = committed.columns.drop(numbers).drop(OF_ROWS, errors="ignore")
    pd.testing.assert_frame_equal(made[words], committed[words])
    for name in numbers:
        for ours, theirs in zip(made[name], committed[name], strict=True):
            relative = SKEWED if name in ENDS else None
            assert ours == theirs or float(ours) == pytest.approx(float(theirs), abs=LAST_DIGIT, rel=relative), path


@pytest.mark.parametrize("folder", STUDIES, ids=lambda folder: folder.name)
def test_claims(folder: Path) -> None:
    study = load_study(folder)
    replicates = pd.read_csv(folder / "metrics" / "replicates.csv")
    judged = [name for name, claim in study.claims.items() if not claim.about_time]
    made = claims.judge_claims(study, replicates, judged)
    assert_same(made, folder / "metrics" / "claims.csv", ["effect", *ENDS])


@pytest.mark.parametrize("folder", STUDIES, ids=lambda folder: folder.name)
def test_summaries(folder: Path) -> None:
    study = load_study(folder)
    replicates = pd.read_csv(folder / "metrics" / "replicates.csv")
    path = folder / "metrics" / "summary.csv"
    measured = read(path.read_text(encoding="utf-8")).groupby("variant", sort=False)["metric"]
    by_variant = {
        str(variant): replicates.loc[replicates["variant"] == variant, ["variant", "seed", *metrics]]
        for variant, metrics in measured
    }
    made = tables.summary_of(by_variant, study.statistics.confidence)
    assert_same(made, path, ["mean", "sd", *ENDS])


@pytest.mark.parametrize("folder", SEARCHED, ids=lambda folder: folder.name)
def test_claims_about_strategies(folder: Path) -> None:
    study = load_study(folder)
    assert study.search
    winners = pd.read_csv(folder / "metrics" / "search" / "winners.csv").groupby("strategy", sort=False)
    asked = (study.search.metric, study.search.judged_by, COLLAPSED)
    scores = {
        str(name): {metric: [finite(cell) for cell in rows[metric]] for metric in asked if metric in rows}
        for name, rows in winners
    }
    made = judge_strategies(study.search, scores, study.statistics.confidence)
    assert_same(made, folder / "metrics" / "search" / "claims.csv", ["effect", *ENDS])
