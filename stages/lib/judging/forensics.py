"""Whether a program can have printed a number: an accuracy of n rows is a whole number of rows over n.

The idea is the GRIM test of psychology (N. Brown and J. Heathers, Social Psychological and Personality Science 8, 2017). A
number with all its digits says more: Keras computes accuracies in float32, and most decimal numbers are none.

Keras prints an accuracy in one of these ways, all of which count as possible:

* k / n of float32: Keras 3, TensorFlow 2, and every version that measures all rows in one batch;
* the mean of the batches' accuracies, each a float32, weighted by their rows in float64: Keras before 2.3, for measurements in
  batches of 32 and for the running accuracy of an epoch;
* k / n of float64, by NumPy or scikit-learn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np

from stages.lib.study.metrics import AFTER_EPOCH, metric_of, needs_validation
from stages.lib.study.rows import RowRange, RowsSplit, StratifiedSplit
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import Printed

ALL_DIGITS = 8
"""Decimals from which a number counts as printed with all its digits: a float32 below 1 has no more that mean something."""
HALF_STEP = 2.0**-25
"""The largest error of a float32 between 0.5 and 1."""
KERAS_BATCH = 32
"""Rows of a batch where a program names no number."""

Printing = Literal["possible", "possible, but rounded", "impossible"]


class Finding(NamedTuple):
    """What is known of a printed accuracy.

    rows: it was measured on. why: a sentence.
    """

    printing: Printing
    rows: int
    why: str


class Examined(NamedTuple):
    """A number that a study's source prints, and what is known of it."""

    variant: str
    metric: str
    text: str
    finding: Finding


def of_study(study: Study, facts: Mapping[str, Any] | None) -> list[Examined]:
    """The accuracies that the study's source prints, on rows whose number is known.

    facts: those of the prepared data, if they are there. A split by shares has its numbers of rows from them.
    """
    rows = rows_of_splits(study, facts)
    found = []
    for variant, settings in study.variants.items():
        for metric, number in settings.reported.items():
            split = _split_of(metric)
            own = rows.get(split) if split else None
            recipe = study.recipes[variant]
            if split != "test" and (recipe.k_fold or recipe.train.validation_rows):
                own = None  # training chose rows of its own
            if own and isinstance(number, Printed):
                running = AFTER_EPOCH.fullmatch(metric)
                sizes = (KERAS_BATCH, recipe.train.batch_size) if running and split == "train" else (KERAS_BATCH,)
                found.append(Examined(variant, metric, number.text, examine(number.text, own, sizes)))
    return found


def rows_of_splits(study: Study, facts: Mapping[str, Any] | None) -> dict[str, int]:
    """Split -> its rows, without limits, as a source had them; none of a split that takes shares, without facts."""
    split = study.data.split
    if isinstance(split, RowsSplit):
        ranges = {"train": split.train, "validation": split.validation, "test": split.test}
        return {name: each.rows[1] - each.rows[0] for name, each in ranges.items() if isinstance(each, RowRange)}
    if isinstance(split, StratifiedSplit):
        return {"train": split.train, "validation": split.validation, "test": split.test}
    if facts is None or study.limits.rows:
        return {}
    return {name: int(each["shape"][0]) for name, each in facts["splits"].items()}


def _split_of(metric: str) -> str | None:
    """The rows of which a metric is an accuracy; None if it is none."""
    if metric_of(metric).quantity != "accuracy" or not metric_of(metric).higher_is_better:
        return None
    return "validation" if needs_validation(metric) else "test" if metric.startswith("test") else "train"


def examine(text: str, rows: int, batch_sizes: Sequence[int] = (KERAS_BATCH,)) -> Finding:
    """What is known of an accuracy on so many rows that was printed as `text`, such as 0.9876.

    batch_sizes: rows of the batches that the program may have averaged over, beside all rows at once.
    """
    digits = Decimal(text)
    value = float(digits)
    decimals = max(0, -int(digits.as_tuple().exponent))
    if not 0 <= value <= 1:
        return Finding("impossible", rows, "an accuracy lies between 0 and 1")
    if decimals < ALL_DIGITS:
        return _rounded(value, decimals, rows)
    nearest = round(value * rows)
    if _is_ratio(text, nearest, rows) or any(_is_mean_of_batches(value, rows, size) for size in batch_sizes):
        return Finding("possible", rows, f"{nearest:,} of {rows:,} rows, with all digits")
    near = float(np.float32(nearest / rows))
    batches = " or ".join(str(size) for size in sorted({*batch_sizes}))
    return Finding(
        "impossible",
        rows,
        f"a program that measures {rows:,} rows at once, or in batches of {batches}, cannot have printed it;"
        f" {nearest:,} of them are {near!r}",
    )


def _rounded(value: float, decimals: int, rows: int) -> Finding:
    """A number with few decimals: which whole numbers of rows round to it, in float32 too."""
    reach = 0.5 * 10.0**-decimals * (1 + 1e-9) + HALF_STEP
    first, last = math.ceil((value - reach) * rows), math.floor((value + reach) * rows)
    first, last = max(first, 0), min(last, rows)
    if first > last:
        return Finding("impossible", rows, f"no whole number of {rows:,} rows rounds to it")
    if first == last:
        return Finding("possible", rows, f"{first:,} of {rows:,} rows")
    return Finding("possible, but rounded", rows, f"{first:,} to {last:,} of {rows:,} rows round to it")


def _is_ratio(text: str, count: int, rows: int) -> bool:
    """Whether the text is count / rows, in float32 or in float64, with all digits or rounded to those that it has."""
    exact = count / rows
    single = np.float32(exact)
    decimals = len(text.partition(".")[2])
    written = {repr(exact), repr(float(single)), str(single)}
    written |= {f"{number:.{decimals}f}" for number in (exact, float(single))}
    return Decimal(text) in {Decimal(each) for each in written}


def _is_mean_of_batches(value: float, rows: int, size: int) -> bool:
    """Whether a value can be the mean of the float32 accuracies of batches of this size. The last one may be smaller.

    Two things are necessary. Its distance from whole rows lies between the convex hulls of the errors of single batches, at
    their mean accuracy. And rows x the value is a multiple of the smallest step of these float32, but for float64's rounding.
    """
    if size >= rows:
        return False  # one batch is a ratio
    count = round(value * rows)
    whole, rest = rows // size, rows % size
    last = np.arange(rest + 1)  # what the smaller batch may hit
    mean = (count - last) / whole
    last, mean = last[(mean >= 0) & (mean <= size)], mean[(mean >= 0) & (mean <= size)]
    own = _errors(rest)[last] * rest if rest else np.zeros(1)
    low, high = (own + sign * np.interp(mean, *_hull(size, sign)) * whole * size for sign in (1.0, -1.0))
    rounding = 2.0**-53 * (2 * math.sqrt(whole + 1) + 4)  # of a sum of so many numbers, by far the most that is likely
    if not low.min() / rows - rounding <= value - count / rows <= high.max() / rows + rounding:
        return False
    step = 2.0 ** -(24 + math.ceil(math.log2(size)))
    units = value * rows / step
    return abs(units - round(units)) <= rows * rounding / step


def _errors(size: int) -> np.ndarray:
    """What float32 adds to 0 / size, 1 / size, ... size / size."""
    exact = np.arange(size + 1) / size
    return np.asarray(exact.astype(np.float32).astype(np.float64) - exact)


@lru_cache
def _hull(size: int, sign: float) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the lower convex hull of sign x the errors of batches, by A. M. Andrew's monotone chain."""
    chain: list[tuple[int, float]] = []
    for x, y in enumerate((sign * _errors(size)).tolist()):
        while len(chain) > 1:
            (x0, y0), (x1, y1) = chain[-2:]
            if (y1 - y0) * (x - x0) < (y - y0) * (x1 - x0):
                break
            chain.pop()
        chain.append((x, y))
    return np.array([x for x, _ in chain]), np.array([y for _, y in chain])
