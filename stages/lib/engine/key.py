"""The replicate key: everything that decides a replicate's result, as one digest."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from pathlib import Path

from pydantic import TypeAdapter

from stages.lib import environment
from stages.lib.engine.source import training_source
from stages.lib.study.recipe import Recipe
from stages.lib.training.views import FittedView

_FITTED_VIEW = TypeAdapter(FittedView)


def _version(*names: str) -> str:
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "none"


def processor_features() -> list[str]:
    """The vector instructions of this processor. AVX2 and AVX-512 give results that differ in the fifth decimal."""
    try:
        flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return [platform.machine(), platform.processor()]
    return [platform.machine(), *sorted(flag for flag in flags.split() if flag.startswith(("avx", "fma", "amx")))]


def graphics_cards(backend: str) -> list[str]:
    """The models of the NVIDIA cards that training can use here. Empty for a backend without support for cards."""
    visible = environment.visible_cards()
    if visible in ("", "-1") or _version(f"{backend}-cpu") != "none":
        return []
    facts = [path.read_text() for path in Path("/proc/driver/nvidia/gpus").glob("*/information")]
    cards = sorted(line.partition(":")[2].strip() for fact in facts for line in fact.splitlines() if line.startswith("Model:"))
    return cards[: visible.count(",") + 1] if visible and len({*cards}) == 1 else cards


def local_environment(backend: str) -> dict[str, object]:
    """The facts about this machine and its software that decide a result."""
    cards = graphics_cards(backend)
    return {
        "source": training_source(),
        "keras": _version("keras"),
        backend: _version(backend, f"{backend}-cpu"),
        "numpy": _version("numpy"),
        "processor": processor_features(),
        **({"gpu": cards} if cards else {}),
        "variables": environment.decisive(),
    }


def replicate_key(recipe: Recipe, view: FittedView, seed: int, fingerprint: str, made_in: dict[str, object]) -> str:
    """SHA-256 of everything that decides a replicate's result.

    Settings at their default are left out, so that a new setting that is off changes no key. So a default may never change: a
    test holds all of them. A network of one's own counts as its name, all of its options, and what its file computes.

    Args:
        fingerprint: of the data, by `Prepared.fingerprint`.
        made_in: the environment of the machine that trains, by `cluster.training_environment`.
    """
    decisive = {
        "recipe": recipe.model_dump(exclude_defaults=True),
        **({"network": recipe.model.network.source} if recipe.model.network else {}),
        "view": _FITTED_VIEW.dump_python(view, exclude_defaults=True),
        "seed": seed,
        "data": fingerprint,
        "environment": made_in,
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
