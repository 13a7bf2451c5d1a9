"""Studies with illustrations, and what is drawn for them."""

from __future__ import annotations

from typing import Any

from helpers.study import prepared_for, study_with
from stages.lib.report.illustrations.illustrated import Illustrated
from stages.lib.report.illustrations.registry import illustrate
from stages.lib.study.settings import Study


def study_of(changes: dict[str, Any] | None = None, **illustrations: dict[str, tuple[float, ...]]) -> Study:
    """A study with illustrations, by the numbers that the source prints."""
    wanted = {name: {"says": "As said.", "reported": reported} for name, reported in illustrations.items()}
    return study_with({**(changes or {}), "illustrations": wanted})


def drawn(name: str, study: Study | None = None) -> Illustrated:
    study = study or study_of(**{name: {}})
    return illustrate(study, prepared_for(study))[name]
