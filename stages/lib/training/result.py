"""What training hands to the stage, the cache and back: importable without Keras."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """What a replicate leaves: files by name, and how long it took. Equal for equal arguments but for the seconds."""

    files: dict[str, bytes]
    seconds: float  # all of it
    seconds_per_epoch: (
        float  # of the epochs after the first, which also traces the function; of the first if it is the only one
    )
