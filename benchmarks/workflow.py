"""What the engine is worth: the starter by `dvc repro`, against one plain Keras script that trains the same replicates.

Run `python -m benchmarks.starter` at the checkout's root, in its environment, on an idle machine; it takes about twenty minutes
on two cores and prints a Markdown table. Everything happens in a temporary clone with empty caches; all times are of this run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Measured:
    """Wall seconds of a command, and the peak of its processes' memory in bytes, shared pages counted once."""

    seconds: float
    memory: int
    first_half: int  # the peak in the first half of its time


def measure(command: list[str], folder: Path, environment: Mapping[str, str]) -> Measured:
    """Run a command in `folder`. Raises CalledProcessError where it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment)
    samples: list[tuple[float, int]] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            samples.append((time.perf_counter() - started, memory_of(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    seconds = time.perf_counter() - started
    ended.set()
    watcher.join()
    if code:
        raise subprocess.CalledProcessError(code, command)
    early = [memory for moment, memory in samples if moment < seconds / 2]
    return Measured(seconds, max((memory for _, memory in samples), default=0), max(early, default=0))


def memory_of(pid: int) -> int:
    """Proportional set size of a process and all its descendants, in bytes."""
    total = 0
    try:
        for each in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            total += each.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass  # ended while we looked
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skip-plain", action="store_true", help="measure the workflow alone, in five minutes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "XDG_CACHE_HOME": str(Path(name) / "cache")}

        cold = measure(["dvc", "repro"], clone, environment)
        stage = json.loads((clone / "data/timings.json").read_text())["stage"]
        nothing = measure(["dvc", "repro"], clone, environment)
        params = clone / "params.yaml"
        params.write_text(re.sub(r"dropout: 0\.5\b", "dropout: 0.4", params.read_text()))
        edited = measure(["dvc", "repro"], clone, environment)
        edited_stage = json.loads((clone / "data/timings.json").read_text())["stage"]
        own = edited_stage["busy"] * edited_stage["seconds"]
        plain = None if options.skip_plain else measure([sys.executable, "-m", "benchmarks.plain"], clone, environment)

    rows = [
        ("replicates", f"{stage['trained']}"),
        ("`dvc repro`, cold, everything included", f"{cold.seconds:.0f} s"),
        ("share of the train stage that its workers spend on replicates", f"{stage['busy']:.2f}"),
        ("peak memory of all processes (in the first half)", f"{cold.memory / 1e9:.1f} GB ({cold.first_half / 1e9:.1f} GB)"),
        ("`dvc repro`, nothing to do", f"{nothing.seconds:.1f} s"),
        (f"`dvc repro`, one variant edited ({edited_stage['trained']} replicates)", f"{edited.seconds:.0f} s"),
        ("of that, its own training", f"{own:.0f} s"),
    ]
    if plain:
        rows.append(("plain Keras script, the same replicates one after the other", f"{plain.seconds:.0f} s"))
        rows.append(("`dvc repro` / plain script", f"{cold.seconds / plain.seconds:.2f}"))
    print("\n| measured | |\n| --- | --- |")
    for label, value in rows:
        print(f"| {label} | {value} |")


if __name__ == "__main__":
    main()
