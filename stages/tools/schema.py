"""Write docs/schema/ and docs/knobs.md from the settings: `python -m stages.tools.schema`.

The schemas let an editor complete and check params.yaml and data/datasets.yaml; docs/knobs.md is the same for readers. What a
key means is the comment beside its field in the source. No stage of the pipeline; a test fails when a file is stale.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import textwrap
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.lib.data.catalogue import Dataset
from stages.lib.files import write_text
from stages.lib.study.metrics import METRICS
from stages.lib.study.settings import Recipe, Study
from stages.lib.study.strict_yaml import NAME, Section

DOCS = Path("docs")
PARAMS, DATASETS, KNOBS = "schema/params.json", "schema/datasets.json", "knobs.md"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
CHANGES = {"model": "Model", "train": "Train"}
"""Keys of a variant that hold changes of a section -> that section."""

Schema = dict[str, Any]


def sections() -> dict[str, type[Section]]:
    """Every section that a file can have, by the name of its class."""
    found: dict[str, type[Section]] = {}
    waiting: list[type[Section]] = [Section]
    while waiting:
        for each in waiting.pop().__subclasses__():
            if each.__module__ in (Study.__module__, Dataset.__module__) and each is not Recipe:
                found[each.__name__] = each
            waiting.append(each)
    return found


def comments(section: type[Section]) -> dict[str, str]:
    """Field -> the comment on its line, or on its last."""
    source = textwrap.dedent(inspect.getsource(section))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    by_line = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    fields = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.AnnAssign)]
    return {ast.unparse(node.target): by_line[node.end_lineno] for node in fields if node.end_lineno in by_line}


def tidy(schema: Any) -> Any:
    """Without pydantic's titles, which repeat the keys, and defaults that nobody writes; names map to nothing else."""
    if isinstance(schema, list):
        return [tidy(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: tidy(value) for key, value in schema.items()}
    if isinstance(result.get("title"), str):
        del result["title"]
    if result.get("default", ...) is None:
        del result["default"]
    if "patternProperties" in result:
        result["additionalProperties"] = False
    return result


def partial(name: str, definitions: dict[str, Schema]) -> str:
    """Define what changes a section of this name, where nothing is required, and return its reference."""
    changes = f"{name}Changes"
    definition = {key: value for key, value in definitions[name].items() if key != "required"}
    properties = {}
    for key, value in definition["properties"].items():
        inner = value.get("$ref", "").rpartition("/")[2]
        reference = {"$ref": partial(inner, definitions)} if inner else {}
        properties[key] = {inner_key: each for inner_key, each in {**value, **reference}.items() if inner_key != "default"}
    definitions[changes] = {**definition, "properties": properties}
    return f"#/$defs/{changes}"


def described(section: type[Section], entries: bool = False) -> Schema:
    """The JSON schema of a file that holds the section, or names with such a section each."""
    schema = tidy(section.model_json_schema())
    definitions: dict[str, Schema] = schema.pop("$defs")
    known = sections()
    for name, definition in [*definitions.items(), (section.__name__, schema)]:
        for field, comment in comments(known[name]).items():
            if field in definition["properties"]:
                definition["properties"][field]["description"] = comment
    if variant := definitions.get("Variant"):
        for key, name in CHANGES.items():
            variant["properties"][key] = {
                "$ref": partial(name, definitions),
                "description": variant["properties"][key]["description"],
            }
    if entries:
        definitions[section.__name__] = schema
        schema = {
            "type": "object",
            "patternProperties": {NAME: {"$ref": f"#/$defs/{section.__name__}"}},
            "additionalProperties": False,
        }
    return {"$schema": DIALECT, **schema, "$defs": dict(sorted(definitions.items()))}


def allowed(schema: Mapping[str, Any]) -> str:
    """What a schema accepts, in words."""
    if "$ref" in schema:
        return link(schema["$ref"].rpartition("/")[2].removesuffix("Changes"))
    if "const" in schema:
        return code(schema["const"])
    if "anyOf" in schema and "enum" in schema["anyOf"][0] and "pattern" in schema["anyOf"][-1]:
        return "one of the [metrics](#metrics)"
    if "anyOf" in schema:
        return ", or ".join(text for each in schema["anyOf"] if each != {"type": "null"} and (text := allowed(each)))
    if "enum" in schema:
        return ", ".join(code(each) for each in schema["enum"] if each is not None)
    kind = schema["type"]
    if kind == "array":
        items = schema.get("prefixItems") or [schema["items"]]
        number = "two " if schema.get("maxItems") == 2 else ""
        return f"a list of {number}{plural(allowed(items[0]))}"
    if kind == "object":
        inner = schema.get("patternProperties", {}).get(NAME) or schema["additionalProperties"]
        keys = schema.get("propertyNames", {})
        names = "metrics" if "anyOf" in keys else allowed(keys) if keys else "names"
        return f"{names}: {allowed(inner)} each"
    if kind == "string" and schema.get("pattern") == NAME:
        return "a name"
    words = {"string": "text", "boolean": "`true` or `false`", "integer": "a whole number", "number": "a number"}[kind]
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = ", ".join(f"{sign} {schema[key]}" for key, sign in bounds.items() if key in schema)
    return f"{words} {limits}".strip()


def plural(text: str) -> str:
    """What several of it are called, such as `whole numbers ≥ 1`."""
    for one, many in (("a whole number", "whole numbers"), ("a number", "numbers"), ("a name", "names"), ("text", "texts")):
        text = text.replace(one, many)
    return text


def code(value: object) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def default(key: str, definition: Schema) -> str:
    """What a key is where a file leaves it out."""
    if key in definition.get("required", ()):
        return "must be given"
    schema = definition["properties"][key]
    if words := [each["enum"][0] for each in schema.get("anyOf", ()) if None in each.get("enum", ())]:
        return code(words[0])
    value = schema.get("default")
    return code(value) if isinstance(value, bool | int | float) or (value and isinstance(value, str)) else "–"


def references(schema: Any) -> Iterator[str]:
    """The names of the sections that a schema refers to, but not those of changes."""
    for each in schema if isinstance(schema, list) else schema.values() if isinstance(schema, dict) else ():
        yield from references(each)
    if isinstance(schema, dict) and "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if not name.endswith("Changes"):
            yield name


def placed(schema: Schema, definition: Schema, place: str = "") -> Iterator[tuple[str, str, Schema]]:
    """(section, its place in the file, definition) of all that a definition refers to, in the order of the file."""
    for key, inner in definition["properties"].items():
        name_of_one = ".NAME" if "patternProperties" in inner or isinstance(inner.get("additionalProperties"), dict) else ""
        for name in references(inner):
            where = f"{place}{key}{name_of_one}"
            yield name, where, schema["$defs"][name]
            yield from placed(schema, schema["$defs"][name], f"{where}.")


def table(definition: Schema) -> Iterator[str]:
    yield "| key | allowed | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for key, value in definition["properties"].items():
        yield f"| `{key}` | {allowed(value)} | {default(key, definition)} | {value.get('description', '')} |"


def knobs(params: Schema, datasets: Schema) -> str:
    """The page of every knob."""
    lines = [
        "# Every knob",
        "",
        "Made by `python -m stages.tools.schema` from [settings.py](../stages/lib/settings.py) and",
        "[datasets.py](../stages/lib/datasets.py). A change of a default reaches every variant that does not pin its own;",
        "`python -m stages.train --show VARIANT` prints what it comes to.",
        "",
        "## params.yaml",
        "",
        *table(params),
    ]
    dataset = datasets["$defs"]["Dataset"]
    listed = [*placed(params, params), ("Dataset", "NAME", dataset), *placed(datasets, dataset, "NAME.")]
    for name in dict.fromkeys(name for name, _, _ in listed):
        places = dict.fromkeys(f"`{place}`" for each, place, _ in listed if each == name)
        definition = next(definition for each, _, definition in listed if each == name)
        if name == "Dataset":
            lines += ["", "## data/datasets.yaml"]
        lines += ["", f"### {name}", "", f"{', '.join(places)}. {definition.get('description', '')}".rstrip()]
        lines += ["", *table(definition)] if definition["properties"] else []
    lines += ["", "## Metrics", "", "What a claim judges, and what a source reports. A level is a share such as 0.95."]
    lines += ["", "| metric | meaning |", "| --- | --- |"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in METRICS.items()]
    return "\n".join(lines) + "\n"


def documents() -> dict[str, str]:
    """Path under docs/ -> what it should hold."""
    params, datasets = described(Study), described(Dataset, entries=True)
    return {
        PARAMS: json.dumps(params, indent=2, ensure_ascii=False) + "\n",
        DATASETS: json.dumps(datasets, indent=2, ensure_ascii=False) + "\n",
        KNOBS: knobs(params, datasets),
    }


def main() -> None:
    for name, text in documents().items():
        write_text(DOCS / name, text)
        print(f"written: {DOCS / name}")


if __name__ == "__main__":
    main()
