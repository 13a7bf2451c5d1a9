"""The search stage: its refusals, its page, and what neither workers nor interruptions change."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from ruamel.yaml import YAML

from helpers.checkout import ROOT, environment_of, stage
from helpers.processes import bytes_of, children, entries, has_ended, until
from helpers.search import REAL, edited
from stages import search
from stages.lib.study.load import load_study
from stages.lib.study.search import Strategy
from stages.lib.study.strict_yaml import read_yaml


def test_every_mistake_stops_the_stage_before_it_trains(
    small_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_study({"search": edited({"trials": 10})})
    monkeypatch.setattr(sys, "argv", ["search", str(folder)])
    with pytest.raises(SystemExit, match=r"^search: .*params\.yaml: search\.strategies\.spread\.method: grid: has 9 points"):
        search.main()


def test_a_study_without_a_search_is_told_so(small_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["search", str(small_study())])
    with pytest.raises(SystemExit, match=r"params\.yaml: search: is missing; docs/search\.md says"):
        search.main()


METHODS = get_args(Strategy.model_fields["method"].annotation)


def test_the_examples_of_the_page_are_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```yaml\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        content = read_yaml(ROOT / "params.yaml") | YAML(typ="safe", pure=True).load(example)
        (tmp_path / "params.yaml").write_text(json.dumps(content), encoding="utf-8")  # which is YAML too
        assert load_study(tmp_path).search
    assert all(f"| `{method}` |" in text for method in METHODS)


@pytest.mark.slow
def test_neither_the_workers_nor_an_interruption_change_a_byte(small_study: Callable[..., Path], tmp_path: Path) -> None:
    folder, first, second = small_study(REAL), tmp_path / "first", tmp_path / "second"
    done = stage("search", folder, cache=first, TIPS_WORKERS="1")
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    expected = bytes_of(folder / "metrics")
    assert set(expected) == {"search.json", *(f"search/{name}.csv" for name in ("trials", "winners", "claims", "importance"))}
    replicates = len(entries(first))
    assert replicates in (16, 17)  # 2 of the default, 8 of random, 4 more of tpe, and refits of winners that may be the same

    shutil.rmtree(folder / "metrics")
    command = [sys.executable, "-m", "stages.search", str(folder)]
    environment = environment_of(second, TIPS_WORKERS="1")
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, text=True)
    until(lambda: len(entries(second)) >= 5)
    orphans = children(process)
    process.kill()
    process.wait()
    until(lambda: all(map(has_ended, orphans)))
    known = len(entries(second))
    assert 5 <= known < replicates
    assert not (folder / "metrics").exists()

    done = stage("search", folder, cache=second, TIPS_WORKERS="2")
    assert done.returncode == 0, done.stderr
    assert bytes_of(folder / "metrics") == expected
    assert len(entries(second)) == replicates
    begun = re.findall(r"^search: (\d+) of (\d+) replicates, \1 cached, 0 running$", done.stderr, re.MULTILINE)
    assert sum(int(wanted) - int(cached) for cached, wanted in begun) == replicates - known  # one such line for each batch
