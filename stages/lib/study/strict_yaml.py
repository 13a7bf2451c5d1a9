"""YAML files as frozen, typed sections. A misspelt key, a wrong type or a value out of range is refused in one line.

Read with ruamel.yaml's YAML 1.2 rules, which are DVC's: `1e-3` is a number and `no` is a string.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationError,
    WrapValidator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, core_schema
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.reader import ReaderError

from stages.lib.cli import SettingError, UserError, as_yaml

NAME = "^[a-z][a-z0-9_]{0,59}$"
NO_NAME = "is no name: a small letter, then small letters, digits and underscores, 60 in all at most"
LONGEST_FILE = 200_000
"""Bytes. Reading that many takes two seconds."""
DEEPEST = 30
"""Levels of lists and mappings within each other. Each one more makes the parser slower, and params.yaml has five."""
LONGEST_NUMBER = 1000
"""Digits."""
LONGEST_LIST = 240
"""Characters of the list of known names in a message."""
Name = Annotated[str, StringConstraints(pattern=NAME)]
"""What users name. It becomes a folder, a column and a key for `-S`."""


class Printed(float):
    """A number, with the text that a file has for it: YAML's 0.9960 is 0.996, but says that four decimals were printed."""

    text: str

    def __new__(cls, text: str) -> Printed:
        number = super().__new__(cls, text.replace("_", ""))
        number.text = text
        return number


class _Constructor(SafeConstructor):
    """ruamel.yaml's, which keeps the text of decimal numbers."""

    def construct_yaml_float(self, node: Any) -> float:
        number = super().construct_yaml_float(node)
        return Printed(node.value) if math.isfinite(number) else float(number)


_Constructor.add_constructor("tag:yaml.org,2002:float", _Constructor.construct_yaml_float)


class Section(BaseModel):
    """A frozen mapping of known keys. Values are taken as they are: `"5"` is no number, `true` is no integer.

    The string below a field says what it means. docs/knobs.md and the JSON schemas are made from these.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            for key in value:
                if key not in cls.model_fields:
                    raise unknown("key", key, cls.model_fields)
        return value


def unknown(kind: str, name: object, known: Collection[str], note: str = "") -> SettingError:
    """An error for a name that is not among the known ones. It guesses what was meant, lists the names, and adds the note.

    Of many names, those that are most like the unknown one are listed, and how many more there are.
    """
    guess = [close for close in get_close_matches(str(name), known, n=1) if close != name]
    meant = f" (did you mean {as_name(guess[0])}?)" if guess else ""
    return SettingError(f"unknown {kind} {as_yaml(name)}{meant}; known: {listed(known, str(name))}{note}")


def as_name(name: str) -> str:
    """A name in quotes, cut if it is long."""
    return repr(name if len(name) <= 60 else f"{name[:57]}...")


def listed(known: Collection[str], like: str) -> str:
    """The names, or as many as a message can take, the ones most like `like` first, and how many more there are."""
    names = [name if len(name) <= 60 else f"{name[:57]}..." for name in known]
    if len(", ".join(names)) <= LONGEST_LIST:
        return ", ".join(names)
    closest = get_close_matches(like, names, n=8, cutoff=0.0)
    while len(", ".join(closest)) > LONGEST_LIST:
        closest.pop()
    return f"{', '.join(closest)} and {len(names) - len(closest)} more"


class Checked:
    """A validator of strings that JSON schemas know too: `schema` says there what `check` accepts."""

    def __init__(self, check: Callable[[str], str], schema: Mapping[str, Any]) -> None:
        self.check, self.schema = check, schema

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(core), **self.schema}


def one_of(kind: str, known: Collection[str]) -> Checked:
    """A validator for a string that must be a key of a table. Where there is no table, a Literal does the same."""

    def check(value: str) -> str:
        if value not in known:
            raise unknown(kind, value, known)
        return value

    return Checked(check, {"enum": list(known)})


def matching(pattern: str, allowed: str) -> Checked:
    """A validator for a string that must match `pattern` as a whole. `allowed` says in words what does."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise SettingError(f"{value!r} must be {allowed}")
        return value

    return Checked(check, {"pattern": f"^({pattern})$"})


def chosen_by(key: str, union: Any) -> WrapValidator:
    """A validator for a mapping whose `key` says which section of the union it is.

    pydantic's own discriminator would put its tags into the places of mistakes, and would not list what is known if `key` is
    missing.
    """
    sections: dict[str, type[Section]] = {
        get_args(section.model_fields[key].annotation)[0]: section for section in get_args(union)
    }

    def choose(value: Any, _: object) -> Section:
        if isinstance(value, Section):
            return value
        if not isinstance(value, Mapping):
            raise SettingError(f"{as_yaml(value)} must be a mapping")
        if key not in value:
            raise SettingError(f"{key} is missing; known: {', '.join(sections)}")
        if not isinstance(value[key], str) or value[key] not in sections:
            raise unknown(key, value[key], sections)
        return sections[value[key]].model_validate(value)

    return WrapValidator(choose)


def _two(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(value) != 2:
        raise SettingError(f"{as_yaml(value)} must be a list of two")
    return value


TWO = BeforeValidator(_two)
"""A validator for a list that must have two items."""


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises UserError if there is none, or if DVC's `-S` would go wrong with it."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise UserError(f"{path}: cannot be read: it is no file")
        if path.stat().st_size > LONGEST_FILE:
            raise UserError(f"{path}: cannot be read: it has {path.stat().st_size} bytes; {LONGEST_FILE} are the most")
        text = path.read_text(encoding="utf-8")
        _refuse_what_goes_wrong(text, path)
        yaml = YAML(typ="safe", pure=True)
        yaml.Constructor = _Constructor
        value = _texts_where_printed(yaml.load(text))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; is the folder right, and is this the checkout's root?") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(error.problem or error.context).split())
        raise UserError(f"{path}: line {mark.line + 1 if mark else '?'}: not valid YAML: {problem}") from None
    except ReaderError as error:
        line = str(text[: error.position]).count("\n") + 1
        raise UserError(f"{path}: line {line}: not valid YAML: a control character, U+{error.character:04X}") from None
    except (YAMLError, ValueError, RecursionError, OSError) as error:  # such as a date in a 13th month, or a file of bytes
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: {'is empty' if value is None else as_yaml(value)}; it must hold a mapping of sections")
    with at(file=path):
        _check_text(value)
    return value


def flattened(content: Any, start: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of nested mappings by its dotted key, as `dvc params diff` names it. A list is a value; null is none."""
    for key, value in content.items() if isinstance(content, dict) else ():
        if isinstance(value, dict):
            yield from flattened(value, f"{start}{key}.")
        elif value is not None:
            yield f"{start}{key}", value


def _refuse_what_goes_wrong(text: str, path: Path) -> None:
    """Raises UserError for what DVC cannot set, and for what would take the parser minutes."""
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        line = f"{path}: line {event.start_mark.line + 1}"
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise UserError(f"{line}: more than {DEEPEST} lists and mappings within each other; settings need five")
        value = getattr(event, "value", None)
        if isinstance(value, str) and not event.style:
            _refuse_number_or_date(value, line)
        if getattr(event, "anchor", None):
            raise UserError(f"{line}: anchors and aliases make `dvc exp run -S` fail in silence; write the value out")
        if getattr(event, "value", None) == "<<" and not event.style:
            raise UserError(f"{line}: merge keys make `dvc exp run -S` fail in silence; write the values out")
        if getattr(event, "tag", None):
            raise UserError(f"{line}: {event.tag} is a tag; write the value without it")


def _refuse_number_or_date(value: str, line: str) -> None:
    """Raises UserError for a number that is longer than any setting, and for a day that is not in the calendar."""
    if re.fullmatch(rf"[-+]?[\d_]{{{LONGEST_NUMBER},}}", value):
        raise UserError(f"{line}: a number of {len(value)} digits; {LONGEST_NUMBER} are the most")
    if re.match(r"\d{4}-\d\d?-\d\d?", value):
        try:
            YAML(typ="safe", pure=True).load(value)
        except ValueError as error:
            raise UserError(f"{line}: {as_yaml(value)} is no date: {error}") from None


def _texts_where_printed(value: Any, key: str = "") -> Any:
    """The same, with plain numbers but for the values of `reported`, which say how a source prints them."""
    if isinstance(value, dict):
        keep = key == "reported"
        return {
            name: inner if keep and isinstance(inner, Printed) else _texts_where_printed(inner, name)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_texts_where_printed(inner) for inner in value]
    return float(value) if isinstance(value, Printed) else value


def _check_text(value: Any, *place: str) -> None:
    """Raises SettingError for a key that is no text, and for text that no file can hold."""
    if isinstance(value, str) and (lone := re.search("[\ud800-\udfff]", value)):
        raise SettingError(f"\\u{ord(lone[0]):x} is half of a character; write the whole one", *place)
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise SettingError(f"the key {as_yaml(key)} is not text to YAML; quote it or rename it", *place)
            _check_text(key, *place)
            _check_text(inner, *place, key)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _check_text(inner, *place, str(number))


@contextmanager
def at(*place: str, file: Path | None = None) -> Iterator[None]:
    """Put `place` in front of the place of a mistake that the body raises, and name the file.

    pydantic's errors become a SettingError about the first mistake, which says how many more there are.
    """
    try:
        yield
    except ValidationError as error:
        raise first_mistake(error).below(*place, file=file) from None
    except SettingError as error:
        raise error.below(*place, file=file) from None


def first_mistake(error: ValidationError) -> SettingError:
    """The first of pydantic's errors. How many more there are is said at the end."""
    first, *others = error.errors(include_url=False)
    more = f" (and {len(others)} more)" if others else ""
    place = [str(part) for part in first["loc"] if part != "[key]"]
    ours = first.get("ctx", {}).get("error")
    if isinstance(ours, SettingError):
        return SettingError(f"{ours.message}{more}", *place, *ours.place)
    return SettingError(f"{_in_words(first)}{more}", *place)


_PLAIN = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "too_short": "must have {min_length} or more items",
    "too_long": "must have {max_length} items or fewer",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}


def _in_words(error: ErrorDetails) -> str:
    """What is wrong with a value, and what is allowed."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "string_pattern_mismatch" and context["pattern"] == NAME:
        return f"{as_yaml(value)} {NO_NAME}"
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", context["expected"])
        if not isinstance(value, str):
            return f"{as_yaml(value)} must be text; known: {listed(known, str(value))}"
        key = error["loc"][-1]
        return unknown(str(key) if key != "[key]" else "name", value, known).message
    if kind == "string_type" and isinstance(value, int | float | bool):
        return f'{as_yaml(value)} must be text, which has quotes: "{as_yaml(value)}"'
    plain = _PLAIN.get(kind, "").format_map(context)
    return f"{as_yaml(value)} {plain or error['msg'].replace('Input should', 'must')}"
