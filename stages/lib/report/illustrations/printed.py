"""Numbers that a source prints with an illustration, compared with ours."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from stages.lib.cli import SettingError
from stages.lib.judging.reported import decimals
from stages.lib.report.illustrations.illustrated import Illustrated
from stages.lib.study.settings import Study

DIGITS = 5
"""Decimals in the table."""
COLUMNS = ("name", "key", "reported", "measured", "agrees")


def agrees(reported: float, measured: float, digits: int) -> bool:
    """Whether the measured number rounds to the reported one with this many decimals. A tie may round either way."""
    return bool(abs(measured - reported) <= 0.5 * 10.0**-digits * (1 + 1e-9) + 1e-12 * abs(reported))


def printed_decimals(reported: tuple[float, ...]) -> int:
    """Those of the most precise number, since a source prints all numbers of a list alike."""
    return max(map(decimals, reported), default=0)


def compare_printed(study: Study, illustrated: Mapping[str, Illustrated]) -> pd.DataFrame:
    """A row for each printed number, with COLUMNS, sorted by name and key.

    Raises SettingError for a key that is not measured, or if there are more or fewer numbers than we have.
    """
    rows = []
    for name, illustration in sorted(study.illustrations.items()):
        measured = illustrated[name].measured
        for key, reported in sorted(illustration.reported.items()):
            place = ("illustrations", name, "reported", key)
            if key not in measured:
                raise SettingError(f"is not measured; known: {', '.join(measured) or 'none'}", *place)
            if len(reported) != len(measured[key]):
                raise SettingError(f"has {len(reported)} numbers, and {len(measured[key])} are measured", *place)
            digits = printed_decimals(reported)
            for theirs, ours in zip(reported, measured[key], strict=True):
                rows.append((name, key, theirs, round(ours, DIGITS) + 0.0, agrees(theirs, ours, digits)))
    return pd.DataFrame(rows, columns=list(COLUMNS))
