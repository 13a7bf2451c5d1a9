"""Put back what a killed DVC left broken: dvc.lock, or the list of files in use.

DVC rewrites dvc.lock in place. A DVC that is killed at that moment leaves an empty or a cut-off file, and every later
`dvc repro` refuses to start. The committed file may be older than the results: DVC then runs those stages again, or finds
them in its run cache. Where nothing is committed, the broken file is removed. The same moment exists for `.dvc/tmp/rwlock`,
which lists the files that running DVCs use; a broken one is removed. `make repro` and `make studies` do this first.
"""

from __future__ import annotations

import json
from pathlib import Path

from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML, YAMLError
from voluptuous import Invalid

from stages.lib.cli import arguments, one_line_errors
from stages.lib.files import write_text
from stages.lib.programs import git
from stages.lib.study.places import studies

IN_USE = Path(".dvc/tmp/rwlock")


def is_broken(lock: Path) -> bool:
    """Whether DVC would refuse the file."""
    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(lock.read_bytes()))
    except (YAMLError, Invalid):
        return True
    return False


def restore(lock: Path) -> str:
    """Put the committed file in the place of a broken one, and return a line about it."""
    committed = git("show", f"HEAD:./{lock.as_posix()}", endings=(0, 128))
    if not committed:
        lock.unlink()
        return f"{lock} was empty or cut off and is not committed, so it is removed; DVC takes what it can from its run cache"
    write_text(lock, committed)
    return f"{lock} was empty or cut off, as a killed DVC leaves it; the committed one is back"


def in_use_is_broken() -> bool:
    """Whether DVC's list of files in use is there and no JSON, which it refuses."""
    try:
        json.loads(IN_USE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False


def main() -> None:
    arguments(__doc__, study=False).parse_args()
    with one_line_errors("restore"):
        if in_use_is_broken():
            IN_USE.unlink(missing_ok=True)
            print(f"restore: {IN_USE} was empty or cut off, as a killed DVC leaves it; it is removed")
        for study in studies():
            lock = study / "dvc.lock"
            if lock.is_file() and is_broken(lock):
                print(f"restore: {restore(lock)}")


if __name__ == "__main__":
    main()
