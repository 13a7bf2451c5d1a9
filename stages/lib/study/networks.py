"""Networks of one's own: files in the folder `networks` of a study, read as syntax trees and not imported.

A file has a function `build(inputs, outputs, *, ...)`, which returns a keras.Model. Its keyword arguments are knobs: the keys
of `model.options`, with the types and the defaults that the function gives them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter

from stages.lib.cli import SettingError, UserError, as_yaml
from stages.lib.study.strict_yaml import LONGEST_FILE, NAME, at, unknown
from stages.lib.study.values import MOST, Finite
from stages.lib.syntax import digest_of

FOLDER = "networks"
BUILD = "def build(inputs, outputs, *, width: int = 32)"
"""What a file must have, for messages."""
NOTHING: Any = ...
"""The default of an option that must be given."""
_Whole = Annotated[int, Field(ge=-MOST, le=MOST)]
_WHOLE_NUMBERS = Annotated[tuple[_Whole, ...], Field(strict=False, max_length=1000)]
_KINDS: dict[str, Any] = {"int": _Whole, "float": Finite, "bool": bool, "str": str}
_ALLOWED = "int, float, bool, str, list[int], tuple[int, ...] and Literal[...] of texts or whole numbers"


@dataclass(frozen=True)
class Option:
    """A keyword argument of `build`. It has a type, or else choices."""

    name: str
    kind: Any = None
    choices: tuple[str | int, ...] = ()
    default: Any = NOTHING
    is_list: bool = False

    def value(self, given: Any) -> Any:
        """The value, a list as a tuple. Raises SettingError for one of another type."""
        if self.choices:
            if any(choice == given and type(choice) is type(given) for choice in self.choices):
                return given
            if isinstance(given, str):
                raise unknown("choice", given, [str(choice) for choice in self.choices])
            raise SettingError(f"{as_yaml(given)} must be one of {', '.join(map(as_yaml, self.choices))}")
        with at():
            return TypeAdapter(self.kind, config=ConfigDict(strict=True, allow_inf_nan=False)).validate_python(given)


class Options(dict[str, Any]):
    """Option -> value, of all options of a network. Nothing changes it, so a recipe that holds it can be a key."""

    def __hash__(self) -> int:  # type: ignore[override]  # a plain dict has none
        return hash(tuple(sorted(self.items())))


@dataclass(frozen=True)
class Network:
    """A file of `networks`. Two that compute the same are equal.

    name: of the file, without `.py`.
    path: of the file, as messages and tracebacks have it.
    """

    name: str
    path: str = field(compare=False)
    text: str = field(compare=False, repr=False)
    source: str = field(init=False)
    """The digest of what the file computes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", digest_of([self.text]))

    @property
    def module(self) -> str:
        """The name of the module, which Keras writes into model.json."""
        return f"{FOLDER}.{self.name}"

    @property
    def options(self) -> Mapping[str, Option]:
        """The keyword arguments of `build`. Raises UserError, with the line, for a file that is no network."""
        return _options_of(self.path, self.text)

    def checked(self, given: object) -> Options:
        """All options: the given ones, and the defaults of the others. Raises SettingError, with the option as its place."""
        if not isinstance(given, Mapping):
            raise SettingError(f"{as_yaml(given)} must be a mapping")
        for name in given:
            if name not in self.options:
                if not self.options:
                    raise SettingError(f"{self.path} has no options", str(name))
                raise unknown("option", name, self.options, f"; {self.path} has them").below(str(name))
        values = Options()
        for name, option in self.options.items():
            with at(name):
                if name not in given and option.default is NOTHING:
                    raise SettingError(f"is missing; {self.path} has no default for it")
                values[name] = option.value(given.get(name, option.default))
        return values

    def arguments(self, options: Options) -> dict[str, Any]:
        """What `build` is called with."""
        return {name: list(value) if self.options[name].is_list else value for name, value in options.items()}


@dataclass
class Networks:
    """The networks of a study, each read once, when it is first asked for."""

    folder: Path | None = field(default=None, compare=False)
    read: dict[str, Network] = field(default_factory=dict)

    @cached_property
    def names(self) -> list[str]:
        """What may be asked for."""
        found = self.folder.glob("*.py") if self.folder else []
        return sorted(path.stem for path in found if re.fullmatch(NAME, path.stem))

    def __getitem__(self, name: str) -> Network:
        """Raises SettingError if there is no such network, and UserError if its file is none."""
        if self.folder is None or name not in self.names:
            if self.names:
                raise unknown("network", name, ["none", *self.names], f"; files of {self.folder}")
            place = f"{self.folder or FOLDER}/NAME.py"
            raise SettingError(f"{as_yaml(name)} is no network; one of your own lies at {place}, see docs/own-network.md")
        if name not in self.read:
            path = self.folder / f"{name}.py"
            text = _text_of(path)
            _options_of(path.as_posix(), text)  # raises
            self.read[name] = Network(name, path.as_posix(), text)
        return self.read[name]


def _text_of(path: Path) -> str:
    """The text of a file that Python can read. Raises UserError with the line of what it cannot."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if len(text) > LONGEST_FILE:
            raise UserError(f"{path}: cannot be read: it has {len(text)} characters; {LONGEST_FILE} are the most")
        if "\0" in text:  # Python 3.12 and later call it a mistake of syntax
            raise UserError(f"{path}: cannot be read: it holds a null byte")
        compile(text, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise UserError(f"{path}: line {error.lineno or 1}: not valid Python: {error.msg}") from None
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    return text


@lru_cache
def _options_of(path: str, text: str) -> dict[str, Option]:
    tree = ast.parse(text)
    _check_imports(path, tree)
    found = [each for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name == "build"]
    if not found:
        raise UserError(f"{path}: has no function `build`; write {BUILD}: ...")
    build = found[-1]
    given = build.args
    if isinstance(build, ast.AsyncFunctionDef) or given.vararg or given.kwarg or given.defaults:
        raise UserError(f"{path}: line {build.lineno}: build must be like {BUILD}")
    if len(given.posonlyargs + given.args) != 2:
        wrong = f"build takes two arguments before `*` and its options after it, like {BUILD}"
        raise UserError(f"{path}: line {build.lineno}: {wrong}")
    options = [_option(path, *pair) for pair in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return {option.name: option for option in options}


def _check_imports(path: str, tree: ast.Module) -> None:
    """Raises UserError for an import that the digest does not see through, or that a worker cannot follow."""
    for node in ast.walk(tree):
        for module in _modules(node):
            where = f"{path}: line {getattr(node, 'lineno', 1)}"
            if module.partition(".")[0] in ("", "stages", "studies", FOLDER):
                raise UserError(f"{where}: a network is one file, which may import packages and no other file of yours")
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            raise UserError(f"{path}: line {node.lineno}: write what is imported in place of `*`")


def _modules(node: ast.AST) -> Iterator[str]:
    """The modules that a statement imports. A relative one has no name."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield "" if node.level else node.module or ""


def _option(path: str, argument: ast.arg, default: ast.expr | None) -> Option:
    """Raises UserError for a type that no setting has, or a default that is none of this type."""
    where = f"{path}: line {argument.lineno}: {argument.arg}"
    if not re.fullmatch(NAME, argument.arg):
        raise UserError(f"{where}: an option is named with small letters, digits and underscores")
    option = _typed(argument.arg, argument.annotation)
    if option is None:
        written = ast.unparse(argument.annotation) if argument.annotation else "no type"
        raise UserError(f"{where}: an option cannot have {written}; its type may be {_ALLOWED}")
    if default is None:
        return option
    try:
        value = option.value(ast.literal_eval(default))
    except SettingError as error:
        raise UserError(f"{where}: the default {error}") from None
    except ValueError:
        raise UserError(f"{where}: the default {ast.unparse(default)} must be a plain value, not computed") from None
    return replace(option, default=value)


def _typed(name: str, annotation: ast.expr | None) -> Option | None:
    """The option with the type that an annotation stands for; None if options cannot have it."""
    match annotation:
        case ast.Constant(value=str(written)) if written.isidentifier():
            return _typed(name, ast.Name(written))
        case ast.Name(id=kind) if kind in _KINDS:
            return Option(name, _KINDS[kind])
        case ast.Subscript(value=ast.Name(id="list"), slice=ast.Name(id="int")):
            return Option(name, _WHOLE_NUMBERS, is_list=True)
        case ast.Subscript(
            value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[ast.Name(id="int"), ast.Constant(value=value)])
        ) if value is ...:
            return Option(name, _WHOLE_NUMBERS)
        case ast.Subscript(value=ast.Name(id="Literal") | ast.Attribute(attr="Literal"), slice=choices):
            each = choices.elts if isinstance(choices, ast.Tuple) else [choices]
            values = [part.value if isinstance(part, ast.Constant) else None for part in each]
            if all(isinstance(value, str | int) for value in values):
                return Option(name, choices=tuple(values))  # type: ignore[arg-type]  # all are texts or numbers
    return None
