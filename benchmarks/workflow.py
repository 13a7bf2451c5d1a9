"""What the engine is worth: `dvc repro` of a study, against one plain Keras script that trains the same replicates.

    python -m benchmarks.workflow                                           # the starter: twenty minutes on two cores
    python -m benchmarks.workflow studies/keras_tips --epochs 20 --seeds 1  # the same limits on both sides

Run it at the checkout's root, in its environment, on an idle machine. It prints a Markdown table. Everything happens in a
temporary clone, whose caches of replicates and of DVC are empty.
"""

from __future__ import annotations

import json
import math
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

import keras
import numpy as np
import psutil
from dask.system import cpu_count
from ruamel.yaml import YAML
from threadpoolctl import threadpool_limits

from benchmarks.plain import trained_seeds
from stages.lib import markdown
from stages.lib.cli import arguments
from stages.lib.data.prepared import read_prepared
from stages.lib.study.load import load_study
from stages.lib.study.places import STARTER, target_of
from stages.lib.training import networks, views

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Measured:
    """Wall seconds of a command, and the peak memory of its processes in bytes. Shared pages are counted once.

    first_half: the peak in the first half of the time.
    """

    seconds: float
    memory: int
    first_half: int


def measure(command: list[str], folder: Path, environment: Mapping[str, str]) -> Measured:
    """Run a command in `folder`. Raises CalledProcessError if it fails."""
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
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            total += process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass  # it has just ended
    return total


def multiply_adds(model: keras.Model) -> tuple[int, int]:
    """Multiply-adds of one row, forward and in training. Only convolutions and dense layers are counted.

    Backward takes twice as many as forward, without the gradient for the inputs.
    """
    layers = [layer for layer in model.layers if hasattr(layer, "kernel")]
    forward = [math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1]) for layer in layers]
    return sum(forward), 3 * sum(forward) - forward[0]


def of_study(folder: Path) -> int:
    """Multiply-adds of training every replicate for all of its epochs."""
    study = load_study(folder)
    prepared = read_prepared(folder / "data" / "prepared")
    total = 0
    for name, seeds in trained_seeds(folder).items():
        view = prepared.views[study.view_of(name)]
        recipe = views.resolved(study.recipes[name], view)
        rows, *input_shape = views.inputs_of(recipe, view, prepared.splits, 0)["train"][0].shape
        _, trained = multiply_adds(networks.build(recipe.model, tuple(input_shape), prepared.outputs, seed=0))
        total += len(seeds) * recipe.train.epochs * rows * trained
    return total


def peak(size: int = 2048, repeats: int = 5) -> float:
    """Multiply-adds of one core in a second, in single precision: the best of some products of square matrices."""
    a = np.random.default_rng(0).random((size, size), dtype=np.float32)
    with threadpool_limits(1):
        a @ a
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            a @ a
            seconds.append(time.perf_counter() - started)
    return size**3 / min(seconds)


def limited(params: Path, epochs: int | None, seeds: int | None) -> None:
    """Set the limits in a params.yaml."""
    yaml = YAML()
    content = yaml.load(params)
    content.setdefault("limits", {}).update({"epochs": epochs or "none", "seeds": seeds or "none"})
    yaml.dump(content, params)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--epochs", type=int, help="train at most so many epochs")
    parser.add_argument("--seeds", type=int, help="train at most so many replicates of each variant")
    parser.add_argument("--skip-plain", action="store_true", help="measure the workflow alone")
    options = parser.parse_args()
    starter = options.study == STARTER
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "XDG_CACHE_HOME": str(Path(name) / "cache")}
        folder = clone / options.study
        limited(folder / "params.yaml", options.epochs, options.seeds)
        repro = ["dvc", "repro", target_of(options.study, "plot")]
        cold = measure(repro, clone, environment)
        stage = json.loads((folder / "data/timings.json").read_text())["stage"]
        operations, best = of_study(folder), peak()
        cores = cpu_count()
        rows = [
            ("replicates", f"{stage['trained']}"),
            ("`dvc repro`, cold, everything included", f"{cold.seconds:.0f} s"),
            ("share of the train stage that its workers spend on replicates", f"{stage['busy']:.2f}"),
            ("multiply-adds of the training, times 10^12", f"{operations / 1e12:.2f}"),
            ("one core at matrix products, multiply-adds a second times 10^9", f"{best / 1e9:.0f}"),
            (f"share of what {cores} cores could do in that time", f"{operations / (best * cores * cold.seconds):.2f}"),
            (
                "peak memory of all processes (in the first half)",
                f"{cold.memory / 1e9:.1f} GB ({cold.first_half / 1e9:.1f} GB)",
            ),
            ("`dvc repro`, nothing to do", f"{measure(repro, clone, environment).seconds:.1f} s"),
        ]
        if starter:
            params = clone / "params.yaml"
            params.write_text(re.sub(r"dropout: 0\.5\b", "dropout: 0.4", params.read_text()))
            edited = measure(repro, clone, environment)
            stage = json.loads((clone / "data/timings.json").read_text())["stage"]
            rows.append((f"`dvc repro`, one variant edited ({stage['trained']} replicates)", f"{edited.seconds:.0f} s"))
            rows.append(("of that, its own training", f"{stage['busy'] * stage['seconds']:.0f} s"))
        if not options.skip_plain:
            plain = measure([sys.executable, "-m", "benchmarks.plain", str(options.study)], clone, environment)
            rows.append(("plain Keras script, the same replicates one after the other", f"{plain.seconds:.0f} s"))
            rows.append(("`dvc repro` / plain script", f"{cold.seconds / plain.seconds:.2f}"))
    print(markdown.table(("measured", ""), rows))


if __name__ == "__main__":
    main()
