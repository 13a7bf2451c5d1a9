"""Text of any kind stays text in Markdown, and a command replaces its own part of a page alone."""

from __future__ import annotations

import pytest

from stages.lib.cli import UserError
from stages.lib.markdown import RIGHT, between_markers, cell, code, escape, markers, table

MARKS = markers("results", "python -m stages.tools overview")


def test_a_stranger_s_text_renders_nothing_and_notifies_nobody() -> None:
    assert escape("![a](b) <i> @you `c` *d*\ne|f") == "!\\[a\\](b) &lt;i> &#64;you \\`c\\` \\*d\\* e\\|f"


def test_longer_text_is_cut() -> None:
    assert escape("a" * 200, 10) == "a" * 9 + "…"
    assert code("a" * 200, 10) == f"`{'a' * 9}…`"


def test_code_ends_where_it_should() -> None:
    assert code("a `b` |\n c") == "`a 'b' \\| c`"


def test_a_cell_stays_one() -> None:
    assert cell("a |\n  b < c") == "a \\| b &lt; c"


def test_a_table_has_a_line_for_every_row() -> None:
    assert table(["a", "b"], [["x", 1]], ["---", RIGHT]) == "| a | b |\n| --- | ---: |\n| x | 1 |"
    assert table(["a", "b"], []) == "| a | b |\n| --- | --- |"


def test_the_content_replaces_what_is_between_the_markers() -> None:
    begin, end = MARKS
    page = f"before\n{begin}\nold\n{end}\nafter"
    expected = f"before\n{begin}\nnew\n{end}\nafter"
    assert between_markers(page, MARKS, "new", "README.md") == expected
    assert between_markers(expected, MARKS, "new", "README.md") == expected


@pytest.mark.parametrize("page", ["", *MARKS, "\n".join(reversed(MARKS))])
def test_a_page_without_markers_is_refused(page: str) -> None:
    with pytest.raises(UserError, match=r"^README\.md: the markers .* are missing"):
        between_markers(page, MARKS, "new", "README.md")
