"""Check that committed results are what the lock files say: `python -m stages.tools.lock`, or `make check-lock`.

Reads dvc.lock and studies/dvc.lock. Everything in them that Git keeps is compared: the files that a stage read, its
parameters, and the results that it wrote; then `dvc repro --dry --allow-missing` says whether a stage would run. Needs neither
data nor training, so it works in a fresh clone. What Git does not keep is not compared: data/ is DVC's, and data/timings.json
and data/report.html hold durations, other ones in every run. A study without committed metrics was not run, which is no
mistake.

Prints a line for each mismatch, and ends with exit status 1 where there is one. No stage of the pipeline.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.study.strict_yaml import read_yaml

PIPELINES = (Path("dvc.yaml"), Path("studies/dvc.yaml"))
MISSING = object()


class Stage(NamedTuple):
    """One stage of one study, as DVC names it."""

    pipeline: Path
    name: str  # train, or train@fashion
    metrics: str  # the folder whose files, once in Git, say that its study was run
    outs: tuple[str, ...]

    @property
    def target(self) -> str:
        return f"{self.pipeline}:{self.name}" if self.pipeline.parent != Path() else self.name


def git(*arguments: str, given: str | None = None) -> list[str]:
    """What Git prints, split at NUL. Raises UserError where it fails; `check-ignore` that finds nothing ends with 1."""
    try:
        done = subprocess.run(["git", *arguments], input=given, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError("git is not installed, and this compares what Git keeps") from None
    if done.returncode > (arguments[0] == "check-ignore"):
        raise UserError(f"git {arguments[0]}: {(done.stderr.strip().splitlines() or ['failed'])[0]}")
    return [path for path in done.stdout.split("\0") if path]


def outs_of(stage: Mapping[str, Any], filled: Callable[[str], str]) -> tuple[str, ...]:
    """The paths that a stage of dvc.yaml writes; one with options is a mapping of a single key."""
    found = [*stage.get("metrics", []), *stage.get("outs", [])]
    return tuple(filled(each if isinstance(each, str) else next(iter(each))) for each in found)


def stages_of(pipeline: Path) -> list[Stage]:
    """The stages that a dvc.yaml declares, in its order, study by study."""
    content = read_yaml(pipeline)
    studies: Mapping[str, Mapping[str, str]] = next(
        (each["studies"] for each in content.get("vars", []) if "studies" in each), {}
    )

    def of_study(study: str, text: str) -> str:
        known = {"key": study, "item": study, **{f"item.{name}": value for name, value in studies[study].items()}}
        return re.sub(r"\$\{([^}]*)\}", lambda found: str(known[found[1]]), text)

    declared = content["stages"].items()
    found = [Stage(pipeline, name, "metrics", outs_of(each, str)) for name, each in declared if "foreach" not in each]
    for study in studies:
        metrics, filled = f"{pipeline.parent}/{study}/metrics", partial(of_study, study)
        found += [
            Stage(pipeline, f"{name}@{study}", metrics, outs_of(each["do"], filled))
            for name, each in declared
            if study in (studies if each.get("foreach") == "${studies}" else each.get("foreach", ()))  # else a list
        ]
    return found


def md5_of(path: Path) -> str | None:
    """The hash that DVC gives a file, or a folder; None where there is neither."""
    if path.is_file():
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if not path.is_dir():
        return None
    files = sorted((file.relative_to(path).parts, file) for file in path.rglob("*") if file.is_file())
    listing = [{"md5": md5_of(file), "relpath": "/".join(parts)} for parts, file in files]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def value_at(content: Any, key: str) -> Any:
    """The value at a dotted key, MISSING where there is none."""
    for part in key.split("."):
        if not isinstance(content, Mapping) or part not in content:
            return MISSING
        content = content[part]
    return content


def differences(place: str, locked: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    """Every key whose value is another than in the lock file, with both values."""
    if isinstance(locked, Mapping) and isinstance(now, Mapping):
        for key in [*locked, *(key for key in now if key not in locked)]:
            yield from differences(f"{place}.{key}", locked.get(key, MISSING), now.get(key, MISSING))
    elif locked is MISSING or now is MISSING or locked != now:
        yield place, locked, now


def shown(value: Any) -> str:
    text = "nothing" if value is MISSING else json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:39]}…"


def parameter_lines(locked: Mapping[str, Mapping[str, Any]], files: dict[str, Any]) -> Iterator[str]:
    for path, values in locked.items():
        if path not in files:
            files[path] = read_yaml(Path(path)) if Path(path).is_file() else {}
        for key, value in values.items():
            for place, before, now in differences(key, value, value_at(files[path], key)):
                yield f"{path}: {place} is {shown(now)}, but {shown(before)} in the lock file"


def file_lines(
    entry: Mapping[str, Any], written: Mapping[str, str], kept: set[str], ignored: set[str]
) -> Iterator[tuple[str, str]]:
    """Paths of a stage, and what is wrong with them. What .gitignore names is compared with what another stage wrote."""
    for kind, entries in (("read", entry.get("deps", [])), ("wrote", entry["outs"])):
        for path, md5 in ((str(each["path"]), each["md5"]) for each in entries):
            if path in ignored:
                if md5 != written.get(path, md5):
                    yield path, f"{path}: the stage read another one than was written, says the lock file"
            elif (found := md5_of(Path(path))) is None:
                yield path, f"{path}: is in the lock file, but does not exist"
            elif found != md5:
                yield path, f"{path}: is not what the lock file says"
            elif kind == "wrote" and not any(name == path or name.startswith(f"{path}/") for name in kept):
                yield path, f"{path}: is not in Git"


def dry_run(stages: Iterable[Stage]) -> set[str]:
    """The targets of the stages that `dvc repro` would run. Raises UserError where DVC cannot tell."""
    targets = [stage.target for stage in stages]
    command = [sys.executable, "-m", "dvc", "repro", "--dry", "--allow-missing", "--keep-going", "--single-item", *targets]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    would = re.findall(r"^Running stage '(.+?)':", done.stdout, flags=re.MULTILINE)
    errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR")]
    failed = [name for line in errors if "failed to reproduce" in line for name in re.findall(r"'([^']+)'", line)]
    if done.returncode and not failed:
        raise UserError(f"dvc: {(errors or done.stderr.strip().splitlines() or ['failed'])[0]}")
    return {*would, *failed}


def check() -> tuple[list[str], list[str]]:
    """The mismatches, and what was compared; both a line each. Raises UserError outside a checkout."""
    if not PIPELINES[0].is_file():
        raise UserError("dvc.yaml does not exist; is this the checkout's root?")
    kept = set(git("ls-files", "-z"))
    stages = [stage for pipeline in PIPELINES if pipeline.is_file() for stage in stages_of(pipeline)]
    run = {stage.metrics for stage in stages if any(name.startswith(f"{stage.metrics}/") for name in kept)}
    locks = {
        pipeline: (read_yaml(lock).get("stages") or {}) if (lock := pipeline.with_suffix(".lock")).is_file() else {}
        for pipeline in PIPELINES
    }
    entries = [entry for lock in locks.values() for entry in lock.values()]
    written = {str(each["path"]): each["md5"] for entry in entries for each in entry["outs"]}
    named = {str(each["path"]) for entry in entries for each in [*entry.get("deps", []), *entry["outs"]]}
    ignored = set(git("check-ignore", "-z", "--stdin", given="\0".join(sorted(named)))) if named else set()

    wrong: dict[str, list[str]] = {}
    reported: set[str] = set()
    files: dict[str, Any] = {}
    locked = []
    for stage in stages:
        if stage.metrics not in run:
            continue
        entry = locks[stage.pipeline].get(stage.name)
        if entry is None:
            wrong[stage.target] = [f"is not in {stage.pipeline.with_suffix('.lock')}, but its study has metrics in Git"]
            continue
        locked.append(stage)
        paths = dict(file_lines(entry, written, kept, ignored))
        new = set(stage.outs) - {str(each["path"]) for each in entry["outs"]}
        params = list(parameter_lines(entry.get("params", {}), files))
        if new or paths or params:
            wrong[stage.target] = [
                *(f"{path}: is not in {stage.pipeline.with_suffix('.lock')}" for path in sorted(new)),
                *(line for line in [*paths.values(), *params] if line not in reported),
            ]
        reported |= {*paths.values(), *params}
    if locked:
        again = dry_run(locked)
        wrong |= {each.target: ["would run again"] for each in locked if each.target in again and each.target not in wrong}
    lines = [f"{target}: {line}" for target, found in wrong.items() for line in found]
    studies = {stage.metrics: str(Path(stage.metrics).parent) for stage in stages}
    compared = [study for metrics, study in studies.items() if metrics in run]
    idle = [study for metrics, study in studies.items() if metrics not in run]
    facts = {"compared with the lock files": compared, "not run, so not compared": idle}
    return lines, [f"{fact}: {', '.join(names)}" for fact, names in facts.items() if names]


def main() -> None:
    arguments(__doc__, study=False).parse_args()
    with one_line_errors("lock"):
        wrong, facts = check()
        for line in wrong:
            print(line)
        for line in facts:
            print(line)
        if wrong:
            count = "1 mismatch" if len(wrong) == 1 else f"{len(wrong)} mismatches"
            raise UserError(f"{count}; `dvc repro`, then commit its results and the lock files together")


if __name__ == "__main__":
    main()
