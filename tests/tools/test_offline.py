"""DVC's pages of plots need no network once `python -m stages.tools offline` was run; docs/report.md names the commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from helpers.checkout import ROOT, Checkout
from helpers.plots import commands, plotted
from stages.tools import offline


def test_the_commands_of_the_page_make_plots_that_name_no_server(tmp_path: Path) -> None:
    assert commands() == ["python -m stages.tools offline", "dvc plots show", "dvc plots diff HEAD"]
    assert plotted(tmp_path).count("dvc_plots/index.html") == 2
    page = (tmp_path / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    assert "<script src" not in page
    assert page.count("vegaEmbed('#") == 2  # one of each of the starter's two sets of curves
    assert "workspace" in page
    assert "HEAD" in page
    status = Checkout(tmp_path, tmp_path / "cache").run("git", "status", "--porcelain")
    assert "offline.html" not in status


def test_elsewhere_than_in_a_checkout_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["offline"])
    with pytest.raises(SystemExit, match=r"offline: run this at the root of a checkout: there is no \.dvc here"):
        offline.main()


def test_the_two_templates_differ_in_their_scale_alone() -> None:
    linear, logarithmic = (json.loads((ROOT / ".dvc" / "plots" / f"variants{how}.json").read_text()) for how in ("", "_log"))
    assert linear["spec"]["encoding"]["y"].pop("scale") == {"zero": False}
    assert logarithmic["spec"]["encoding"]["y"].pop("scale") == {"type": "log"}
    assert logarithmic["spec"]["encoding"]["y"].pop("axis") == {"tickCount": 4}
    assert linear == logarithmic
