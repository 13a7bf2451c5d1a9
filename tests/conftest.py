"""Small studies to train in seconds, and the environment in which Keras is imported: one thread, as in a worker."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.search import Pretender
from helpers.study import write_study
from stages.lib.engine import runs
from stages.lib.engine.cluster import worker_environment

os.environ.update(worker_environment("tensorflow"))
os.environ.pop("DVC_STAGE", None)

SLOW = ("test_studies", "test_pipeline", "test_train", "test_cluster", "test_docs")
"""Files that take minutes, the slowest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files come first, so that at the end no process of xdist waits for another's."""
    assert set(SLOW) <= {path.stem for path in Path(__file__).parent.rglob("test_*.py")}
    items.sort(key=lambda item: SLOW.index(item.path.stem) if item.path.stem in SLOW else len(SLOW))


@pytest.fixture
def small_study(tmp_path: Path) -> Callable[..., Path]:
    """Write a small study, whose data are prepared, into the folder `study`."""
    return lambda changes=None: write_study(tmp_path / "study", changes)


@pytest.fixture
def pretender(monkeypatch: pytest.MonkeyPatch) -> Pretender:
    """A search's replicates are made up instead of trained."""
    made = Pretender()
    monkeypatch.setattr(runs, "train_missing", made)
    return made
