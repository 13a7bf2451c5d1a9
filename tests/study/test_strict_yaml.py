"""YAML files are read by DVC's rules, and whatever is in them, a mistake is a UserError of one line."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from stages.lib.cli import UserError, as_yaml
from stages.lib.study.strict_yaml import TWO, Name, Section, at, chosen_by, read_yaml, unknown


class Leaf(Section):
    count: Annotated[int, Field(ge=1)] = 1


class Tree(Section):
    leaf: Leaf = Leaf()
    leaves: dict[Name, Leaf] = {}
    pair: Annotated[tuple[int, int], Field(strict=False), TWO] = (0, 0)
    some: Annotated[tuple[int, ...], Field(strict=False, min_length=1, max_length=2)] = (0,)


class Square(Section):
    shape: Literal["square"]
    side: int


class Circle(Section):
    shape: Literal["circle"]
    radius: int


class Drawing(Section):
    first: Annotated[Square | Circle, chosen_by("shape", Square | Circle)]


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "file.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_yaml(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


def mistake(content: dict[str, Any], section: type[Section] = Tree) -> str:
    with pytest.raises(UserError) as caught, at(file=Path("file.yaml")):
        section.model_validate(content)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ": is empty; it must hold a mapping of sections"),
        ("# a comment\n", ": is empty; it must hold a mapping of sections"),
        ("---\n...\n", ": is empty; it must hold a mapping of sections"),
        ("- a\n- b\n", ": ['a', 'b']; it must hold a mapping of sections"),
        ("words\n", ": 'words'; it must hold a mapping of sections"),
        ("true\n", ": true; it must hold a mapping of sections"),
        ("a: 1\nb: 2\na: 3\n", ': line 3: not valid YAML: found duplicate key "a"'),
        ("a: &x 1\nb: *x\n", ": line 1: anchors and aliases make `dvc exp run -S` fail in silence"),
        ("a: [1\nb: 2\n", ": line 2: not valid YAML: "),
        ("a: 1\n\tb: 2\n", ": line 2: not valid YAML: "),
        ("a: {b: 1}}\n", ": line 1: not valid YAML: "),
        ("a: !wonder 1\n", ": line 1: !wonder is a tag; write the value without it"),
        ("a: 1\n---\nb: 1\n", ": line 2: not valid YAML: but found another document"),
        ("a:\n  <<: {b: 1}\n", ": line 2: merge keys make"),
        ("b: 1\na: 2024-13-45\n", ": line 2: '2024-13-45' is no date: month must be in 1..12"),
        ("a: 1" + "0" * 5000 + "\n", ": line 1: a number of 5001 digits; 1000 are the most"),
        ('b: 1\na: ["\\ud800"]\n', ": a.0: \\ud800 is half of a character; write the whole one"),
        ("a: " + "x" * 200_000, ": cannot be read: it has 200003 bytes; 200000 are the most"),
        ("a: !!int\n", ": line 1: tag:yaml.org,2002:int is a tag; write the value without it"),
        ("a: !!python/object/apply:os.system [ls]\n", ": line 1: tag:yaml.org,2002:python/object/apply:os.system is a tag"),
        ("b: 2\na: !!set {1}\n", ": line 2: tag:yaml.org,2002:set is a tag"),
        ("b: 1\na: '\0'\n", ": line 2: not valid YAML: a control character, U+0000"),
        ("a: \x1b[31m\n", ": line 1: not valid YAML: a control character, U+001B"),
        (b"\xff\xfe\x00junk\x00", ": cannot be read: "),
        (b"\x89PNG\r\n\x1a\n\x00\x00", ": cannot be read: "),
        (b"a: caf\xe9\n", ": cannot be read: 'utf-8' codec can't decode"),
        ("a: " + "[" * 500 + "]" * 500, ": line 1: more than 30 lists and mappings within each other; settings need five"),
        ("a: " + "[" * 50_000, ": line 1: more than 30 lists and mappings within each other; settings need five"),
        ("a: " + "{b: " * 30_000, ": line 1: more than 30 lists and mappings within each other; settings need five"),
        ("? [a, b]\n: 1\n", ": top level: the key ('a', 'b') is not text to YAML"),
        ("a:\n  - b: {7: 1}\n", ": a.0.b: the key 7 is not text to YAML; quote it or rename it"),
    ],
)
def test_what_is_no_mapping_of_text_keys_is_refused(content: str | bytes, message: str, tmp_path: Path) -> None:
    assert refusal(written(tmp_path, content)).startswith(message)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "file.yaml").startswith(" does not exist; is the folder right")
    assert refusal(tmp_path / "folder" / "file.yaml").startswith(" does not exist; is the folder right")


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == ": cannot be read: it is no file"
    os.mkfifo(tmp_path / "pipe.yaml")  # reading it would wait for ever
    assert refusal(tmp_path / "pipe.yaml") == ": cannot be read: it is no file"
    assert refusal(written(tmp_path, "a: 1") / "file.yaml").startswith(": cannot be read: ")


def test_yaml_1_2_decides_what_is_a_number_and_what_is_text(tmp_path: Path) -> None:
    """As for DVC: in YAML 1.1, `1e-3` would be text, `no` false, and `010` eight."""
    content = read_yaml(written(tmp_path, "a: 1e-3\nb: no\nc: 010\nd: on\ne: 1_000\nf: 'true'\ng: true\n"))
    assert content == {"a": 0.001, "b": "no", "c": 10, "d": "on", "e": 1000, "f": "true", "g": True}
    assert type(content["c"]) is int


def test_what_a_source_reports_keeps_its_text_and_other_numbers_are_plain(tmp_path: Path) -> None:
    text = "reported: {a: 0.9960, b: 7, c: [0.50], d: 1e-3}\nrate: 0.10\n"
    found = read_yaml(written(tmp_path, text))
    assert found == {"reported": {"a": 0.996, "b": 7, "c": [0.5], "d": 0.001}, "rate": 0.1}
    assert [getattr(found["reported"][name], "text", None) for name in "abd"] == ["0.9960", None, "1e-3"]
    assert type(found["rate"]) is type(found["reported"]["c"][0]) is float


@pytest.mark.parametrize("content", ["a: 1\r\nb: é\r\n", "\ufeffa: 1\nb: é\n", "---\na: 1\nb: é\n...\n", "{a: 1, b: é}"])
def test_every_way_to_write_the_same_is_read_the_same(content: str, tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, content)) == {"a": 1, "b": "é"}


def test_a_quoted_merge_sign_is_text(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "a: '<<'\n")) == {"a": "<<"}


@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    st.lists(st.sampled_from([*"abk:-,[]{}#&*!|>'\"%@`?<= \n\t~1", "\n  ", ": ", "- ", "<<", "!!int ", "2024-13-45", "---\n"]))
)
def test_any_text_is_a_mapping_or_a_mistake_of_one_line(tmp_path_factory: pytest.TempPathFactory, pieces: list[str]) -> None:
    path = written(tmp_path_factory.getbasetemp(), "k: 1\n" + "".join(pieces))
    try:
        content: Any = read_yaml(path)
    except UserError as error:
        refused = str(error)
    else:
        refused = ""
        assert isinstance(content, dict)
    assert "\n" not in refused


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.binary(max_size=40))
def test_any_bytes_are_a_mapping_or_a_mistake(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = written(tmp_path_factory.getbasetemp(), content)
    with suppress(UserError):
        assert isinstance(read_yaml(path), dict)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"leef": {}}, "top level: unknown key 'leef' (did you mean 'leaf'?); known: leaf, leaves, pair, some"),
        ({"leaf": {"count": 0}}, "leaf.count: 0 must be greater than or equal to 1"),
        ({"leaf": {"count": "1"}}, "leaf.count: '1' must be a whole number"),
        ({"leaf": {"count": True}}, "leaf.count: true must be a whole number"),
        ({"leaf": None}, "leaf: null must be a mapping"),
        ({"leaf": {"count": 0}, "leaves": {"a": 5}}, "leaf.count: 0 must be greater than or equal to 1 (and 1 more)"),
        (
            {"leaves": {"A": {}}},
            "leaves.A: 'A' is no name: a small letter, then small letters, digits and underscores, 60 in all at most",
        ),
        (
            {"leaves": {"a b": {}}},
            "leaves.'a b': 'a b' is no name: a small letter, then small letters, digits and underscores, 60 in all at most",
        ),
        ({"leaves": {"a": {"size": 1}}}, "leaves.a: unknown key 'size'; known: count"),
        ({"pair": [1]}, "pair: [1] must be a list of two"),
        ({"pair": [1, 2, 3]}, "pair: [1, 2, 3] must be a list of two"),
        ({"pair": [1, 2.5]}, "pair.1: 2.5 must be a whole number"),
        ({"pair": "ab"}, "pair: 'ab' must be a list"),
        ({"some": []}, "some: [] must have 1 or more items"),
        ({"some": [1, 2, 3]}, "some: [1, 2, 3] must have 2 items or fewer"),
    ],
)
def test_a_mistake_is_one_line_with_the_key_s_path(content: dict[str, Any], message: str) -> None:
    assert mistake(content) == f"file.yaml: {message}"


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (5, "first: 5 must be a mapping"),
        ({"side": 1}, "first: shape is missing; known: square, circle"),
        ({"shape": "sqare"}, "first: unknown shape 'sqare' (did you mean 'square'?); known: square, circle"),
        ({"shape": ["square"]}, "first: unknown shape ['square'] (did you mean 'square'?); known: square, circle"),
        ({"shape": "square", "radius": 1}, "first: unknown key 'radius'; known: shape, side"),
        ({"shape": "circle", "radius": "1"}, "first.radius: '1' must be a whole number"),
        ({"shape": "circle"}, "first.radius: is missing"),
    ],
)
def test_a_mistake_in_a_section_that_a_key_chooses_has_the_path_of_the_file(first: Any, message: str) -> None:
    assert mistake({"first": first}, Drawing) == f"file.yaml: {message}"


def test_the_key_chooses_the_section() -> None:
    drawing = Drawing.model_validate({"first": {"shape": "circle", "radius": 2}})
    assert drawing.first == Circle(shape="circle", radius=2)
    assert Drawing.model_validate(drawing.model_dump()) == drawing


def test_values_are_shown_as_yaml_writes_them_and_cut_to_sixty_characters() -> None:
    assert [as_yaml(value) for value in (None, True, False, 5, 0.5, "a", "a\n", [1])] == (
        ["null", "true", "false", "5", "0.5", "'a'", r"'a\n'", "[1]"]
    )
    assert len(as_yaml("x" * 500)) == 60
    assert as_yaml("x" * 500).endswith("...")


def test_unknown_guesses_but_never_what_was_given() -> None:
    assert str(unknown("colour", "rde", ["red", "blue"])) == "unknown colour 'rde' (did you mean 'red'?); known: red, blue"
    assert str(unknown("colour", "red", ["red"])) == "unknown colour 'red'; known: red"
    assert str(unknown("colour", "x", ["red"], "; or none")) == "unknown colour 'x'; known: red; or none"
