"""Small studies to train in seconds, and the environment in which Keras is imported: one thread, as in a worker."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from filelock import FileLock

from helpers.checkout import stage
from helpers.processes import LONGER, bytes_of
from helpers.search import Pretender
from helpers.study import write_study
from stages.lib.engine import runs
from stages.lib.engine.conditions import training_variables

os.environ.update(training_variables("tensorflow"))
os.environ.pop("DVC_STAGE", None)

FIRST = ("test_studies", "test_pipeline", "test_train", "test_cluster", "test_docs")
"""Files that take longest, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first, so that at the end no process of xdist waits for another's."""
    assert set(FIRST) <= {path.stem for path in Path(__file__).parent.rglob("test_*.py")}
    items.sort(key=lambda item: FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> Generator[None]:
    """Say in one line, after everything else, what was not tried and why."""
    yield
    skipped = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", []))
    reasons = [f"{reason} ({count})" for reason, count in sorted(skipped.items())]
    if config.option.markexpr == "not slow":
        reasons.append("slow tests are left to `make test-all`")
    if reasons:
        terminalreporter.write_line(f"not tried: {'; '.join(reasons)}")


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[str, Callable[[Path], object]], Path]:
    """Make a folder for all tests of a run, whichever of xdist's processes wants it first. Tests do not change it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "shared"
    shared.mkdir(exist_ok=True)

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # what a failure left
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture
def small_study(tmp_path: Path) -> Callable[..., Path]:
    """Write a small study, whose data are prepared, into the folder `study`."""
    return lambda changes=None: write_study(tmp_path / "study", changes)


@pytest.fixture(scope="session")
def trained_once(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The folder `study` of a small study that was trained and evaluated, and the user's `cache` that came of it."""

    def make(folder: Path) -> None:
        study = write_study(folder / "study")
        for name in ("train", "evaluate"):
            done = stage(name, study, cache=folder / "cache")
            assert done.returncode == 0, done.stderr

    return once("trained", make)


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    """A copy of them, to change."""
    return Path(shutil.copytree(trained_once, tmp_path / "trained"))


@pytest.fixture(scope="session")
def expected(once: Callable[[str, Callable[[Path], object]], Path]) -> dict[str, str]:
    """What an undisturbed run with one worker writes for the longer study: path -> digest."""

    def make(folder: Path) -> None:
        done = stage("train", write_study(folder / "study", LONGER), cache=folder / "cache")
        assert done.returncode == 0, done.stderr

    return bytes_of(once("longer", make) / "study" / "data" / "runs")


@pytest.fixture
def pretender(monkeypatch: pytest.MonkeyPatch) -> Pretender:
    """A search's replicates are made up instead of trained."""
    made = Pretender()
    monkeypatch.setattr(runs, "train_missing", made)
    return made
