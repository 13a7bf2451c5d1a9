"""The progress of replicates: a bar on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

LINE_SECONDS = 10.0
"""Time between two plain lines."""


def clock(seconds: float) -> str:
    """Such as 2.3 s, 4:05 (minutes and seconds) or 3:20:00."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class ReplicateProgress:
    """Counts the replicates that are done, cached and running, and estimates the time left from the cost of those done."""

    def __init__(self, total: int, cached: int, cost: float, stage: str = "train") -> None:
        """`cost` is that of all replicates to train, in any unit. Lines begin with `stage`."""
        self.stage = stage
        self.total = total
        self.cached = cached
        self.done = cached
        self.running = 0
        self._cost = cost
        self._spent = 0.0
        self._started = time.monotonic()
        self._said = time.monotonic()
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
        if self.done < self.total and self._spent > 0.05 * self._cost:  # earlier, the import of Keras takes most of the time
            seconds = (time.monotonic() - self._started) * (self._cost / self._spent - 1)
            left = f", about {clock(seconds)} left"
        return f"{self.done} of {self.total} replicates, {self.cached} cached, {self.running} running{left}"

    def tick(self, running: int) -> None:
        """Show how many replicates are being trained."""
        self.running = running
        if self._bar:
            self._bar.update(self._task, completed=self.done, description=str(self))
        elif time.monotonic() - self._said >= LINE_SECONDS:
            self.say(str(self))
            self._said = time.monotonic()

    def finished(self, cost: float) -> None:
        """Note that a replicate of this cost was trained."""
        self.done += 1
        self._spent += cost

    def say(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        if self._bar:
            self._bar.console.print(f"{self.stage}: {line}", markup=False, highlight=False)
        else:
            print(f"{self.stage}: {line}", file=sys.stderr, flush=True)
