"""The replicate cache: a replicate that was trained once, anywhere on this machine by this user, is not trained again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from dataclasses import asdict
from pathlib import Path

from stages.lib.study.settings import Recipe
from stages.lib.training.views import FittedView

TRAINING_MODULES = ("backends", "diagnostics", "networks", "replicate", "views")
"""The modules of stages/lib whose source decides a result. dvc.yaml's train stage depends on exactly these."""

DECISIVE_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS")


def training_source() -> str:
    """SHA-256 of the source of the training modules."""
    digest = hashlib.sha256()
    for name in TRAINING_MODULES:
        digest.update((Path(__file__).parent.parent / "training" / f"{name}.py").read_bytes())
    return digest.hexdigest()


def _version(*names: str) -> str:
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "none"


def processor_features() -> list[str]:
    """The vector instructions of this processor: AVX2 and AVX-512 round differently in the fifth decimal."""
    try:
        flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return [platform.machine(), platform.processor()]
    return [platform.machine(), *sorted(flag for flag in flags.split() if flag.startswith(("avx", "fma", "amx")))]


def graphics_cards(backend: str) -> list[str]:
    """The NVIDIA cards, by kind, that a process which trains here may use; none for a package that can use none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible in ("", "-1") or _version(f"{backend}-cpu") != "none":
        return []
    facts = [path.read_text() for path in Path("/proc/driver/nvidia/gpus").glob("*/information")]
    cards = sorted(line.partition(":")[2].strip() for fact in facts for line in fact.splitlines() if line.startswith("Model:"))
    return cards[: visible.count(",") + 1] if visible and len({*cards}) == 1 else cards


def environment(backend: str) -> dict[str, object]:
    """What of the machine and its software decides a result."""
    cards = graphics_cards(backend)
    return {
        "source": training_source(),
        "keras": _version("keras"),
        backend: _version(backend, f"{backend}-cpu"),
        "numpy": _version("numpy"),
        "processor": processor_features(),
        **({"gpu": cards} if cards else {}),
        "variables": {name: os.environ[name] for name in DECISIVE_VARIABLES if name in os.environ},
    }


def replicate_key(recipe: Recipe, view: FittedView, seed: int, fingerprint: str, environment: dict[str, object]) -> str:
    """SHA-256 of everything that decides a replicate's result."""
    decisive = {
        "recipe": recipe.model_dump(),
        "view": asdict(view),
        "seed": seed,
        "data": fingerprint,
        "environment": environment,
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
