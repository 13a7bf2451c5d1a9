"""The examples of docs/verdicts.md are made from a committed study's results."""

from __future__ import annotations

import re

import numpy as np
import pytest

from benchmarks.verdicts import COMMAND
from helpers.checkout import ROOT
from helpers.study import study_with
from stages.lib.cli import UserError
from stages.lib.judging.verdicts import VERDICTS, Verdict, decide
from stages.lib.markdown import cell, markers
from stages.lib.study.claims import Claim
from stages.lib.templates import render
from stages.tools import guide

PAGE = (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8")


def test_the_examples_of_verdicts_are_not_stale() -> None:
    assert guide.filled(PAGE, guide.parts(ROOT / guide.EXAMPLE)) == PAGE, "run `python -m stages.tools guide`"


def test_every_number_about_verdicts_is_made() -> None:
    text = PAGE
    made = {**dict.fromkeys(guide.PARTS, guide.COMMAND), "simulated": COMMAND}
    for name, command in made.items():
        start, end = map(re.escape, markers(name, command))
        text, count = re.subn(rf"{start}.*?{end}", "", text, flags=re.DOTALL)
        assert count == 1
    assert re.findall(r"\d+", text) == []


def test_the_worked_example_is_what_the_evaluate_stage_found() -> None:
    text = guide.parts(ROOT / guide.EXAMPLE)["worked"]
    name = text.split("`")[1]
    rows = (ROOT / guide.EXAMPLE / "metrics" / "claims.csv").read_text().splitlines()
    row = dict(zip(rows[0].split(","), next(each for each in rows if each.startswith(f"{name},")).split(","), strict=True))
    low, high = map(float, re.findall(r"So the interval is (\S+) to (\S+)\. ", text)[0])
    assert (low, high) == pytest.approx((float(row["low"]), float(row["high"])), rel=2e-3, abs=1e-5)
    assert f"**{row['verdict']}**" in text


def reason(claim: Claim, verdict: Verdict) -> str:
    """A line of the page, with the reason for the verdict."""
    row = {"claim": "noise_hurts", "effect": 0, "low": 0, "high": 0}
    values = {"claims": {"noise_hurts": claim}, "number": guide.format_number, "cell": cell}
    return render(guide.TEMPLATE, part="one_of_each", examples={verdict: row}, **values)


def test_a_reason_suits_each_verdict() -> None:
    claims = {"higher": {"margin": 0.01}, "lower": {"margin": 0.01}, "same": {"margin": 0.01}}
    intervals = {(0.02, 0.03): "beyond", (-0.03, -0.02): "beyond", (-0.005, 0.005): "within", (0.0, 0.03): "both"}
    said = {}
    for expect, changes in claims.items():
        claim = study_with({"claims": {"noise_hurts": {"expect": expect, **changes}}}).claims["noise_hurts"]
        codes = [int(decide(np.array(low), np.array(high), claim.expect, claim.margin)) for low, high in intervals]
        said[expect] = [reason(claim, VERDICTS[code]) for code in codes]
    assert ["expected direction" in each for each in said["higher"]] == [True, False, False, False]
    assert ["expected direction" in each for each in said["lower"]] == [False, True, False, False]
    assert ["within the margin, between" in each for each in said["same"]] == [False, False, True, False]
    assert ["falls short" in each for each in said["higher"]] == [False, True, False, False]
    assert ["wholly beyond the margin" in each for each in said["same"]] == [True, True, False, True]


def test_a_page_without_a_marker_is_refused() -> None:
    with pytest.raises(UserError, match=r"^docs/verdicts\.md: the markers '<!-- looks: "):
        guide.filled(PAGE.replace("<!-- looks:", "<!-- look:"), guide.parts(ROOT / guide.EXAMPLE))
