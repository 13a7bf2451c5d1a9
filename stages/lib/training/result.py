"""The result of a replicate. This module is importable without Keras."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """The files of a replicate by name, and its durations. The files depend on nothing but the replicate's key.

    seconds: of the whole replicate.
    seconds_per_epoch: mean over the epochs after the first, which also traces the network; the first if there is no other.
    """

    files: dict[str, bytes]
    seconds: float
    seconds_per_epoch: float
