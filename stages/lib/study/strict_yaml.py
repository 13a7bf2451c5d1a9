"""YAML files as frozen, typed sections: what is misspelt, out of range or of the wrong type is refused in one line.

Read with ruamel.yaml's YAML 1.2 rules, which are DVC's: `1e-3` is a number and `no` is a string.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar

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
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from stages.lib.cli import UserError

NAME = "^[a-z][a-z0-9_]*$"
Name = Annotated[str, StringConstraints(pattern=NAME)]
"""What users name: it becomes a folder, a column and a key for `-S`, so a small letter, then letters, digits, underscores."""


class Section(BaseModel):
    """A frozen mapping of known keys; values are taken as they are (`"5"` is no number, `true` is no integer)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            for key in value:
                if key not in cls.model_fields:
                    raise unknown("key", key, cls.model_fields)
        return value


AnySection = TypeVar("AnySection", bound=Section)


def shown(value: object) -> str:
    """A value as a message shows it: much as YAML writes it, on one line, and cut where it is long."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = str(value) if isinstance(value, date) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _dotted(parts: Collection[object]) -> str:
    """A key's path; a part that would not stay on one line is quoted."""
    return ".".join(str(part) if re.fullmatch(r"[\w-]{1,60}", str(part)) else shown(part) for part in parts) or "top level"


def unknown(kind: str, name: object, known: Collection[str], note: str = "") -> PydanticCustomError:
    """An error for a name that is not among the known ones: lists them, guesses what was meant, and adds the note."""
    guess = [close for close in get_close_matches(str(name), known, n=1) if close != name]
    meant = f" (did you mean {guess[0]!r}?)" if guess else ""
    message = f"unknown {kind} {shown(name)}{meant}; known: {', '.join(known)}{note}"
    return PydanticCustomError("unknown", "{message}", {"message": message})


def wrong(message: str) -> PydanticCustomError:
    """An error in our own words, for validators."""
    return PydanticCustomError("wrong", "{message}", {"message": message})


class Checked:
    """A validator of strings that JSON schemas know too: `schema` says there what `check` accepts."""

    def __init__(self, check: Callable[[str], str], schema: Mapping[str, Any]) -> None:
        self.check, self.schema = check, schema

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(core), **self.schema}


def one_of(kind: str, known: Collection[str]) -> Checked:
    """A validator for a string that must be among `known`."""

    def check(value: str) -> str:
        if value not in known:
            raise unknown(kind, value, known)
        return value

    return Checked(check, {"enum": list(known)})


def chosen_by(key: str, sections: Mapping[str, type[Section]]) -> WrapValidator:
    """A validator for a mapping whose `key` says which of the sections it is; pydantic's own would put tags into key paths."""

    def choose(value: Any, _: object) -> Section:
        if isinstance(value, Section):
            return value
        if not isinstance(value, Mapping):
            raise wrong(f"{shown(value)} must be a mapping")
        if key not in value:
            raise wrong(f"{key} is missing; known: {', '.join(sections)}")
        if not isinstance(value[key], str) or value[key] not in sections:
            raise unknown(key, value[key], sections)
        return sections[value[key]].model_validate(value)

    return WrapValidator(choose)


def _two(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(value) != 2:
        raise wrong(f"{shown(value)} must be a list of two")
    return value


TWO = BeforeValidator(_two)
"""A validator for a list that must have two items."""


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises UserError where there is none, or where DVC's `-S` would not do what it seems to."""
    try:
        text = path.read_text(encoding="utf-8")
        yaml = YAML(typ="safe", pure=True)
        for event in yaml.parse(text):
            line = f"{path}: line {event.start_mark.line + 1}"
            if getattr(event, "anchor", None):
                raise UserError(f"{line}: anchors and aliases make `dvc exp run -S` fail in silence; write the value out")
            if getattr(event, "value", None) == "<<" and not event.style:
                raise UserError(f"{line}: merge keys make `dvc exp run -S` fail in silence; write the values out")
            if getattr(event, "tag", None):
                raise UserError(f"{line}: {event.tag} is a tag; write the value without it")
        value = YAML(typ="safe", pure=True).load(text)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; is the folder right, and is this the checkout's root?") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(error.problem or error.context).split())
        raise UserError(f"{path}: line {mark.line + 1 if mark else '?'}: not valid YAML: {problem}") from None
    except (YAMLError, ValueError, RecursionError, OSError) as error:  # such as a date in a 13th month, or a file of bytes
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: {'is empty' if value is None else shown(value)}; it must hold a mapping of sections")
    _string_keys(value, path, ())
    return value


def _string_keys(value: Any, path: Path, where: tuple[str, ...]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise UserError(f"{path}: {_dotted(where)}: the key {shown(key)} is not text to YAML; quote it or rename it")
            _string_keys(inner, path, (*where, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _string_keys(inner, path, (*where, str(number)))


def validated(make: Callable[[], AnySection], path: Path, where: tuple[str, ...] = ()) -> AnySection:
    """The section that `make` builds. Raises UserError with the first mistake's key path, and how many more there are."""
    try:
        return make()
    except ValidationError as error:
        first, *others = error.errors(include_url=False)
        more = f" (and {len(others)} more)" if others else ""
        raise UserError(f"{path}: {describe(first, where)}{more}") from None


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


def describe(error: ErrorDetails, where: tuple[str, ...] = ()) -> str:
    """One line for a pydantic error: the key's path, the value, and what is allowed."""
    place = _dotted([*where, *(part for part in error["loc"] if part != "[key]")])
    kind, value = error["type"], error["input"]
    if kind in ("unknown", "wrong"):
        return f"{place}: {error['msg']}"
    if kind == "string_pattern_mismatch" and error["ctx"]["pattern"] == NAME:
        return f"{place}: {shown(value)} is no name: a small letter, then small letters, digits and underscores"
    if kind == "missing":
        return f"{place}: is missing"
    plain = _PLAIN.get(kind, "").format_map(error.get("ctx", {}))
    allowed = plain or error["msg"].replace("Input should", "must").replace("'", "")
    return f"{place}: {shown(value)} {allowed}"
