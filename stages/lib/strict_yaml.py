"""YAML files as frozen, typed sections: what is misspelt, out of range or of the wrong type is refused in one line.

Read with ruamel.yaml's YAML 1.2 rules, which are DVC's: `1e-3` is a number and `no` is a string.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from stages.lib.cli import UserError

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
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


def unknown(kind: str, name: object, known: Collection[str]) -> PydanticCustomError:
    """An error for a name that is not among the known ones: lists them, and guesses what was meant."""
    guess = get_close_matches(str(name), known, n=1)
    message = f"unknown {kind} {name!r}{f' (did you mean {guess[0]!r}?)' if guess else ''}; known: {', '.join(known)}"
    return PydanticCustomError("unknown", "{message}", {"message": message})


def wrong(message: str) -> PydanticCustomError:
    """An error in our own words, for validators."""
    return PydanticCustomError("wrong", "{message}", {"message": message})


def one_of(kind: str, known: Collection[str]) -> AfterValidator:
    """A validator for a string that must be among `known`."""

    def check(value: str) -> str:
        if value not in known:
            raise unknown(kind, value, known)
        return value

    return AfterValidator(check)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises UserError where there is none, or where DVC's `-S` would not do what it seems to."""
    try:
        text = path.read_text(encoding="utf-8")
        yaml = YAML(typ="safe", pure=True)
        for event in yaml.parse(text):
            if getattr(event, "anchor", None):
                line = event.start_mark.line + 1
                raise UserError(
                    f"{path}: line {line}: anchors and aliases make `dvc exp run -S` fail in silence; write the value out"
                )
        value = YAML(typ="safe", pure=True).load(text)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; is the folder right, and is this the checkout's root?") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UserError(f"{path}: line {mark.line + 1 if mark else '?'}: not valid YAML: {error.problem}") from None
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: must hold a mapping of sections, not {type(value).__name__}")
    _string_keys(value, path, ())
    return value


def _string_keys(value: Any, path: Path, where: tuple[str, ...]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                place = ".".join(where) or "top level"
                raise UserError(f"{path}: {place}: the key {key!r} is read as {type(key).__name__}; quote it or rename it")
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
    "missing": "is missing",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}


def describe(error: ErrorDetails, where: tuple[str, ...] = ()) -> str:
    """One line for a pydantic error: the key's path, the value, and what is allowed."""
    place = ".".join([*where, *(str(part) for part in error["loc"] if part != "[key]")]) or "top level"
    kind, value = error["type"], error["input"]
    if kind in ("unknown", "wrong"):
        return f"{place}: {error['msg']}"
    if kind == "string_pattern_mismatch" and error["ctx"]["pattern"] == "^[a-z][a-z0-9_]*$":
        return f"{place}: {value!r} is no name: a small letter, then small letters, digits and underscores"
    if kind == "missing":
        return f"{place}: is missing"
    allowed = _PLAIN.get(kind, error["msg"].replace("Input should", "must").replace("'", ""))
    shown = repr(value)
    return f"{place}: {shown if len(shown) <= 60 else shown[:57] + '...'} {allowed}"
