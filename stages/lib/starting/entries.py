"""Texts of YAML: an entry of the catalogue among others, which stay to the byte, and a params.yaml of few lines."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from stages.lib.cli import UserError
from stages.lib.data.catalogue import Dataset, load_catalogue
from stages.lib.data.parts import Parts
from stages.lib.files import write_text

HEAD = """# yaml-language-server: $schema=../../docs/schema/params.json
# Begun by `python -m stages.tools new`. docs/knobs.md lists every knob, and docs/own-data.md says what to do next.
"""


def _text(content: Any, width: int = 1000) -> str:
    yaml = YAML()
    yaml.width = width
    buffer = io.StringIO()
    yaml.dump(content, buffer)
    return buffer.getvalue()


def _flow(value: Any) -> Any:
    """The value with every list, and what it holds, on one line."""
    if isinstance(value, Mapping):
        return CommentedMap({key: _flow(each) for key, each in value.items()})
    if isinstance(value, list | tuple):
        listed = CommentedSeq([_flow(each) for each in value])
        listed.fa.set_flow_style()
        return listed
    return value


def _one_line(value: Mapping[str, Any]) -> CommentedMap:
    mapping = CommentedMap(_flow(value))
    mapping.fa.set_flow_style()
    return mapping


def params_text(params: Mapping[str, Any]) -> str:
    """The text of a params.yaml. Mappings of a few numbers are on one line."""
    content = _flow(params)
    content["data"]["split"] = _one_line(params["data"]["split"])
    content["model"] = _one_line(params["model"])
    content["replicates"] = _one_line(params["replicates"])
    for name, view in params["views"].items():
        content["views"][name] = _one_line(view)
    for name, variant in params["variants"].items():
        if "model" in variant:
            content["variants"][name]["model"] = _one_line(variant["model"])
    return HEAD + re.sub(r"(?m)^(data|variants):", r"\n\1:", _text(content))


def entry_of(dataset: Dataset) -> dict[str, Any]:
    """A data set as the catalogue has it, without settings at their default."""
    entry = dataset.model_dump(exclude_defaults=True)
    categories = entry["reader"].get("categories", {})
    if categories and not any(categories.values()):
        entry["reader"]["categories"] = list(categories)
    order = ["title", "task", "target", "class_names", "labels", "reader", "files", "licence", "citation"]
    return {key: entry[key] for key in order if key in entry}


def _lines_of(text: str, name: str) -> tuple[int, int] | None:
    """The first line of an entry and the one after its last, or None if there is no such entry."""
    content = YAML().load(text)
    if name not in content:
        return None
    lines = text.splitlines(keepends=True)
    first = content.lc.key(name)[0]
    end = min((line for key in content if (line := content.lc.key(key)[0]) > first), default=len(lines))
    while end > first + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):  # these belong to what follows
        end -= 1
    return first, end


def with_entry(text: str, name: str, entry: Mapping[str, Any], overwrite: bool = False) -> str:
    """The text of a catalogue with one more entry, or with another one of this name; every other byte stays."""
    written = _text(_flow({name: entry}))
    lines = text.splitlines(keepends=True)
    place = _lines_of(text, name)
    if place and not overwrite:
        raise UserError(f"the catalogue has a data set {name} already; --force writes it anew")
    if place:
        return "".join([*lines[: place[0]], written, *lines[place[1] :]])
    return f"{text.rstrip()}\n\n{written}"


def with_digests(text: str, name: str, digests: Mapping[str, str]) -> str:
    """The text of a catalogue with other checksums in one entry: old -> new."""
    lines = text.splitlines(keepends=True)
    first, end = _lines_of(text, name) or (0, 0)
    for number in range(first, end):
        for old, new in digests.items():
            lines[number] = lines[number].replace(old, new)
    return "".join(lines)


def check(text: str, name: str, dataset: Dataset, folder: Path) -> None:
    """Raises UserError unless the text, as a catalogue, holds the data set under this name."""
    write_text(folder / "datasets.yaml", text)
    if load_catalogue(folder / "datasets.yaml")[name] != dataset:
        raise UserError(f"{name}: the entry does not come out of YAML as it went in; this is a defect of the command")


def differences(before: Parts | None, after: Parts) -> list[str]:
    """What has changed between the rows of two versions of a file, in lines. `before` may be gone."""
    if before is None:
        return [f"{part}: {len(y)} rows now; the old file is gone" for part, (_, y) in after.items()]
    lines = []
    for part, (x, y) in after.items():
        if part not in before:
            continue
        x_before, y_before = before[part]
        if len(y_before) != len(y):
            lines.append(f"rows of {part}: {len(y_before)} before, {len(y)} now")
        if x_before.shape[1:] != x.shape[1:]:
            lines.append(f"a row of {part}: {x_before.shape[1:]} before, {x.shape[1:]} now")
    old, new = ({column.name: column.values for column in parts.columns} for parts in (before, after))
    for what, names, others in (("gone", old, new), ("new", new, old)):
        if odd := [name for name in names if name not in others]:
            lines.append(f"columns that are {what}: {', '.join(odd)}")
    for name, values in new.items():
        if name in old and (more := [value for value in values if value not in old[name]]):
            lines.append(f"values of {name} that are new: {', '.join(more)}")
    if before.class_names != after.class_names:
        lines.append(f"classes: {', '.join(before.class_names)} before, {', '.join(after.class_names)} now")
    return lines or ["rows and columns are as many; their values differ"]
