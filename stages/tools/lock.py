"""Check that committed results are what the lock files say: `python -m stages.tools lock`, or `make check-lock`.

`dvc status` compares the code, the parameters and the results of every stage with the dvc.lock beside its dvc.yaml. `dvc repro
--dry --allow-missing` says which stages would run again. Git says which results were not committed. None of these needs data
or training, so the check works in a fresh clone. Files that Git ignores are not compared: data/ belongs to DVC, and
data/timings.json and data/report.html hold durations, which differ from run to run. A study without committed metrics has not
been run, which is no mistake.

Prints a line for each mismatch, and ends with exit status 1 if there is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.markdown import one_line
from stages.lib.programs import dvc, dvc_error, paths
from stages.lib.study.places import PIPELINE, studies, target_of
from stages.lib.study.strict_yaml import flattened, read_yaml

LOCK = "dvc.lock"

Entry = Mapping[str, Any]
"""A stage in a lock file: its command, deps, params and outs."""


def would_run() -> set[str]:
    """The targets that `dvc repro` would run. Raises UserError where DVC cannot tell."""
    done = dvc("repro", "--dry", "--allow-missing", "--keep-going", "--all-pipelines", fails=True)
    errors = re.findall(r"^ERROR: failed to reproduce (.+)", done.stderr, flags=re.MULTILINE)
    failed = re.findall(r"'(.+?)'", "".join(errors))
    if done.returncode and not failed:
        raise dvc_error(done)
    return {*re.findall(r"^Running stage '(.+?)':", done.stdout, flags=re.MULTILINE), *failed}


def locked_stages(study: Path) -> Mapping[str, Entry]:
    """The stages in a study's lock file; none if there is no file. Raises UserError for one that is empty or broken."""
    path = study / LOCK
    if not path.is_file():
        return {}
    stages = read_yaml(path).get("stages")
    if not isinstance(stages, dict):
        raise UserError(f"{path}: lists no stages; `python -m stages.tools restore` brings back the committed file")
    return stages


def parameter_lines(path: str, keys: Iterable[str], locked: Mapping[str, Any]) -> Iterator[str]:
    """Every parameter at or below these keys whose value is not that of the lock file.

    locked: the file's parameters in the lock file.
    """

    def text(value: Any) -> str:
        return "nothing" if value is None else one_line(json.dumps(value, default=str), 40)

    before, now = dict(flattened(locked)), dict(flattened(read_yaml(Path(path)))) if Path(path).is_file() else {}
    for name in {**before, **now}:
        if before.get(name) != now.get(name) and any(f"{name}.".startswith(f"{key}.") for key in keys):
            yield f"{path}: {name} is {text(now.get(name))}, but {text(before.get(name))} in the lock file"


def file_lines(files: Mapping[str, Any], entry: Entry) -> Iterator[str]:
    """Every parameter and every file that is not what the lock file says of a stage, but for those that Git ignores.

    files: path -> `new`, `modified`, `deleted` or `not in cache`; of a parameter file, such a word for each key.
    """
    ignored = paths("check-ignore", "-z", "--stdin", given="\0".join(files), endings=(0, 1)) if files else []
    known = {locked["path"] for kind in ("deps", "outs") for locked in entry.get(kind, [])}
    parameters = entry.get("params", {})
    for path, state in files.items():
        if path in parameters:
            yield from parameter_lines(path, state if isinstance(state, dict) else parameters[path], parameters[path])
        elif path in ignored:
            continue
        elif path not in known:
            yield f"{path}: is not in the lock file"
        elif state == "deleted":
            yield f"{path}: is in the lock file, but does not exist"
        else:
            yield f"{path}: is not what the lock file says"


def uncommitted_lines(entry: Entry) -> list[str]:
    """The results of a stage that Git neither keeps nor ignores."""
    outs = [out["path"] for out in entry.get("outs", [])]
    found = paths("ls-files", "-z", "--others", "--exclude-standard", "--", *outs) if outs else []
    return [f"{path}: is not in Git" for path in found]


def mismatches(run: Iterable[Path]) -> Iterator[str]:
    """A line for everything in these studies that is not what the lock files say, though several stages may use it."""
    locks = {study: locked_stages(study) for study in run}
    changed, again = json.loads(dvc("status", "--json").stdout), would_run()
    told: set[str] = set()
    for study, locked in locks.items():
        for stage in read_yaml(study / PIPELINE)["stages"]:
            target = target_of(study, stage)
            if stage not in locked:
                yield f"{target}: is not in {study / LOCK}, but its study has metrics in Git"
                continue
            changes = changed.get(target, [])
            groups = [group for change in changes if isinstance(change, dict) for group in change.values()]
            files = {path: state for group in groups for path, state in group.items()}
            lines = [*file_lines(files, locked[stage])] or uncommitted_lines(locked[stage])
            others = [change.removeprefix("changed ") for change in changes if isinstance(change, str)]
            own = [f"its {name} is not that of the lock file" for name in others]
            if target in again and not lines and not own:
                own = ["would run again"]
            yield from (f"{target}: {line}" for line in [*lines, *own] if line not in told)
            told.update(lines)


def check() -> tuple[list[str], list[str]]:
    """The mismatches, and what was compared, a line each. Raises UserError outside of a checkout."""
    if not Path(PIPELINE).is_file():
        raise UserError(f"{PIPELINE} does not exist; is this the checkout's root?")
    places = [study for study in studies() if (study / PIPELINE).is_file()]
    run = [study for study in places if paths("ls-files", "-z", "--", str(study / "metrics"))]
    facts = {"compared with the lock files": run, "not run, so not compared": [place for place in places if place not in run]}
    told = [f"{fact}: {', '.join(map(str, chosen))}" for fact, chosen in facts.items() if chosen]
    return list(mismatches(run)), told


def main() -> None:
    arguments(__doc__, study=False).parse_args()
    with one_line_errors("lock"):
        wrong, facts = check()
        print("\n".join([*wrong, *facts]))
        if wrong:
            count = "1 mismatch" if len(wrong) == 1 else f"{len(wrong)} mismatches"
            raise UserError(f"{count}; `dvc repro`, then commit its results and the lock files together")


if __name__ == "__main__":
    main()
