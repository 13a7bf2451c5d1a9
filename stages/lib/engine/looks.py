"""Who trains what: the replicates that undecided claims still need, the cheapest look first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from stages.lib.data.prepared import Prepared
from stages.lib.engine.jobs import Job
from stages.lib.engine.plan import Plan
from stages.lib.engine.progress import clock
from stages.lib.judging import replicates
from stages.lib.judging.planned import Progress, progress_of
from stages.lib.judging.predictions import Function
from stages.lib.study.settings import Study
from stages.lib.training.result import Result


class Due(NamedTuple):
    """A look that is due.

    look: in replicates of each of the claim's variants. jobs: those that it still needs.
    """

    claim: str
    look: int
    jobs: list[Job]

    @property
    def cost(self) -> float:
        return sum(job.cost for job in self.jobs)


@dataclass
class Looks:
    """The replicates that a study needs, by what is known so far.

    Which replicates a claim needs depends on its own ones alone. So all that is needed in the end is the same, in whatever
    order replicates are trained, and however often training was interrupted.

    jobs: every replicate that the study could need, by `jobs_of`.
    functions: the study's own metrics, by `own_metrics`.
    """

    study: Study
    jobs: Sequence[Job]
    prepared: Prepared
    functions: Mapping[str, Function] = field(default_factory=dict)
    wanted: dict[str, int] = field(init=False)
    rows: dict[tuple[str, int], dict[str, float]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.wanted = {variant: len(self.study.first_seeds(variant)) for variant in self.study.variants}
        self._labels: Mapping[str, np.ndarray] = {split: y for split, (_, y) in self.prepared.splits.items()}

    @property
    def more_than_one(self) -> bool:
        """Whether claims are looked at more than once."""
        return len(self.study.looks) > 1

    def needed(self) -> list[Job]:
        """The jobs of the looks so far, in the order of params.yaml."""
        return [job for job in self.jobs if job.seed < self.wanted[job.variant]]

    def missing(self) -> list[Job]:
        """Those without a result."""
        return [job for job in self.needed() if (job.variant, job.seed) not in self.rows]

    def add(self, job: Job, result: Result) -> None:
        """Measure a replicate that was trained, if what it measures may decide whether others are needed."""
        measured: dict[str, float] = {}
        if self.more_than_one:
            replicate = replicates.parse(result.files)
            asked = (self.study, job.variant, job.seed, replicate, self._labels, self.prepared.task, self.functions)
            measured = replicates.measure(*asked)
        self.rows[job.variant, job.seed] = measured

    def progress(self) -> dict[str, Progress]:
        """Claim -> how far it has come. Claims about time are left out: what is trained must not depend on durations."""
        table = pd.DataFrame([{"variant": variant, "seed": seed, **row} for (variant, seed), row in self.rows.items()])
        claims = {name: claim for name, claim in self.study.claims.items() if not claim.about_time}
        return {name: progress_of(self.study, claim, table) for name, claim in claims.items()} if len(table) else {}

    def due(self) -> list[Due]:
        """The looks that are due, the cheapest first."""
        found = []
        for name, progress in self.progress().items() if self.more_than_one else ():
            if progress.next is not None:
                variants = self.study.claims[name].variants
                needed = [job for job in self.jobs if job.variant in variants and job.seed < progress.next]
                found.append(Due(name, progress.next, [job for job in needed if (job.variant, job.seed) not in self.rows]))
        return sorted(found, key=lambda due: (due.cost, due.claim))

    def advance(self, at_once: int = 1) -> None:
        """Want what the cheapest look that is due needs, and the next ones until so many replicates can train at once.

        Every look that is due is needed, whatever the others find.
        """
        for due in self.due():
            if len(self.missing()) >= at_once:
                return
            for job in due.jobs:
                self.wanted[job.variant] = max(self.wanted[job.variant], job.seed + 1)

    def summary(self) -> str:
        """How many claims are decided after how many replicates."""
        after = Counter(each.replicates for each in self.progress().values() if each.decided)
        undecided = sum(not each.decided for each in self.progress().values())
        said = [f"{count} decided after {replicates} replicates" for replicates, count in sorted(after.items())]
        return f"claims: {', '.join([*said, f'{undecided} undecided'])}"


def from_cache(looks: Looks, cached: Callable[[str], Result | None]) -> None:
    """Add what a run would find in the cache, as far as nothing has to be trained."""
    while True:
        for job in looks.missing():
            if result := cached(job.key):
                looks.add(job, result)
        if looks.missing():
            return
        looks.advance()
        if not looks.missing():
            return


def due_lines(looks: Looks, plans: Sequence[Plan], workers: int) -> Iterator[str]:
    """What the looks that are due would cost, the cheapest first, after what has to be trained before."""
    seconds = {each.variant: each.seconds for each in plans}
    if looks.missing() and not looks.due() and looks.study.claims and looks.more_than_one:
        yield "claims are judged after that; what is still undecided then needs more replicates"
    for due in looks.due():
        own = [seconds[job.variant] for job in due.jobs]
        known = [each for each in own if each is not None]
        takes = f"about {clock(sum(known) / workers)} of training" if len(known) == len(own) else "a time that is not known"
        count = f"{len(due.jobs)} more replicate{'s' * (len(due.jobs) != 1)}"
        yield f"claims.{due.claim}: undecided; its look after {due.look} replicates needs {count}, {takes} by {workers} at once"
