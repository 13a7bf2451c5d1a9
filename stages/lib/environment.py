"""Settings outside params.yaml: every environment variable that a stage reads.

They say where and how the work is done. None of them is a parameter of a study: DVC runs nothing again when one changes. Those
that could change a result are in the replicate key.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from stages.lib.cli import UserError


@dataclass(frozen=True)
class Variable:
    """What one variable does, as docs/knobs.md has it."""

    name: str
    allowed: str
    default: str
    meaning: str


WORKERS = "TIPS_WORKERS"
CACHE_GB = "TIPS_CACHE_GB"
INSECURE = "TIPS_INSECURE"
MIRROR = "DATA_MIRROR"
SCHEDULER = "DASK_SCHEDULER_ADDRESS"
BACKEND = "KERAS_BACKEND"
DECISIVE = ("ONEDNN_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS")
"""Variables that change the arithmetic of training."""
CARDS = "CUDA_VISIBLE_DEVICES"

VARIABLES = (
    Variable(WORKERS, "a whole number ≥ 1", "as many as cores and memory allow", "replicates that train at once"),
    Variable(
        CACHE_GB, "a number ≥ 0", "5", "gigabytes of the replicate cache; the entries that were used longest ago go first"
    ),
    Variable("XDG_CACHE_HOME", "a folder", "~/.cache", "where the caches of replicates and downloads lie"),
    Variable(MIRROR, "a folder or a URL", "–", "is asked for data files before their sources"),
    Variable(SCHEDULER, "an address", "–", "train on this Dask cluster instead of this machine"),
    Variable(INSECURE, "1", "–", "allow a scheduler that others on the network can reach, without certificates"),
    Variable(BACKEND, "the study's backend", "the study's backend", "a check: it must agree with replicates.backend"),
    Variable(CARDS, "as for CUDA", "all cards", "graphics cards that training may use; their models are in the replicate key"),
    *(Variable(name, "as for its library", "–", "changes the arithmetic; it is in the replicate key") for name in DECISIVE),
)


def workers() -> int | None:
    """How many replicates may train at once, or None if the user does not say. Raises UserError for anything but a count."""
    given = os.environ.get(WORKERS)
    if given is None:
        return None
    if not given.isdecimal() or int(given) < 1:
        raise UserError(f"{WORKERS}: {given!r} is not allowed; a whole number of at least 1 is")
    return int(given)


def cache_limit() -> int:
    """The size limit of the replicate cache in bytes. Raises UserError for anything but a number of gigabytes."""
    given = os.environ.get(CACHE_GB, "5")
    try:
        limit = float(given)
    except ValueError:
        limit = math.nan
    if not 0 <= limit < math.inf:
        raise UserError(f"{CACHE_GB}: {given!r} is not allowed; a number of gigabytes is")
    return int(limit * 1e9)


def cache_folder(name: str) -> Path:
    """One of this project's folders in the user's cache."""
    return user_cache_path("tips-on-trial") / name


def mirror() -> str | None:
    """The folder or URL that is asked for data files first."""
    return os.environ.get(MIRROR)


def scheduler() -> str | None:
    """The address of the Dask scheduler to train with, or None to train on this machine."""
    return os.environ.get(SCHEDULER)


def allows_insecure() -> bool:
    """Whether the user trusts everyone who can reach the scheduler."""
    return os.environ.get(INSECURE) == "1"


def check_backend(backend: str) -> None:
    """Raises UserError if the user's Keras backend is not the study's."""
    given = os.environ.get(BACKEND, backend)
    if given != backend:
        raise UserError(f"{BACKEND} is {given}, but replicates.backend is {backend}; unset or change one")


def decisive() -> dict[str, str]:
    """The variables that are set and change the arithmetic of training."""
    return {name: os.environ[name] for name in DECISIVE if name in os.environ}


def visible_cards() -> str | None:
    """The graphics cards that the user leaves visible, None for all."""
    return os.environ.get(CARDS)
