"""A stage in a process of its own while it runs: its workers, and the replicates that it has finished."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from helpers.checkout import ROOT, environment_of

PATIENCE = 1200.0
"""Seconds after which a test gives up waiting. It ends a test that hangs, and is no measure of how fast a machine is."""
LONGER = {"train": {"epochs": 60}, "replicates": {"seeds": 4}}
"""So that a run lasts long enough for something to happen in the middle. It has 12 replicates."""
ENDLESS = {"train": {"epochs": 1_000_000}, "replicates": {"time_limit": PATIENCE}}
"""Of replicates that train until somebody stops them."""


def bytes_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def timings(study: Path) -> Any:
    return json.loads((study / "data" / "timings.json").read_text())["stage"]


def start(study: Path, cache: Path, first: str = "", **environment: str) -> subprocess.Popen[str]:
    """Start the train stage. `first` is code that runs before it."""
    script = f"{first}\nfrom stages import train\ntrain.main()"
    return subprocess.Popen(
        [sys.executable, *(["-c", script] if first else ["-m", "stages.train"]), str(study)],
        cwd=ROOT,
        env=environment_of(cache, **environment),
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Look again and again until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen in {seconds:.0f} s"
        time.sleep(0.02)


def entries(cache: Path) -> list[Path]:
    return list(cache.glob("tips-on-trial/replicates/??/[0-9a-f]*"))


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def command_of(process: psutil.Process) -> list[str]:
    """Its command line; empty once it has ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # a zombie too
        return []


def listening(process: psutil.Process) -> set[str]:
    """The addresses at which a process and its children accept connections."""
    connections = [one for each in [process, *process.children(recursive=True)] for one in each.net_connections("inet")]
    return {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [child for child in children(process) if "stages.lib.engine.trainer" in command_of(child)]


def has_ended(process: psutil.Process) -> bool:
    """Whether a process is gone, or a zombie, which has ended and which nobody has waited for."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
