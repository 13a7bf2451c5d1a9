"""The process in which a worker trains, one replicate after the other: `python -m stages.lib.engine.trainer PIPE`.

It starts with the driver's source, data and variables. It imports Keras once and keeps the networks that it has traced. It ends
when its worker closes the pipe or dies, and when it has had nothing to do for a while.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import queue
import re
import shutil
import signal
import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from stages.lib.data.prepared import Prepared, read_prepared
from stages.lib.engine.key import local_environment
from stages.lib.study.networks import Network
from stages.lib.study.recipe import Recipe
from stages.lib.training import views

IDLE_SECONDS = 60.0
"""The process ends after this time without work: the driver of a distant worker may have been killed."""
DATA = Path("data")
"""The worker puts the study's data here, as `prepare` writes them."""
WRITERS = ("h5py", "pandas")
"""Packages that write files of a result."""


class StudyData:
    """The study's arrays, and the inputs of the last two views."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.kept: OrderedDict[Any, tuple[dict[str, tuple[np.ndarray, np.ndarray]], views.FittedView]] = OrderedDict()

    def inputs(self, recipe: Recipe, view: str, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """The replicate's inputs and labels of every split."""
        return self._seen(recipe, view, seed)[0]

    def resolved(self, recipe: Recipe, view: str, seed: int) -> Recipe:
        """The recipe for the replicate's inputs, whose columns its own view decides."""
        return views.resolved(recipe, self._seen(recipe, view, seed)[1])

    def _seen(self, recipe: Recipe, view: str, seed: int) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], views.FittedView]:
        key = (view, recipe.train.validation_rows, recipe.k_fold, seed if recipe.k_fold else None)
        if key not in self.kept:
            if len(self.kept) == 2:  # a trainer's next replicate mostly has the same view
                self.kept.popitem(last=False)
            label_type = np.int32 if self.prepared.task == "classification" else np.float32
            rows, own = views.of_replicate(recipe, self.prepared.views[view], self.prepared.splits, seed)
            self.kept[key] = {split: (views.apply(own, x, split), y.astype(label_type)) for split, (x, y) in rows.items()}, own
        return self.kept[key]


def report(backend: str) -> dict[str, object]:
    """The facts about this machine and its software that decide a result and the bytes of its files."""
    versions = {name: importlib.metadata.version(name) for name in WRITERS}
    return {**local_environment(backend), "python": "{}.{}".format(*sys.version_info), **versions}


def read_requests(pipe: Connection) -> queue.SimpleQueue[Any]:
    """The worker's requests, as they come. When the pipe ends, so does this process, whatever it is doing."""
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def read() -> None:
        try:
            while True:
                requests.put(json.loads(pipe.recv_bytes()))
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return requests


def reason(error: BaseException) -> str:
    """The first cause of an error in a few words, without folders. TensorFlow's own text is a page."""
    while error.__context__:
        error = error.__context__
    return " ".join(re.sub(r"\S+/", "", str(error)).split())[:150] or type(error).__name__


def keep_to(cores: Sequence[int]) -> None:
    """Run all threads of this process on these cores alone, if there are any and the system allows it."""
    for thread in Path("/proc/self/task").glob("*") if cores else ():
        with suppress(OSError):  # such as a thread that has just ended
            os.sched_setaffinity(int(thread.name), cores)


def in_one_line(error: Exception, network: Network | None) -> str:
    """What went wrong. A mistake in a network of one's own begins with its file, and with the line, if one of its lines ran."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if network is None:
        return said
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == network.path]
    return f"{network.path}: line {lines[-1]}: {said}" if lines else f"{network.path}: {said}"


def serve(pipe: Connection) -> None:
    """Report, import Keras when asked, then train what is asked for. Raises queue.Empty after IDLE_SECONDS without work."""

    def say(message: object) -> None:
        pipe.send_bytes(json.dumps(message).encode())

    requests = read_requests(pipe)
    say(report(os.environ["KERAS_BACKEND"]))
    requests.get(timeout=IDLE_SECONDS)
    data = StudyData(read_prepared(DATA))
    shutil.rmtree(DATA)
    try:
        from stages.lib.training.replicate import check_network, train_replicate
    except (ImportError, MemoryError) as error:
        say({"failed": f"Keras cannot be imported: {reason(error)}"})
        return
    say("ready")
    while True:
        request = requests.get(timeout=IDLE_SECONDS)
        recipe = Recipe.from_wire(request)
        try:
            keep_to(request["cores"])
            recipe = data.resolved(recipe, request["view"], request["seed"])
            inputs = data.inputs(recipe, request["view"], request["seed"])
            with np.errstate(over="ignore", invalid="ignore"):  # a network that diverges is a result
                train = check_network if request["check"] else train_replicate
                result = train(recipe, request["seed"], inputs, data.prepared.outputs, data.prepared.task)
        except Exception as error:  # noqa: BLE001  # the driver tells it, whatever it is
            say({"failed": in_one_line(error, recipe.model.network), "trace": traceback.format_exc()})
            continue
        say({"files": list(result.files), "seconds": result.seconds, "seconds_per_epoch": result.seconds_per_epoch})
        for content in result.files.values():
            pipe.send_bytes(content)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its worker ends it
    try:
        serve(Connection(int(sys.argv[1])))
    except (queue.Empty, OSError):
        os._exit(0)


if __name__ == "__main__":
    main()
