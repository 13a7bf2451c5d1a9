"""Variables outside params.yaml: each is read and checked in one module, and stands in its table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers.checkout import ROOT
from stages.lib import environment
from stages.lib.cli import UserError
from stages.lib.engine.cache import ReplicateCache

FROM_OTHERS = {
    "stages/lib/engine/runs.py": {"DVC_STAGE"},  # DVC sets it
    "stages/lib/engine/trainer.py": {"KERAS_BACKEND"},  # the worker has set it
}
"""Variables that a stage reads although no user sets them."""


def test_no_other_module_reads_a_variable_of_the_user() -> None:
    for path in sorted((ROOT / "stages").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name == "stages/lib/environment.py":
            continue
        read = set(
            re.findall(r"""(?:os\.environ(?:\.get)?[\[(]|os\.getenv\()["'](\w+)["']""", path.read_text(encoding="utf-8"))
        )
        read |= set(re.findall(r"""["'](\w+)["'] in os\.environ""", path.read_text(encoding="utf-8")))
        assert read <= FROM_OTHERS.get(name, set()), name


def test_the_table_has_every_variable_once() -> None:
    names = [each.name for each in environment.VARIABLES]
    assert len(set(names)) == len(names)
    read = {value for name, value in vars(environment).items() if name.isupper() and isinstance(value, str)}
    assert read | {*environment.DECISIVE, "XDG_CACHE_HOME"} == set(names)
    assert all(each.allowed and each.default and each.meaning for each in environment.VARIABLES)


@pytest.mark.parametrize("given", ["many", "0", "-1", "1.5", "", "²"])
def test_only_a_count_is_a_number_of_workers(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIPS_WORKERS", given)
    with pytest.raises(UserError, match=f"^TIPS_WORKERS: {given!r} is not allowed; a whole number of at least 1 is$"):
        environment.workers()


def test_without_variables_nothing_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in environment.VARIABLES:
        monkeypatch.delenv(each.name, raising=False)
    assert (environment.workers(), environment.scheduler(), environment.mirror(), environment.visible_cards()) == (None,) * 4
    assert not environment.allows_insecure()
    assert environment.decisive() == {}
    assert environment.cache_limit() == 5_000_000_000
    environment.check_backend("torch")


def test_a_backend_that_disagrees_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    environment.check_backend("jax")
    with pytest.raises(UserError, match=r"^KERAS_BACKEND is jax, but replicates\.backend is torch; unset or change one$"):
        environment.check_backend("torch")


def test_the_limit_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TIPS_CACHE_GB", "0.5")
    cache = ReplicateCache.of_user()
    assert cache.limit == 500_000_000
    assert tmp_path in cache.folder.parents
    for given in ("2GB", "", "inf", "nan", "-1"):
        monkeypatch.setenv("TIPS_CACHE_GB", given)
        with pytest.raises(UserError, match=f"^TIPS_CACHE_GB: '{given}' is not allowed; a number of gigabytes is$"):
            ReplicateCache.of_user()
