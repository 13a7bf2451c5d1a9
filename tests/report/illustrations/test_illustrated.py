"""Numbers that a source prints, beside ours."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.illustrations import study_of
from helpers.study import prepared_for
from stages.lib.cli import UserError
from stages.lib.report.illustrations.illustrated import agrees, compare_printed
from stages.lib.report.illustrations.registry import illustrate
from stages.lib.study.settings import Study


def rows_of(study: Study) -> list[tuple[Any, ...]]:
    table = compare_printed(study, illustrate(study, prepared_for(study)))
    return list(table.itertuples(index=False, name=None))


def test_the_sigmoid_s_printed_numbers_agree() -> None:
    at_255 = (0.93, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    at_1 = (0.50, 0.52, 0.55, 0.60, 0.69, 0.83, 0.96, 1.00)
    rows = rows_of(study_of(sigmoid_saturation={"x_255": at_255, "x_1": at_1}))
    assert len(rows) == 16
    assert all(agrees for *_, agrees in rows)
    assert [row[1] for row in rows] == ["x_1"] * 8 + ["x_255"] * 8


def test_a_number_agrees_where_it_rounds_to_the_printed_one() -> None:
    assert agrees(0.93, 0.9276, 2)
    assert agrees(0.67, 0.665, 2)  # at a tie, either way
    assert not agrees(0.93, 0.9249, 2)
    assert rows_of(study_of(losses={"cross_entropy": (2.1,)})) == [("losses", "cross_entropy", 2.1, 2.30259, False)]


def test_a_reported_number_that_is_not_measured_is_refused() -> None:
    with pytest.raises(UserError, match=r"illustrations.losses.reported.hinge: is not measured; known: half_squared_error"):
        rows_of(study_of(losses={"hinge": (1.0,)}))
    with pytest.raises(UserError, match=r"reported.cross_entropy: has 2 numbers, and 1 are measured"):
        rows_of(study_of(losses={"cross_entropy": (1.0, 2.0)}))
    with pytest.raises(UserError, match="known: none"):
        rows_of(study_of(first_image={"pixels": (784.0,)}))
