"""The tool that checks what a source prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.checkout import ROOT
from helpers.study import write_study
from stages.tools import forensics


def test_each_number_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    forensics.main([str(ROOT / "studies" / "keras_tips")])
    *lines, last = capsys.readouterr().out.splitlines()
    assert "dropout, test_accuracy: 0.6224999713897705 is impossible: a program that measures 10,000 rows at once" in "".join(
        lines
    )
    assert last == "of 18 accuracies that the source prints: 15 possible, 3 impossible"


def test_a_study_without_printed_accuracies_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_study(tmp_path)
    forensics.main([str(tmp_path)])
    assert "nothing to check" in capsys.readouterr().out
