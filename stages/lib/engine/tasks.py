"""What is sent to the workers: once the study's files, and a task for each replicate."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Future

from stages.lib.data.prepared import Prepared, write_prepared
from stages.lib.engine import worker
from stages.lib.engine.roster import Place
from stages.lib.engine.source import project_files
from stages.lib.engine.trainer import DATA


def data_files(prepared: Prepared) -> dict[str, bytes]:
    """The study's data as the files that `prepare` writes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_prepared(prepared, folder)
        return {(DATA / path.name).as_posix(): path.read_bytes() for path in folder.iterdir()}


class Tasks:
    """The tasks of one run. A worker gets the study's files with its first task, and keeps them as long as the run lasts."""

    def __init__(self, client: Client, expected: Mapping[str, object], variables: Mapping[str, str | None]) -> None:
        """`expected` is the report that a trainer must make, `variables` are for its environment."""
        self.client = client
        self.expected = expected
        self.variables = variables
        self.prefix = f"replicate-{uuid.uuid4().hex}"  # no other run on the cluster has it
        self._sent = 0
        self._prepared: Prepared | None = None
        self._files: dict[str, bytes] = {}
        self._trainers: dict[str, Future[worker.Trainers]] = {}  # by worker

    def load(self, prepared: Prepared) -> None:
        """Train with these data from now on."""
        if prepared is not self._prepared:
            self._prepared = prepared
            self._files = {**project_files(), **data_files(prepared)}
            self._trainers.clear()

    def forget(self, address: str) -> None:
        """Note that a worker does not have the study's files."""
        self._trainers.pop(address, None)

    def submit(self, place: Place, request: dict[str, object], seconds: float) -> Future[worker.Answer]:
        """Have a replicate trained within so many seconds."""
        first = place.worker not in self._trainers
        if first:
            self._trainers[place.worker] = self._task(place.worker, worker.Trainers)
        return self._task(
            place.worker,
            worker.train,
            self._trainers[place.worker],
            place.thread,
            request,
            seconds,
            self.expected,
            self.variables,
            self._files if first else None,
        )

    def _task(self, address: str, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        self._sent += 1
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):  # the files are large on purpose
            return self.client.submit(
                worker.ByValue(function),
                *arguments,
                key=f"{self.prefix}-{self._sent}",
                workers=[address],
                allow_other_workers=False,
            )
