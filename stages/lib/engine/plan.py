"""What a run would train, and about how long that would take, judged by past runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from stages.lib.data.prepared import Prepared
from stages.lib.engine.jobs import Job, cost_of
from stages.lib.engine.progress import clock
from stages.lib.study import space
from stages.lib.study.search import Search
from stages.lib.study.settings import Study

START_SECONDS = 10.0
"""Time until the first replicate trains: workers start and Keras is imported."""
Timed = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Variant -> seed -> its seconds and its cost then. Older files have no cost."""


@dataclass(frozen=True)
class Plan:
    """One variant's replicates.

    cached: None if nobody knows yet.
    seconds: of one replicate. None if no past run tells.
    guessed: whether `seconds` comes from other variants.
    shared: replicates that an earlier variant has too, so that they are not trained for this one.
    longest: seconds of the slowest replicate so far. None if there is none.
    """

    variant: str
    replicates: int
    cached: int | None
    seconds: float | None
    guessed: bool = False
    shared: int = 0
    longest: float | None = None

    @property
    def to_train(self) -> int:
        return self.replicates - (self.cached or 0) - self.shared


def plan(study: Study, jobs: Sequence[Job] | None, cached: Callable[[str], float | None], timed: Timed) -> list[Plan]:
    """The plan of each variant. Seconds are proportional to cost, by the variant's own past or else by that of all others.

    Args:
        jobs: the replicates that the study needs. None if the data are not there, which decide them.
        cached: key -> seconds of the cached replicate, None if it is not cached.
        timed: the replicates of data/timings.json.
    """
    by_variant: dict[str, list[Job]] = {variant: [] for variant in study.variants}
    for job in jobs or ():
        by_variant[job.variant].append(job)
    held = {job.key: seconds for job in jobs or () if (seconds := cached(job.key)) is not None}
    past: dict[str, list[tuple[float, float]]] = {variant: [] for variant in study.variants}
    for job in jobs or ():
        if job.key in held:
            past[job.variant].append((held[job.key], job.cost))
        elif noted := timed.get(job.variant, {}).get(str(job.seed)):
            past[job.variant].append((noted["seconds"], noted.get("cost", job.cost)))
    overall = _rate([pair for pairs in past.values() for pair in pairs])
    plans = []
    earlier: set[str] = set()
    for variant, own_jobs in by_variant.items():
        cost = own_jobs[0].cost if own_jobs else 0.0
        own_rate = _rate(past[variant])
        rate = overall if own_rate is None else own_rate
        plans.append(
            Plan(
                variant=variant,
                replicates=len(own_jobs) if jobs else len(study.seeds(variant)),
                cached=sum(job.key in held for job in own_jobs) if jobs else None,
                seconds=None if rate is None else rate * cost,
                guessed=own_rate is None,
                shared=sum(job.key in earlier and job.key not in held for job in own_jobs),
                longest=max((cost * seconds / then for seconds, then in past[variant]), default=None),
            )
        )
        earlier.update(job.key for job in own_jobs)
    return plans


def _rate(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Seconds for each unit of cost. None without a past."""
    return sum(seconds for seconds, _ in pairs) / sum(cost for _, cost in pairs) if pairs else None


@dataclass(frozen=True)
class SearchPlan:
    """An upper limit of what a search trains: equal and cached trials are not trained again.

    rounds: they wait for each other, since a strategy chooses what to try next by what it found.
    at_once: most replicates of a round. More workers have nothing to do.
    seconds: of the longest replicate. None if no past run tells.
    """

    replicates: int
    rounds: int
    at_once: int
    seconds: float | None = None


def plan_search(
    study: Study, search: Search, plans: Sequence[Plan], jobs: Sequence[Job] | None, prepared: Prepared | None
) -> SearchPlan:
    """The plan of a search. Every trial is assumed to take as long as the slowest replicate.

    That is the slowest replicate of any variant, or the searched variant's time for the dearest network of the search.

    Args:
        plans: of the variants, by `plan`.
        jobs, prepared: all replicates of the variants, and the study's data. None if the data are not there.
    """
    limit = study.limits.seeds or sys.maxsize
    seeds = min(search.seeds, limit)
    refits = min(search.refits, limit)
    trials = [search.trials_of(strategy) for strategy in search.strategies]
    searched = len(trials) + 1  # the strategies, and the variant as it is
    first_batch = sum(min(count, search.batch) for count in trials)
    batches = -(-max(trials) // search.batch)
    rounds_of_batch = 1 if search.pruning == "none" else search.folds
    slowest = [each.longest for each in plans if each.longest is not None]
    seconds = None
    if slowest and jobs and prepared:
        seconds = max(slowest)
        for variant in search.variants:
            own = next(each for each in plans if each.variant == variant)
            cost = next(job.cost for job in jobs if job.variant == variant)
            size = partial(cost_of, prepared=prepared, view=study.view_of(variant))
            highest, _ = space.largest(study, search, variant, size)  # but for kernel sizes
            seconds = max(seconds, (own.longest or own.seconds or 0.0) * max(1.0, highest / cost))
    return SearchPlan(
        replicates=seeds * ((1 + sum(trials)) * search.folds + searched * refits),
        rounds=1 + batches * rounds_of_batch + 1,
        at_once=seeds * max(search.folds, first_batch * search.folds // rounds_of_batch, searched * refits),
        seconds=seconds,
    )


def wall_time(plans: Sequence[Plan], workers: int) -> float | None:
    """Seconds that the train stage would take. None if the time of some replicate is not known."""
    waiting = [each for each in plans if each.to_train]
    seconds = [each.seconds for each in waiting if each.seconds is not None]
    if len(seconds) < len(waiting):
        return None
    if not waiting or not workers:
        return 0.0
    work = sum(one * each.to_train for one, each in zip(seconds, waiting, strict=True))
    return START_SECONDS + max(work / workers, *seconds, 0.0)


def lines(plans: Sequence[Plan], workers: int) -> Iterator[str]:
    """The plan as a table, and its sum."""
    header = ("variant", "replicates", "cached", "to train", "one takes", "all take")
    width = max(len(name) for name in ("variant", *(each.variant for each in plans)))
    for variant, replicates, cached, count, one, together in (header, *map(_row, plans)):
        yield f"{variant:{width}}  {replicates:>10}  {cached:>6}  {count:>8}  {one:9}  {together}".rstrip()
    total = sum(each.replicates for each in plans)
    to_train = sum(each.to_train for each in plans)
    if not to_train:
        yield f"nothing to train: all {total} replicates are cached"
        return
    seconds = wall_time(plans, workers)
    takes = "the time is not known, as there is no past run" if seconds is None else f"about {clock(seconds)}"
    most = " at most" if any(each.cached is None for each in plans) else ""
    yield f"{to_train} of {total} replicates to train{most}, by {_count(workers)}: {takes}"
    if any(each.guessed and each.seconds is not None and each.to_train for each in plans):
        yield "~: no replicate of this variant was timed, so this is estimated from the other variants"
    if shared := sum(each.shared for each in plans):
        yield f"{shared} more replicates are equal to another variant's, and are trained once"


def _row(plan: Plan) -> tuple[str, ...]:
    one = together = "?" if plan.to_train else "-"
    if plan.to_train and plan.seconds is not None:
        about = "~" if plan.guessed else ""
        one = about + clock(plan.seconds)
        together = about + clock(plan.seconds * plan.to_train)
    cached = "?" if plan.cached is None else str(plan.cached)
    return plan.variant, str(plan.replicates), cached, str(plan.to_train), one, together


def search_lines(search: SearchPlan, workers: int) -> Iterator[str]:
    """What a search adds to the plan."""
    takes = "the time is not known"
    if search.seconds is not None and workers:
        takes = f"about {clock(START_SECONDS + search.seconds * max(search.replicates / workers, search.rounds))} at most"
    yield f"the search asks for {search.replicates} more replicates, by {_count(workers)}: {takes}"
    yield "This is an upper limit: cached and repeated trials are not trained again."


def _count(workers: int) -> str:
    return f"{workers} worker{'s' if workers > 1 else ''}"
