"""Every illustration: its name, its bytes, and the data that it needs."""

from __future__ import annotations

import pytest

from helpers.illustrations import drawn, study_of
from helpers.study import prepared_for
from stages.lib.cli import UserError
from stages.lib.data.prepared import Prepared
from stages.lib.report.figures.style import png, svg
from stages.lib.report.illustrations.illustrated import file_of
from stages.lib.report.illustrations.registry import REGISTRY, illustrate
from stages.lib.study.claims import ILLUSTRATIONS


def test_every_name_has_a_function_and_every_function_a_name() -> None:
    assert sorted(REGISTRY) == sorted(ILLUSTRATIONS)


@pytest.mark.parametrize("name", ILLUSTRATIONS)
def test_an_illustration_is_small_and_the_same_bytes_each_time(name: str) -> None:
    def content() -> bytes:
        each = drawn(name)
        assert file_of(name, each).startswith(f"illustration_{name}.")
        assert all(len(row) == len(each.header) for row in each.rows)
        assert "\n" not in each.finding
        assert "  " not in each.finding + each.caption
        return png(each.figure) if each.is_image else svg(each.figure)

    first = content()
    assert 0 < len(first) < 300_000
    assert b"mathdefault" not in first
    assert content() == first


@pytest.mark.parametrize("name", ["digit_grid", "first_image", "label_grid"])
def test_images_are_needed_where_images_are_shown(name: str) -> None:
    study = study_of(**{name: {}})
    prepared = prepared_for(study)
    flat = {split: (x.reshape(len(x), -1), y) for split, (x, y) in prepared.splits.items()}
    with pytest.raises(UserError, match=f"illustrations.{name}: needs images, which the data set 'blobs' has not"):
        illustrate(study, Prepared(flat, prepared.views, prepared.facts))
