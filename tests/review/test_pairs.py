"""What was renamed is found by what it is."""

from __future__ import annotations

from stages.lib.review.pairs import matched


def test_renames_pair_each_name_once() -> None:
    first, second = {"a": 1, "b": 1, "c": 2}, {"x": 1, "y": 1, "z": 1, "w": 3}
    assert matched("abc", "xyzw", [(first, second)]) == {"x": "a", "y": "b"}
    assert matched("abc", "xyzw", [({"b": "tip"}, {"x": "tip"}), (first, second)]) == {"x": "b", "y": "a"}
