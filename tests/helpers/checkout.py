"""The checkout as tests use it: its stages in processes of their own, and copies of it under Git and DVC."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]


def environment_of(cache: Path, **changes: str) -> dict[str, str]:
    """A clean environment for a stage in a process of its own, with its own user cache."""
    kept = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "PATH", "TMPDIR")}
    return {**kept, "XDG_CACHE_HOME": str(cache), "PYTHONDONTWRITEBYTECODE": "", **changes}


def stage(name: str, *arguments: str | Path, cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a stage as DVC does, at the checkout's root, and wait for it. One worker trains unless the environment says more."""
    workers = {} if "DASK_SCHEDULER_ADDRESS" in environment else {"TIPS_WORKERS": "1"}
    return subprocess.run(
        [sys.executable, "-m", f"stages.{name}", *map(str, arguments)],
        cwd=ROOT,
        env=environment_of(cache, **{**workers, **environment}),
        capture_output=True,
        text=True,
        check=False,
    )


def copy_tree(to: Path, keep: Callable[[str], bool]) -> None:
    """Copy the files of the working tree that Git has or would add, and whose path is to be kept."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(keep, filter(None, names)):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def is_result(name: str) -> bool:
    """Whether `dvc repro` writes the file."""
    return re.match(r"(studies/\w+/)?(metrics/|dvc\.lock$)", name) is not None


class Checkout:
    """A copy or a clone of the working tree with caches of its own, where one worker trains unless a test says otherwise."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        venv = str(Path(sys.executable).parent)
        identity = {f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        path = f"{venv}{os.pathsep}{os.environ['PATH']}"
        dvc = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(cache / "dvc"), "COLUMNS": "120"}
        self.environment = environment_of(cache, PATH=path, TIPS_WORKERS="1", **dvc, **identity)

    def run(self, *command: str, fails: bool = False) -> str:
        """The command's output, standard error included; it must end well, or badly where `fails`."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def params(self) -> Any:
        return YAML(typ="safe", pure=True).load((self.folder / "params.yaml").read_text())

    def write_params(self, params: Any) -> None:
        with (self.folder / "params.yaml").open("w") as file:
            YAML().dump(params, file)

    def json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())
