"""Where the time of one replicate goes: `python -m benchmarks.replicate studies/performance --variants scaled deep`.

Run it at the checkout's root, in its environment, on an idle machine, after the study's prepare stage. It prints a Markdown
table. It times the parts of stages/lib/training/replicate.py one by one, in a process with one thread, like a trainer. A
replicate is their sum at its full number of epochs. A core's GFLOP/s are measured with products of large matrices.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.workflow import multiply_adds, peak
from stages.lib import markdown
from stages.lib.cli import arguments
from stages.lib.data.prepared import read_prepared
from stages.lib.engine.conditions import trainer_variables
from stages.lib.study.load import load_study
from stages.lib.study.recipe import Recipe
from stages.lib.training import diagnostics, replicate, views

EPOCHS = 3
"""Epochs that are timed after the first, which also traces and compiles. The fastest counts."""
COLUMNS = (
    "variant",
    "build",
    "trace, compile",
    "step",
    "of the core",
    "validation",
    "of the core",
    "diagnostics",
    "replicate",
    "core",
)


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Seconds of a call, and its result."""
    started = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - started, result


def profile(recipe: Recipe, splits: Mapping[str, tuple[np.ndarray, np.ndarray]], outputs: int, task: str) -> list[str]:
    """The cells of one variant's row."""
    x, y = splits["train"]
    scored = splits.get("validation", splits["test"])
    structure = replicate.Structure.of(recipe, x.shape[1:], outputs, task, len(x))
    build, traced = timed(replicate.trace, structure)
    replicate.reset(traced, float(recipe.train.learning_rate), 0)
    device = replicate.on_device(recipe.model, x), replicate.ops.convert_to_tensor(y)
    sample = replicate.on_device(recipe.model, x[: diagnostics.ROWS]), replicate.ops.convert_to_tensor(y[: diagnostics.ROWS])
    probe = diagnostics.Diagnostics(traced.model, traced.compiled.gradients, *sample)
    probing = sum(timed(probe.measure, epoch)[0] for epoch in range(3)) * recipe.diagnostics
    order = np.random.default_rng(0)
    first, *later = [timed(traced.compiled.epoch, order.permutation(len(x)), *device)[0] for _ in range(1 + EPOCHS)]
    epoch = min(later)
    scoring = min(timed(replicate.score, traced, *scored)[0] for _ in range(1 + EPOCHS))

    best, (forward, trained) = peak(), multiply_adds(traced.model)
    validations = recipe.train.epochs * ("validation" in splits) + sum(len(rows) for rows, _ in splits.values()) / len(
        scored[0]
    )
    whole = build + first - epoch + recipe.train.epochs * epoch + validations * scoring + probing
    return [
        f"{build:.1f} s",
        f"{first - epoch:.1f} s",
        f"{1e3 * epoch / -(-len(x) // recipe.train.batch_size):.2f} ms",
        f"{trained * len(x) / epoch / best:.2f}",
        f"{scoring:.2f} s",
        f"{forward * len(scored[0]) / scoring / best:.2f}",
        f"{probing:.1f} s",
        f"{whole:.0f} s",
        f"{2 * best / 1e9:.0f} GFLOP/s",
    ]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--variants", nargs="*", help="variants of the study (default: all)")
    options = parser.parse_args()
    study, prepared = load_study(options.study), read_prepared(options.study / "data" / "prepared")
    label = np.int32 if prepared.task == "classification" else np.float32
    rows = []
    os.environ.update({name: value for name, value in trainer_variables(study.replicates.backend).items() if value})
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for name in options.variants or study.variants:
            recipe = study.recipes[name]
            splits = views.inputs_of(recipe, prepared.views[study.view_of(name)], prepared.splits, 0)
            inputs = {split: (x, y.astype(label)) for split, (x, y) in splits.items()}
            rows.append([name, *pool.submit(profile, recipe, inputs, prepared.outputs, prepared.task).result()])
    print(markdown.table(COLUMNS, rows, [markdown.LEFT, *[markdown.RIGHT] * (len(COLUMNS) - 1)]))


if __name__ == "__main__":
    main()
