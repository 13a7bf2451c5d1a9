"""How often verdicts are false, and how often claims are decided: plain rules against those at planned looks, simulated.

    python -m benchmarks.verdicts              # the tables of docs/verdicts.md, between its markers: two minutes on one core
    python -m benchmarks.verdicts --all        # every population, expectation and effect, as CSV on standard output

Run it at the checkout's root, in its environment. It is seeded, so it writes the same tables again.

Replicates are drawn from populations whose truth is known. A verdict is false if what it says is untrue of the population:

    higher (lower mirrored)      supported: the effect is at most the margin; refuted: it is at least the margin;
                                 equivalent: it is at least the margin, or at most minus the margin
    same                         supported: it is at least the margin in size; refuted: it is at most the margin in size
    at_least (at_most mirrored)  supported: the value is at most the threshold; refuted: it is at least the threshold

At the margin itself a verdict for either side counts as false. This is the hardest case: it is how often intervals miss the
truth. The effect is what the verdict is about, a mean or a median. Where some networks collapse, plain rules speak of the
mean of all of them. The rules of planned looks speak of the median if one of the replicates collapsed, and else of the mean of
networks that learn.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special, stats

from stages.lib.cli import one_line_errors
from stages.lib.files import write_text
from stages.lib.judging import verdicts
from stages.lib.markdown import LEFT, RIGHT, between_markers, markers, table
from stages.lib.study.claims import Expect

PAGE = Path("docs/verdicts.md")
COMMAND = "python -m benchmarks.verdicts"
ALPHA = 0.01
MARGIN = 2.0
"""In standard deviations of the populations. False verdicts are most frequent at the margin, however large it is."""
EFFECTS = (0.0, MARGIN, 2 * MARGIN)
PLANS: dict[str, tuple[int, ...]] = {"5": (5,), "10": (10,), "5, 10, 20": (5, 10, 20)}
ONE: tuple[Expect, ...] = ("at_least", "at_most")
TWO: tuple[Expect, ...] = ("higher", "lower", "same")
COLLAPSED = -20.0
"""What a network that collapsed measures, in standard deviations."""
KNOWN = 4_000_000
"""Draws by which medians of populations are known, to a thousandth of a standard deviation."""

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


class Population(NamedTuple):
    """Two variants. The second one is judged, alone or against the first; an effect is added to its replicates.

    spread: the first variant's values are as many times as large.
    collapse: the shares of networks that collapse.
    """

    draw: Draw
    spread: float = 1.0
    collapse: tuple[float, float] = (0.0, 0.0)


def _gamma(shape: float) -> Draw:
    """A deviation of 1, mean 0 and a skewness of 2 / root of the shape."""
    return lambda rng, size: (rng.gamma(shape, size=size) - shape) / shape**0.5


def _normal(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=size)


POPULATIONS = {
    "normal": Population(_normal),
    "normal, one variant steadier": Population(_normal, spread=0.25),
    "skewness 1": Population(_gamma(4)),
    "skewness 1, one variant steadier": Population(_gamma(4), spread=0.25),
    "skewness 2 (exponential)": Population(_gamma(1)),
    "skewness 2, one variant steadier": Population(_gamma(1), spread=0.25),
    "heavy tails (Student's, 3 degrees)": Population(lambda rng, size: rng.standard_t(3, size=size) / 3**0.5),
    "whole epochs": Population(lambda rng, size: np.round(rng.normal(0.3, 1.0, size))),
    "whole epochs, nine of ten agree": Population(lambda rng, size: (rng.random(size) < 0.1).astype(float)),
    "10 % collapse": Population(_normal, collapse=(0.0, 0.1)),
    "10 % of both collapse": Population(_normal, collapse=(0.1, 0.1)),
}


class Samples(NamedTuple):
    """groups: one or two arrays (repetitions, replicates); collapsed: of the same shapes."""

    groups: list[np.ndarray]
    collapsed: list[np.ndarray]

    def first(self, count: int) -> Samples:
        return Samples([group[:, :count] for group in self.groups], [marks[:, :count] for marks in self.collapsed])


class Truth(NamedTuple):
    """What is true of a population without an effect: of the one variant, or of the difference."""

    mean_of_all: float
    mean_of_learning: float
    median_of_all: float


def sample(population: Population, variants: int, size: tuple[int, int], rng: np.random.Generator) -> Samples:
    groups, collapsed = [], []
    for spread, share in zip((population.spread, 1.0)[-variants:], population.collapse[-variants:], strict=True):
        values = spread * population.draw(rng, size)
        marks = rng.random(size) < share
        groups.append(np.where(marks, COLLAPSED, values))
        collapsed.append(marks)
    return Samples(groups, collapsed)


def truth_of(population: Population, variants: int, rng: np.random.Generator) -> Truth:
    drawn = sample(population, variants, (KNOWN, 1), rng)
    learning = [group[~marks].mean() for group, marks in zip(drawn.groups, drawn.collapsed, strict=True)]
    means = [group.mean() for group in drawn.groups]
    median = float(np.median(verdicts.by_seed(drawn.groups)))
    of_all, of_learning = (float(each[-1] - (each[0] if variants == 2 else 0.0)) for each in (means, learning))
    return Truth(of_all, of_learning, median)


# Rules


@dataclass(frozen=True)
class Rule:
    """limits: (samples, alpha of this look) -> intervals.

    planned: whether each look has an equal part of alpha, and not the whole of it.
    about: what of a Truth its means are about.
    """

    limits: Callable[[Samples, float], verdicts.Limits]
    planned: bool
    about: str = "mean_of_learning"


def plain_limits(samples: Samples, alpha: float) -> verdicts.Limits:
    """Student's and Welch's intervals."""
    count = samples.groups[0].shape[-1]
    variances = [group.var(axis=-1, ddof=1) / count for group in samples.groups]
    means = [group.mean(axis=-1) for group in samples.groups]
    estimate = means[-1] - (means[0] if len(means) == 2 else 0.0)
    variance = np.sum(variances, axis=0)
    with np.errstate(invalid="ignore"):
        freedom = np.nan_to_num(variance**2 / np.sum([each**2 / (count - 1) for each in variances], axis=0), nan=1.0)
    reach = special.stdtrit(freedom, 1 - alpha / 2) * np.sqrt(variance)
    return verdicts.Limits(estimate - reach, estimate + reach, np.zeros(estimate.shape, dtype=bool))


def planned_limits(samples: Samples, alpha: float) -> verdicts.Limits:
    return verdicts.limits(samples.groups, alpha, samples.collapsed)


def median_limits(samples: Samples, alpha: float) -> verdicts.Limits:
    low, high = verdicts.median_limits(verdicts.by_seed(samples.groups), alpha)
    return verdicts.Limits(low, high, np.ones(low.shape, dtype=bool))


RULES = {
    "plain": Rule(plain_limits, planned=False, about="mean_of_all"),
    "plain, alpha divided": Rule(plain_limits, planned=True, about="mean_of_all"),
    "planned looks": Rule(planned_limits, planned=True),
    "median always": Rule(median_limits, planned=True, about="median_of_all"),
}


# Simulation


def false_verdicts(codes: np.ndarray, truth: np.ndarray, typical: np.ndarray, expect: Expect, limit: float) -> np.ndarray:
    """Whether each verdict is false; at the limit itself, each is.

    codes: positions in VERDICTS. truth: the true effect that each verdict is about; limit: the margin or the threshold.
    typical: whether that is a median. A median can lie at the limit exactly and with it many values, so then the words count.
    """
    if expect in ("lower", "at_most"):
        truth, limit = -truth, -limit if expect == "at_most" else limit
    near = 1e-6 * (1 + abs(limit))
    closed = np.where(typical, -near, near)  # of statements that are true at the limit, by docs/verdicts.md
    supported, refuted, equivalent = (codes == verdicts.VERDICTS.index(each) for each in ("supported", "refuted", "equivalent"))
    beyond = np.abs(truth) >= limit - closed
    if expect == "same":
        return np.asarray((supported & beyond) | (refuted & (np.abs(truth) <= limit + near)))
    below = truth <= limit + (closed if expect in ONE else near)
    return np.asarray((supported & below) | (refuted & (truth >= limit - near)) | (equivalent & beyond))


def judged(found: Sequence[verdicts.Limits], moved: float, expect: Expect, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """The verdicts at the first look that decides, and whether each is about a median.

    found: the intervals of each look. moved: what is added to every replicate of the last variant, and so to its intervals.
    """
    margin, threshold = (0.0, limit) if expect in ONE else (limit, 0.0)
    codes = np.zeros(found[0].low.shape, dtype=int)
    typical = np.zeros(codes.shape, dtype=bool)
    for each in found:
        now = verdicts.decide(each.low + moved, each.high + moved, expect, margin, threshold)
        typical = np.where(codes == 0, each.typical, typical)
        codes = np.where(codes == 0, now, codes)
    return codes, typical


def simulate(repetitions: int, seed: int = 0, populations: Sequence[str] = tuple(POPULATIONS)) -> Iterator[dict[str, object]]:
    """A row for each population, rule, plan, expectation and effect: the shares of false verdicts and of decided claims."""
    most = max(map(max, PLANS.values()))
    for name in populations:
        for variants, expects in ((1, ONE), (2, TWO)):
            rng = np.random.default_rng([seed, list(POPULATIONS).index(name), variants])
            truth = truth_of(POPULATIONS[name], variants, rng)
            drawn = sample(POPULATIONS[name], variants, (repetitions, most), rng)
            for (title, rule), (plan, counts) in itertools.product(RULES.items(), PLANS.items()):
                alpha = ALPHA / len(counts) if rule.planned else ALPHA
                found = [rule.limits(drawn.first(count), alpha) for count in counts]
                centre = getattr(truth, rule.about)
                for expect, effect in itertools.product(expects, EFFECTS):
                    # higher is tried at effects above 0 and lower at those below; a value is as far from its threshold
                    moved = (-effect if expect in ("lower", "at_most") else effect) - centre
                    limit = 0.0 if expect in ONE else MARGIN
                    codes, typical = judged(found, moved, expect, limit)
                    about = np.where(typical, truth.median_of_all, centre) + moved
                    wrong = false_verdicts(codes, about, typical, expect, limit)
                    settings = {"population": name, "rule": title, "replicates": plan, "expect": expect, "effect": effect}
                    yield {**settings, "false": float(wrong.mean()), "decided": float((codes > 0).mean())}


Ends = Callable[[Sequence[Sequence[float]]], tuple[float, float]]
"""Two groups of zeros and ones -> the interval of the difference of their shares."""


def newcombes(groups: Sequence[Sequence[float]]) -> tuple[float, float]:
    """R. G. Newcombe's method 10 (Statistics in Medicine 17, 1998), of Clopper and Pearson's intervals in place of Wilson's."""
    a, b = (verdicts.share_interval(group, 1 - ALPHA) for group in groups)
    low = b.mean - a.mean - math.hypot(b.mean - b.low, a.high - a.mean)
    high = b.mean - a.mean + math.hypot(b.high - b.mean, a.mean - a.low)
    return max(low, -1.0), min(high, 1.0)


def of_exact_ones(groups: Sequence[Sequence[float]]) -> tuple[float, float]:
    _, low, high, _ = verdicts.share_limits(groups, ALPHA)
    return low, high


def worst_share(count: int, interval: Ends, steps: int = 100) -> float:
    """How often the interval of a difference of shares misses it at most: exact, over a grid of the two shares."""
    grid = np.linspace(0, 1, steps + 1)
    chances = np.asarray(stats.binom.pmf(np.arange(count + 1)[:, None], count, grid))  # (outcomes, shares)
    ends = np.empty((2, count + 1, count + 1))
    for first in range(count + 1):
        for second in range(count + 1):
            groups = [[1.0] * ones + [0.0] * (count - ones) for ones in (first, second)]
            ends[:, first, second] = interval(groups)
    worst = 0.0
    for i, first in enumerate(grid):
        for j, second in enumerate(grid):
            both = np.outer(chances[:, i], chances[:, j])
            true = second - first
            worst = max(worst, both[(ends[0] > true + 1e-9) | (ends[1] < true - 1e-9)].sum())
    return float(worst)


# Tables


def percent(share: float) -> str:
    return f"{100 * share:.2f}"


SHOWN = [
    (rule, plan)
    for rule in RULES
    for plan in PLANS
    if rule != "plain, alpha divided" and (rule, plan) != ("median always", "5")
]
"""The columns of tables. No median is decided by 5 replicates."""
HEADER = [f"{rule}: {plan}" for rule, plan in SHOWN]


def false_table(found: pd.DataFrame) -> str:
    """For each population the largest share of false verdicts of any expectation and effect."""
    worst = found.groupby(["population", "rule", "replicates"], sort=False)["false"].max()
    rows = [[name, *(percent(worst[name, rule, plan]) for rule, plan in SHOWN)] for name in found["population"].unique()]
    return table(["false verdicts, %", *HEADER], rows, [LEFT, *[RIGHT] * len(SHOWN)])


def decided_table(found: pd.DataFrame) -> str:
    """For normal replicates the share of claims that are decided, by distance from the margin or the threshold."""
    chosen = found[found["population"] == "normal"].set_index(["expect", "effect", "rule", "replicates"])["decided"]
    kinds = [("higher", 0.0), ("higher", 2 * MARGIN), ("same", 0.0), ("same", 2 * MARGIN), ("at_least", MARGIN)]
    rows = [
        [f"`{expect}`, {effect:g}", *(f"{100 * chosen[expect, effect, rule, plan]:.0f}" for rule, plan in SHOWN)]
        for expect, effect in kinds
    ]
    return table(["decided, %", *HEADER], rows, [LEFT, *[RIGHT] * len(SHOWN)])


def shares_table() -> str:
    """How often intervals of the difference of two shares miss it at most."""
    rows = [
        [title, *(percent(worst_share(count, interval)) for count in (5, 10, 20))]
        for title, interval in (("plain, Newcombe's", newcombes), ("planned looks, two exact ones", of_exact_ones))
    ]
    return table(["missed, %", "5 each", "10 each", "20 each"], rows, [LEFT, RIGHT, RIGHT, RIGHT])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=100_000, help="of every population (default: %(default)s)")
    parser.add_argument("--all", action="store_true", help="print every population, rule, expectation and effect, as CSV")
    given = parser.parse_args()
    found = pd.DataFrame(simulate(given.repetitions))
    if given.all:
        found.to_csv(sys.stdout, index=False)
        return
    error = f"Monte Carlo error of 1 %, one standard error: {percent((ALPHA * (1 - ALPHA) / given.repetitions) ** 0.5)} points."
    content = "\n\n".join(
        (f"{given.repetitions:,} repetitions. {error}", false_table(found), decided_table(found), shares_table())
    )
    page = between_markers(PAGE.read_text(encoding="utf-8"), markers("simulated", COMMAND), content, str(PAGE))
    write_text(PAGE, page)
    print(f"written: {PAGE}")


if __name__ == "__main__":
    with one_line_errors("verdicts"):
        main()
