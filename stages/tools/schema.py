"""Write the JSON schemas in docs/schema and the page docs/knobs.md from the settings.

The schemas let an editor complete and check params.yaml and data/datasets.yaml. The page is the same for readers. What a key
means is the string below its field in stages/lib/study and stages/lib/data. A test fails when a file is stale.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.lib import environment
from stages.lib.cli import arguments, one_line_errors
from stages.lib.data.catalogue import Dataset
from stages.lib.files import write_text
from stages.lib.markdown import code
from stages.lib.study.metrics import METRICS
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import NAME, Section
from stages.lib.study.values import MOST
from stages.lib.templates import render

DOCS = Path("docs")
PARAMS, DATASETS, KNOBS = "schema/params.json", "schema/datasets.json", "knobs.md"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
CHANGES = {"model": "Architecture", "train": "Train"}
"""Keys of a variant that hold changes of a section -> the name of that section."""

Schema = dict[str, Any]


# JSON schemas


def tidy(schema: Any) -> Any:
    """The schema without pydantic's titles, which repeat the keys, and without null as a default, which nobody writes."""
    if isinstance(schema, list):
        return [tidy(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: tidy(value) for key, value in schema.items()}
    if isinstance(result.get("title"), str):
        del result["title"]
    if result.get("default", ...) is None:
        del result["default"]
    if "patternProperties" in result:  # of a mapping whose keys are names
        result["additionalProperties"] = False
    return result


def define_changes(name: str, definitions: dict[str, Schema]) -> str:
    """Add a definition of what changes the section `name`, in which no key is required. Returns its reference."""
    changes = f"{name}Changes"

    def changed(schema: Schema) -> Schema:
        section = schema.get("$ref", "").rpartition("/")[2]
        found = {**schema, "$ref": define_changes(section, definitions)} if section else dict(schema)
        if "anyOf" in found:
            found["anyOf"] = [changed(part) for part in found["anyOf"]]
        found.pop("default", None)
        return found

    properties = {key: changed(value) for key, value in definitions[name]["properties"].items()}
    definitions[changes] = {**definitions[name], "properties": properties}
    definitions[changes].pop("required", None)
    return f"#/$defs/{changes}"


def file_schema(section: type[Section], entries: bool = False) -> Schema:
    """The JSON schema of a file that holds the section, or, with `entries`, any number of such sections by name."""
    schema = tidy(section.model_json_schema())
    definitions: dict[str, Schema] = schema.pop("$defs")
    if variant := definitions.get("Variant"):
        for key, name in CHANGES.items():
            meaning = variant["properties"][key]["description"]
            variant["properties"][key] = {"$ref": define_changes(name, definitions), "description": meaning}
    if entries:
        definitions[section.__name__] = schema
        entry = {"$ref": f"#/$defs/{section.__name__}"}
        schema = {"type": "object", "patternProperties": {NAME: entry}, "additionalProperties": False}
    return {"$schema": DIALECT, **schema, "$defs": dict(sorted(definitions.items()))}


# The page for readers


def allowed(schema: Mapping[str, Any]) -> str:
    """What a schema accepts, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2].removesuffix("Changes")
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return in_yaml(schema["const"])
    if "anyOf" in schema and "enum" in schema["anyOf"][0] and "pattern" in schema["anyOf"][-1]:
        return "one of the [metrics](#metrics)"
    if "anyOf" in schema:
        return ", or ".join(text for part in schema["anyOf"] if part != {"type": "null"} and (text := allowed(part)))
    if "enum" in schema:
        return ", ".join(in_yaml(value) for value in schema["enum"] if value is not None)
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
    limits = ", ".join(f"{sign} {schema[key]}" for key, sign in bounds.items() if key in schema and abs(schema[key]) < MOST)
    return f"{words} {limits}".strip()


def plural(text: str) -> str:
    """What several of it are called, such as `whole numbers ≥ 1`."""
    if text.startswith("a list of"):
        return text.replace("a list of", "lists of", 1)
    for one, many in (("a whole number", "whole numbers"), ("a number", "numbers"), ("a name", "names"), ("text", "texts")):
        text = text.replace(one, many)
    return text


def in_yaml(value: object) -> str:
    """A value as params.yaml has it."""
    return code(value if isinstance(value, str) else json.dumps(value))


def default(schema: Schema) -> str:
    """What a key is where a file leaves it out. A dash for what is then empty or absent."""
    if words := [part["enum"][0] for part in schema.get("anyOf", ()) if None in part.get("enum", ())]:
        return in_yaml(words[0])
    value = schema.get("default")
    return in_yaml(value) if isinstance(value, bool | int | float) or (value and isinstance(value, str)) else "–"


def knobs_of(section: Schema) -> list[dict[str, str]]:
    """The rows of a section's table."""
    return [
        {
            "key": key,
            "allowed": allowed(schema),
            "default": "must be given" if key in section.get("required", ()) else default(schema),
            "meaning": schema["description"],
        }
        for key, schema in section["properties"].items()
    ]


def sections_in(schema: Any) -> Iterator[str]:
    """The sections that a key holds. What changes a section is no section of its own."""
    if isinstance(schema, dict) and "$ref" in schema and not schema["$ref"].endswith("Changes"):
        yield schema["$ref"].rpartition("/")[2]
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for part in parts:
        yield from sections_in(part)


def placed(section: Schema, definitions: Schema, place: str = "") -> Iterator[tuple[str, str]]:
    """(section, its place in the file) of all sections below this one, in the order of the file."""
    for key, schema in section["properties"].items():
        named = ".NAME" if schema.get("type") == "object" else ""
        for inner in sections_in(schema):
            yield inner, f"{place}{key}{named}"
            yield from placed(definitions[inner], definitions, f"{place}{key}{named}.")


def page_sections(places: list[tuple[str, str]], definitions: Schema) -> list[dict[str, Any]]:
    """Each section once, with all of its places, for the page."""
    return [
        {
            "name": name,
            "places": dict.fromkeys(place for other, place in places if other == name),
            "doc": " ".join(definitions[name]["description"].split()),
            "knobs": knobs_of(definitions[name]),
        }
        for name in dict.fromkeys(name for name, _ in places)
    ]


def documents() -> dict[str, str]:
    """Path under docs/ -> what it should hold."""
    params = file_schema(Study)
    datasets = file_schema(Dataset, entries=True)
    own, others = params["$defs"], datasets["$defs"]
    page = render(
        Path(__file__).with_name("knobs.md.j2"),
        study=knobs_of(params),
        params=page_sections(list(placed(params, own)), own),
        datasets=page_sections([("Dataset", "NAME"), *placed(others["Dataset"], others, "NAME.")], others),
        metrics=METRICS,
        variables=environment.VARIABLES,
    )
    return {
        PARAMS: json.dumps(params, indent=2, ensure_ascii=False) + "\n",
        DATASETS: json.dumps(datasets, indent=2, ensure_ascii=False) + "\n",
        KNOBS: page,
    }


def main() -> None:
    arguments(__doc__, study=False).parse_args()
    with one_line_errors("schema"):
        for name, text in documents().items():
            write_text(DOCS / name, text)
            print(f"written: {DOCS / name}")


if __name__ == "__main__":
    main()
