"""What a run would train, and about how long it would take, from what past runs took."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.lib.data.prepared import Prepared
from stages.lib.engine.jobs import Job, cost_of
from stages.lib.study import space
from stages.lib.study.search import Search
from stages.lib.study.settings import Study

START = 10.0
"""Seconds until the first replicate trains: workers start, Keras is imported."""
Timed = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Variant -> seed -> seconds, and the cost that the replicate then had (absent in older files)."""
Pairs = list[tuple[float, float]]
"""Seconds and cost of past replicates."""


@dataclass(frozen=True)
class Plan:
    """One variant's replicates.

    cached: None where nobody knows yet.
    seconds: of one replicate that is to be trained; None where no past run says.
    guessed: whether `seconds` is from other variants.
    shared: those to train that an earlier variant asks for too, so that they are trained for that one.
    longest: the seconds of its slowest replicate so far; None where there is none.
    """

    variant: str
    replicates: int
    cached: int | None
    seconds: float | None
    guessed: bool = False
    shared: int = 0
    longest: float | None = None

    @property
    def to_do(self) -> int:
        return self.replicates - (self.cached or 0) - self.shared


def plan(study: Study, jobs: Sequence[Job] | None, cached: Callable[[str], float | None], timed: Timed) -> list[Plan]:
    """Each variant's plan.

    A replicate takes as long for its cost as those of its variant did, or else as those of all others did.

    Args:
        jobs: every replicate of the study; None where the data that decide them are not there.
        cached: the seconds that the replicate with a key took, None where the cache does not hold it.
        timed: the replicates of data/timings.json.
    """
    by_variant: dict[str, list[Job]] = {variant: [] for variant in study.variants}
    for job in jobs or ():
        by_variant[job.variant].append(job)
    held = {job.key: seconds for job in jobs or () if (seconds := cached(job.key)) is not None}
    past = {variant: _past(by_variant[variant], held, timed.get(variant, {})) for variant in study.variants}
    overall = _rate([pair for pairs in past.values() for pair in pairs]) if jobs else None
    plans = []
    asked: set[str] = set()
    for variant, own_jobs in by_variant.items():
        cost = own_jobs[0].cost if own_jobs else 1.0
        own = _rate(past[variant])
        rate = overall if own is None else own
        plans.append(
            Plan(
                variant,
                len(study.seeds(variant)),
                sum(job.key in held for job in own_jobs) if jobs else None,
                None if rate is None else rate * cost,
                own is None,
                sum(job.key in asked and job.key not in held for job in own_jobs),
                max((cost * seconds / then for seconds, then in past[variant]), default=None),
            )
        )
        asked.update(job.key for job in own_jobs)
    return plans


def _past(jobs: Sequence[Job], held: Mapping[str, float], timed: Mapping[str, Mapping[str, float]]) -> Pairs:
    """A variant's past replicates; one without a note of its cost is taken to have cost what it does now."""
    cost = jobs[0].cost if jobs else 1.0
    found = {str(job.seed): (held[job.key], cost) for job in jobs if job.key in held}
    for seed, entry in timed.items():
        found.setdefault(seed, (entry["seconds"], entry.get("cost", cost) if jobs else 1.0))
    return list(found.values())


def _rate(pairs: Pairs) -> float | None:
    """Seconds for each unit of cost, None without a past."""
    return sum(seconds for seconds, _ in pairs) / sum(cost for _, cost in pairs) if pairs else None


@dataclass(frozen=True)
class SearchPlan:
    """What a search asks for; it trains less where strategies try the same, and where the cache holds some.

    rounds: that wait for each other, as what is tried next depends on what was found.
    at_once: the most replicates of a round, so that more workers have nothing to do.
    seconds: of its longest replicate; None where no past run says.
    """

    replicates: int
    rounds: int
    at_once: int
    seconds: float | None = None


def plan_search(
    study: Study, search: Search, plans: Sequence[Plan], jobs: Sequence[Job] | None, prepared: Prepared | None
) -> SearchPlan:
    """The search's plan, by the longest replicate: most of a search's trace a network of their own, few of a variant's do.

    That is the variant's own for the dearest of the search's networks, or another variant's that took longer.

    Args:
        plans: those of the variants, by `plan`.
        jobs, prepared: every replicate of the variants, and the study's data; None where the data are not there.
    """
    limit = study.limits.seeds or sys.maxsize
    seeds, refits = min(search.seeds, limit), min(search.refits, limit)
    trials = [search.trials_of(each) for each in search.strategies]
    first = sum(min(each, search.batch) for each in trials)
    steps = 1 if search.pruning == "none" else search.folds  # rounds of a batch
    known = [each.longest for each in plans if each.longest is not None]
    seconds = None
    if known and jobs and prepared:
        own = next(each for each in plans if each.variant == search.variant)
        price = next(job.cost for job in jobs if job.variant == search.variant)
        dearer = max(1.0, _dearest(study, search, prepared) / price)
        seconds = max(*known, (own.longest or own.seconds or 0.0) * dearer)
    return SearchPlan(
        replicates=seeds * ((1 + sum(trials)) * search.folds + (1 + len(trials)) * refits),  # 1 is the variant as it is
        rounds=1 + -(-max(trials) // search.batch) * steps + 1,
        at_once=seeds * max(search.folds, first * search.folds // steps, (1 + len(trials)) * refits),
        seconds=seconds,
    )


def _dearest(study: Study, search: Search, prepared: Prepared) -> float:
    """The highest cost within the search's ranges: but for the size of kernels, it only rises or only falls along each."""

    def cost(settings: Mapping[str, Any]) -> float:
        try:
            return cost_of(space.recipe_of(study, search, settings), prepared)
        except ValueError:  # settings that do not go together, or with the data
            return 0.0

    dearest: dict[str, Any] = {name: (each.choices or each.bounds)[0] for name, each in search.space.items()}
    for name, each in search.space.items():
        ends = [{**dearest, name: value} for value in each.choices or each.bounds]
        dearest = max(ends, key=cost)
    return cost(dearest)


def wall_time(plans: Sequence[Plan], workers: int) -> float | None:
    """Seconds that the train stage would take; None where the time of some replicate is not known."""
    waiting = [each for each in plans if each.to_do]
    known = [each.seconds for each in waiting if each.seconds is not None]
    if len(known) < len(waiting):
        return None
    if not waiting or not workers:
        return 0.0
    total = sum(seconds * each.to_do for seconds, each in zip(known, waiting, strict=True))
    return START + max(total / workers, *known, 0.0)


def clock(seconds: float) -> str:
    """Such as 2.3 s, 4:05 (minutes and seconds) or 3:20:00."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def lines(plans: Sequence[Plan], workers: int) -> Iterator[str]:
    """The plan as a table, and what it adds up to."""
    width = max(len("variant"), *(len(each.variant) for each in plans))
    yield f"{'variant':{width}}  replicates  cached  to train  each       together"
    for each in plans:
        cached = "?" if each.cached is None else str(each.cached)
        one = together = "-" if not each.to_do else "?"
        if each.to_do and each.seconds is not None:
            about = "~" if each.guessed else ""
            one, together = about + clock(each.seconds), about + clock(each.seconds * each.to_do)
        yield f"{each.variant:{width}}  {each.replicates:10}  {cached:>6}  {each.to_do:8}  {one:9}  {together}".rstrip()
    to_do = sum(each.to_do for each in plans)
    if not to_do:
        yield f"nothing to train: all {sum(each.replicates for each in plans)} replicates are cached"
        return
    seconds = wall_time(plans, workers)
    takes = f"about {clock(seconds)}" if seconds is not None else "how long that takes is not known: no run was timed yet"
    most = " at most" if any(each.cached is None for each in plans) else ""
    yield f"{to_do} of {sum(each.replicates for each in plans)} replicates to train{most}, {_by(workers)}: {takes}"
    if any(each.guessed and each.seconds is not None and each.to_do for each in plans):
        yield "~: never timed, so reckoned from what the other variants took"
    if shared := sum(each.shared for each in plans):
        yield f"{shared} more are what another variant asks for too, so they are trained once"


def search_lines(search: SearchPlan, workers: int) -> Iterator[str]:
    """What a search adds to the plan."""
    takes = "how long that takes is not known"
    if search.seconds is not None and workers:
        takes = f"about {clock(START + search.seconds * max(search.replicates / workers, search.rounds))} at most"
    yield f"the search asks for {search.replicates} replicates more, {_by(workers)}: {takes}"
    yield "it trains fewer, as strategies try the same and the cache holds some; how many is not known before"


def _by(workers: int) -> str:
    return f"by {workers} worker{'s' if workers > 1 else ''}"
