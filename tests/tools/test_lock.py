"""Committed results that are not what the lock files say are found in a clone that has neither data nor a cache."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.checkout import ROOT, environment_of

PIPELINE = """
stages:
  train:
    cmd: mkdir -p data/runs && cp code.txt data/runs/a && date +%N > data/timings.json
    deps: [code.txt]
    params: [train]
    outs: [data/runs, data/timings.json]
  evaluate:
    cmd: mkdir -p metrics/figures && cp data/runs/a metrics/claims.csv && cp data/runs/a metrics/figures/a.svg
    deps: [data/runs]
    outs:
      - metrics/claims.csv: {cache: false}
      - metrics/figures: {cache: false}
  plot:
    cmd: cat metrics/claims.csv data/timings.json > data/report.html
    deps: [metrics/claims.csv, data/timings.json]
    outs: [data/report.html]
"""
TUTORIAL = """
stages:
  train:
    wdir: ../..
    cmd: mkdir -p studies/NAME/metrics && cp code.txt studies/NAME/metrics/confusion.csv
    deps: [code.txt]
    params: [{studies/NAME/params.yaml: [train]}]
    outs: [{studies/NAME/metrics/confusion.csv: {cache: false}}]
  plot:
    wdir: ../..
    cmd: mkdir -p studies/NAME/data && cp code.txt studies/NAME/data/report.html
    params: [{studies/NAME/params.yaml: }]
    outs: [studies/NAME/data/report.html]
"""


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command in the folder that may import this project's stages."""
    identity = {f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = environment_of(folder.parent / "cache", PYTHONPATH=str(ROOT), DVC_NO_ANALYTICS="1", **identity)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def done(folder: Path, *command: str) -> None:
    finished = run(folder, *command)
    assert finished.returncode == 0, finished.stderr


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone of a project whose starter and first tutorial were run."""
    origin, folder = tmp_path_factory.mktemp("origin") / "project", tmp_path_factory.mktemp("clone") / "project"
    files = {
        "dvc.yaml": PIPELINE,
        **{f"studies/{name}/dvc.yaml": TUTORIAL.replace("NAME", name) for name in ("one", "two")},
        ".gitignore": "data\n",
        "code.txt": "one\n",
        **{f"{study}params.yaml": "train:\n  epochs: 3\n  rate: 1e-05\n" for study in ("", "studies/one/", "studies/two/")},
    }
    for name, text in files.items():
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_text(text)
    for command in (
        ["git", "init", "-q", "-b", "main"],
        [sys.executable, "-m", "dvc", "init", "-q"],
        [sys.executable, "-m", "dvc", "repro", "-q", "dvc.yaml", "studies/one/dvc.yaml"],
        ["git", "add", "-A"],
        ["git", "commit", "-q", "-m", "run"],
        ["git", "clone", "-q", str(origin), str(folder)],
    ):
        done(origin, *command)
    return folder


def check(folder: Path) -> tuple[int, list[str]]:
    """The exit status and the printed lines of `python -m stages.tools.lock`; the clone is as it was afterwards."""
    finished = run(folder, sys.executable, "-m", "stages.tools.lock")
    done(folder, "git", "reset", "-q", "--hard")
    done(folder, "git", "clean", "-q", "-f")
    assert finished.returncode == 0 or "; `dvc repro`, then commit" in finished.stderr, finished.stderr
    return finished.returncode, finished.stdout.splitlines()


COMPARED = ["compared with the lock files: ., studies/one", "not run, so not compared: studies/two"]


def test_a_fresh_clone_of_what_was_run_agrees(clone: Path) -> None:
    assert not (clone / "data").exists()
    assert check(clone) == (0, COMPARED)


def edit(path: str, before: str, after: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / path).read_text()
        assert re.search(before, text)
        (folder / path).write_text(re.sub(before, after, text, count=1))

    return change


# Changes that do not hide each other, so that one check finds all of them: each with its lines, in the order of the stages.
MISMATCHES: dict[str, list[tuple[Callable[[Path], object], list[str]]]] = {
    "edited": [
        (edit("code.txt", "one", "two"), ["train: code.txt: is not what the lock file says"]),
        (edit("params.yaml", "epochs: 3", "epochs: 4"), ["train: params.yaml: train.epochs is 4, but 3 in the lock file"]),
        (edit("metrics/claims.csv", "one", "two"), ["evaluate: metrics/claims.csv: is not what the lock file says"]),
        (edit("metrics/figures/a.svg", "one", "two"), ["evaluate: metrics/figures: is not what the lock file says"]),
        (edit("dvc.yaml", "cat metrics", "cat -u metrics"), ["plot: its command is not that of the lock file"]),
        (
            edit("studies/one/params.yaml", "rate: 1e-05", "speed: 1e-05"),
            [
                "studies/one/dvc.yaml:train: studies/one/params.yaml: train.rate is nothing, but 1e-05 in the lock file",
                "studies/one/dvc.yaml:train: studies/one/params.yaml: train.speed is 1e-05, but nothing in the lock file",
            ],
        ),
    ],
    "added and removed": [
        (edit("dvc.yaml", r"deps: \[code", "deps: [.gitignore, code"), ["train: .gitignore: is not in the lock file"]),
        (
            lambda folder: (folder / "metrics/claims.csv").unlink(),
            ["evaluate: metrics/claims.csv: is in the lock file, but does not exist"],
        ),
        (
            lambda folder: (folder / "metrics/figures/new.svg").write_text("new"),
            ["evaluate: metrics/figures: is not what the lock file says"],
        ),
        (
            edit("dvc.yaml", r"\[data/report", "[metrics/new.csv, data/report"),
            ["plot: metrics/new.csv: is not in the lock file"],
        ),
        (
            edit("studies/one/params.yaml", "train:", "new: {key: 1}\ntrain:"),
            ["studies/one/dvc.yaml:plot: studies/one/params.yaml: new.key is 1, but nothing in the lock file"],
        ),
    ],
    "not committed": [
        (
            lambda folder: done(folder, "git", "rm", "-q", "--cached", "metrics/claims.csv"),
            ["evaluate: metrics/claims.csv: is not in Git"],
        ),
        (
            lambda folder: (folder / "studies/one/dvc.lock").unlink(),
            [
                f"studies/one/dvc.yaml:{stage}: is not in studies/one/dvc.lock, but its study has metrics in Git"
                for stage in ("train", "plot")
            ],
        ),
    ],
    "read something else than `train` wrote": [
        (
            edit("dvc.lock", r"(deps:\n    - path: data/runs\n      hash: md5\n      md5: )\w", r"\1_"),
            ["evaluate: would run again"],
        ),
    ],
}


@pytest.mark.parametrize("kind", MISMATCHES)
def test_a_mismatch_is_a_line(clone: Path, kind: str) -> None:
    for change, _ in MISMATCHES[kind]:
        change(clone)
    assert check(clone) == (1, [*(line for _, lines in MISMATCHES[kind] for line in lines), *COMPARED])


def test_it_says_where_it_has_to_run(tmp_path: Path) -> None:
    finished = run(tmp_path, sys.executable, "-m", "stages.tools.lock")
    assert finished.returncode == 1
    assert finished.stderr == "lock: dvc.yaml does not exist; is this the checkout's root?\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "studies/one/dvc.lock: is empty; it must hold a mapping of sections"),
        ("{", "studies/one/dvc.lock: line 1: not valid YAML: expected the node content, but found '<stream end>'"),
        ("stages: [", "studies/one/dvc.lock: line 1: not valid YAML: expected the node content, but found '<stream end>'"),
        (
            "schema: '2.0'",
            "studies/one/dvc.lock: lists no stages; `python -m stages.tools restore` brings back the committed",
        ),
        ("stages: {}", "dvc: './studies/one/dvc.lock' validation failed."),
    ],
)
def test_a_lock_file_that_is_empty_or_broken_is_told_in_one_line(clone: Path, text: str, message: str) -> None:
    (clone / "studies" / "one" / "dvc.lock").write_text(text)
    finished = run(clone, sys.executable, "-m", "stages.tools.lock")
    done(clone, "git", "reset", "-q", "--hard")
    assert finished.returncode == 1
    assert finished.stderr.startswith(f"lock: {message}")
    assert len(finished.stderr.splitlines()) == 1
