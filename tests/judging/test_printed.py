"""Printed accuracies: no true number is called impossible, and altered ones are found."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import numpy as np
import pytest

from helpers.checkout import ROOT
from stages.lib.judging.forensics import KERAS_BATCH, examine, of_study
from stages.lib.study.load import load_study
from stages.lib.study.places import studies

SIZES = (32, 64, 100, 128, 256, 512)
WAYS = (
    "rounded",
    "rounded float32",
    "float32 in full",
    "float32, short",
    "float64 in full",
    "many decimals",
    "mean of batches",
)


def written(way: str, rows: int, count: int, size: int, draw: np.random.Generator) -> str:
    """An accuracy as a program prints it."""
    exact, single = count / rows, np.float32(count / rows)
    few, many = int(draw.integers(2, 7)), int(draw.integers(8, 12))
    if way == "mean of batches":
        correct = np.zeros(rows, dtype=bool)
        correct[draw.permutation(rows)[:count]] = True
        total = 0.0
        for start in range(0, rows, size):
            batch = correct[start : start + size]
            total += float(np.float32(batch.sum() / len(batch))) * len(batch)
        text = repr(total / rows)
    else:
        text = {
            "rounded": f"{exact:.{few}f}",
            "rounded float32": f"{single:.{few}f}",
            "float32 in full": repr(float(single)),
            "float32, short": str(single),
            "float64 in full": repr(exact),
            "many decimals": f"{float(single):.{many}f}",
        }[way]
    return f"{Decimal(text):f}"


def altered(text: str, draw: np.random.Generator) -> str:
    """The text with another digit after the point."""
    place = int(draw.integers(text.index(".") + 1, len(text)))
    return f"{text[:place]}{(int(text[place]) + int(draw.integers(1, 10))) % 10}{text[place + 1 :]}"


def test_of_ten_thousand_true_numbers_none_is_called_impossible_and_altered_ones_are_found() -> None:
    """With all digits of a float32, nine of ten altered numbers are found; of rounded ones those that no count rounds to."""
    draw = np.random.default_rng(0)
    found: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    for _ in range(10_000):
        rows = int(draw.choice([500, 1_000, 4_000, 5_000, 10_000, 12_000, 54_000, 60_000]))
        count = int(draw.integers(0, rows + 1)) if draw.random() < 0.3 else int(rows * (1 - draw.beta(1, 6)))
        way, size = WAYS[int(draw.integers(len(WAYS)))], int(draw.choice(SIZES))
        text = written(way, rows, count, size, draw)
        assert examine(text, rows, (KERAS_BATCH, size)).printing != "impossible", (text, rows, count, way, size)
        if "." in text:
            tried[way] += 1
            found[way] += examine(altered(text, draw), rows, (KERAS_BATCH, size)).printing == "impossible"
    rates = {way: found[way] / tried[way] for way in WAYS}
    assert rates["float32 in full"] > 0.85
    assert rates["many decimals"] > 0.85
    assert rates["mean of batches"] > 0.4
    assert min(rates.values()) > 0.1


@pytest.mark.parametrize(
    ("text", "rows", "printing"),
    [
        ("0.9606999754905701", 10_000, "possible"),
        ("0.9906999754905701", 10_000, "impossible"),
        ("0.9824030212854031", 10_000, "impossible"),
        ("0.6224999713897705", 10_000, "impossible"),
        ("0.5924999713897705", 10_000, "possible"),
        ("0.9375", 1_000, "impossible"),  # 937 or 938 of 1,000
        ("0.938", 1_000, "possible"),
        ("0.94", 1_000, "possible, but rounded"),
        ("0.9841", 60_000, "possible, but rounded"),
        ("1.2", 10, "impossible"),
        ("1", 10, "possible, but rounded"),  # as 5 of 10 may be
    ],
)
def test_a_printed_number_is_told_from_one_that_cannot_be(text: str, rows: int, printing: str) -> None:
    assert examine(text, rows).printing == printing


def test_of_all_studies_three_numbers_cannot_have_been_printed() -> None:
    found = [each for folder in studies(ROOT) for each in of_study(load_study(ROOT / folder), None)]
    impossible = [(each.variant, each.metric) for each in found if each.finding.printing == "impossible"]
    assert impossible == [("adam", "train_accuracy"), ("dropout", "train_accuracy"), ("dropout", "test_accuracy")]
    assert len(found) > 30
