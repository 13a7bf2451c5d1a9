"""Progress of the replicates: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

EVERY = 10.0
"""Seconds between two plain lines."""


class ReplicateProgress:
    """Counts replicates done, cached and running, and estimates the time left from the cost of what is done."""

    def __init__(self, total: int, cached: int, cost: float, stage: str = "train") -> None:
        """`cost` is that of all replicates to train, in any unit; `stage` is whose lines they are."""
        self.stage = stage
        self.total, self.cached, self.done, self.running = total, cached, cached, 0
        self._cost, self._spent, self._started, self._said = cost, 0.0, time.monotonic(), time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = TextColumn(stage), BarColumn(), TextColumn("{task.description}")
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(str(self), total=total, completed=cached)

    def __enter__(self) -> ReplicateProgress:
        if self._bar:
            self._bar.start()
        else:
            self.say(str(self))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def __str__(self) -> str:
        left = ""
        if self._spent > 0.05 * self._cost:  # before, the import of Keras dominates
            seconds = (time.monotonic() - self._started) * (self._cost / self._spent - 1)
            left = f", about {int(seconds // 60)}:{int(seconds % 60):02d} left" if self.done < self.total else ""
        return f"{self.done} of {self.total} replicates, {self.cached} cached, {self.running} running{left}"

    def tick(self, running: int) -> None:
        """Note how many replicates are being trained, and show it."""
        self.running = running
        if self._bar:
            self._bar.update(self._task, completed=self.done, description=str(self))
        elif time.monotonic() - self._said >= EVERY:
            self.say(str(self))
            self._said = time.monotonic()

    def finished(self, cost: float) -> None:
        """Note that a replicate of this cost was trained."""
        self.done += 1
        self._spent += cost

    def say(self, line: str) -> None:
        """A line above the bar, or just a line."""
        if self._bar:
            self._bar.console.print(f"{self.stage}: {line}", markup=False, highlight=False)
        else:
            print(f"{self.stage}: {line}", file=sys.stderr, flush=True)
