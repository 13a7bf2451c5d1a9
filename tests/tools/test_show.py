"""A variant's full recipe, printed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from helpers.checkout import ROOT, stage
from stages.lib.study.load import load_study
from stages.tools.show import show

Study = Callable[..., Path]


def test_show_prints_the_full_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    show(load_study(ROOT), "three_sigmoid_mse", ROOT / "metrics")
    shown = capsys.readouterr().out
    verdicts = pd.read_csv(ROOT / "metrics" / "claims.csv", index_col="claim")["verdict"]
    assert f"mse_stays_near_chance: {verdicts['mse_stays_near_chance']}" in shown
    for line in ("variant: three_sigmoid_mse", "loss: mse", "optimizer: sgd", "activation: sigmoid", "scale: max"):
        assert line in shown


def test_a_reader_that_has_seen_enough_is_no_fault() -> None:
    command = [sys.executable, "-m", "stages.tools", "show", "baseline"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        assert started.stdout
        assert started.stderr
        started.stdout.close()
        assert started.stderr.read() == b""


def test_show_of_an_unknown_variant_lists_the_known_ones(small_study: Study, tmp_path: Path) -> None:
    done = stage("tools.show", small_study(), "plane", cache=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == ("show: unknown variant 'plane' (did you mean 'plain'?); known: dropped, noisy, plain")
