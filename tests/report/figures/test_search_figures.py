"""The best score so far."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from helpers.search import searching
from stages.lib.report.figures.search import best_so_far

LOSS = {"metric": "val_loss", "claims": ..., "strategies.few.reported": ...}


def test_the_best_so_far_skips_what_diverged_and_what_was_pruned() -> None:
    _, settings = searching(**LOSS, strategies={"blind": {"method": "random"}})
    scores = ["diverged", 0.5, 0.2, 0.4, 0.6, 0.3, "diverged", 0.7]
    states = ["complete"] * 2 + ["pruned"] + ["complete"] * 5
    table = pd.DataFrame({"strategy": "blind", "seed": [0] * 4 + [1] * 4, "state": states, "val_loss": scores})
    (best,) = best_so_far(settings, table).values()
    np.testing.assert_array_equal(best, [[math.nan, 0.5, 0.5, 0.4], [0.6, 0.3, 0.3, 0.3]])
