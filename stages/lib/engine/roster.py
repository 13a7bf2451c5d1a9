"""Who is there: the workers of a run, and which of their threads are free."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from distributed import Client

from stages.lib.cli import UserError
from stages.lib.engine import scheduler

SILENCE = 20.0
"""A worker's replicates go to others when it has said nothing for so many seconds, while others have."""
LOOK = 0.5
"""Seconds between two looks at who is there."""
SHORTEST_WAIT = 5.0
"""Seconds that the scheduler always has to answer."""


class Place(NamedTuple):
    """Where one replicate at a time trains: a worker's address, and the number of one of its threads."""

    worker: str
    thread: int


class Roster:
    """The workers, as of the last look."""

    def __init__(self, client: Client, prefix: str, say: Callable[[str], None]) -> None:
        """`prefix` begins the names of this run's tasks. `say` tells the user a line."""
        self.client = client
        self.prefix = prefix
        self.say = say
        self.refused: dict[str, str] = {}
        """Worker -> why it is not used."""
        self._workers: dict[str, dict[str, Any]] = {}
        self._heard: dict[str, tuple[float, float]] = {}
        """Worker -> when it last spoke, by the scheduler's clock and by this machine's steady one."""
        self._others: dict[str, int] = {}
        self._looked = float("-inf")
        self._answered = time.monotonic()
        self._deserted = False

    def look(self) -> None:
        """See who is there, and say so when nobody is. Raises UserError if every worker was refused."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._looked = now
        left = self._answered + scheduler.ANSWER_SECONDS - now
        self._workers = scheduler.identity(self.client, max(left, min(SHORTEST_WAIT, scheduler.ANSWER_SECONDS)))["workers"]
        self._answered = time.monotonic()
        self._hear()
        tasks = self.client.processing()
        self._others = {worker: sum(not str(key).startswith(self.prefix) for key in keys) for worker, keys in tasks.items()}
        if self._workers and self.refused.keys() >= self._workers.keys():
            raise UserError(next(iter(self.refused.values())))
        if not self._workers and not self._deserted:
            self.say("the cluster has lost its last worker; training goes on when one joins")
        self._deserted = not self._workers

    def _hear(self) -> None:
        """Note who has spoken since the last look.

        Silence is measured by a steady clock, because the scheduler's may be set while this runs. Only for a worker that is new
        here, the scheduler's clock says how long it has been silent.
        """
        spoke = {worker: float(facts["last_seen"]) for worker, facts in self._workers.items()}
        latest = max(spoke.values(), default=0.0)
        before = self._heard
        self._heard = {}
        for worker, moment in spoke.items():
            since = 0.0 if worker in before else latest - moment
            same = worker in before and before[worker][0] == moment
            self._heard[worker] = before[worker] if same else (moment, self._answered - since)

    def lost(self, worker: str) -> str:
        """Why a worker's replicates must go to others. Empty if it is well."""
        if worker not in self._workers:
            return "its worker died"
        newest = max(heard for _, heard in self._heard.values())
        return "its worker fell silent" if newest - self._heard[worker][1] > SILENCE else ""

    def free(self, busy: Collection[Place]) -> list[Place]:
        """The places that can take a replicate: threads that neither this run nor another uses."""
        free = []
        for worker, facts in sorted(self._workers.items()):
            if worker in self.refused or facts["status"] != "running" or self.lost(worker):
                continue
            threads = facts["nthreads"] - self._others.get(worker, 0)
            taken = sum(place.worker == worker for place in busy)
            idle = [place for thread in range(threads) if (place := Place(worker, thread)) not in busy]
            free += idle[: max(0, threads - taken)]
        return free

    def refuse(self, worker: str, why: str) -> None:
        """Use a worker no more. Say so if there are others: without any, the next look ends the run with the reason."""
        if worker not in self.refused:
            self.refused[worker] = f"worker {worker}: {why}"
            if not self.refused.keys() >= self._workers.keys():
                self.say(f"{self.refused[worker]}; it is not used")
