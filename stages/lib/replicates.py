"""The replicate cache: a replicate that was trained once, anywhere on this machine by this user, is not trained again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import os
import platform
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from platformdirs import user_cache_path

from stages.lib.cli import UserError
from stages.lib.files import whole_folder
from stages.lib.result import Result
from stages.lib.settings import Recipe
from stages.lib.views import FittedView

TRAINING_MODULES = ("backends", "diagnostics", "models", "training", "views")
"""The modules of stages/lib whose source decides a result. dvc.yaml's train stage depends on exactly these."""

DECISIVE_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS")
_MANIFEST = "manifest.json"


def training_source() -> str:
    """SHA-256 of the source of the training modules."""
    digest = hashlib.sha256()
    for name in TRAINING_MODULES:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
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


class ReplicateCache:
    """Results by key, one folder each, written whole or not at all; the ones used longest ago go first at the size limit."""

    def __init__(self, folder: Path, limit: int) -> None:
        """`limit` is in bytes."""
        self.folder = folder
        self.limit = limit

    @classmethod
    def of_user(cls) -> ReplicateCache:
        """The user's cache: `TIPS_CACHE_GB` sets its limit, 5 GB by default; XDG_CACHE_HOME moves it.

        Raises UserError for a limit that is no number.
        """
        given = os.environ.get("TIPS_CACHE_GB", "5")
        try:
            limit = float(given)
        except ValueError:
            limit = math.nan
        if not 0 <= limit < math.inf:
            raise UserError(f"TIPS_CACHE_GB: {given!r} is not allowed; a number of gigabytes is")
        return cls(user_cache_path("tips-on-trial") / "replicates", int(limit * 1e9))

    def _entry(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def get(self, key: str, say: Callable[[str], None]) -> Result | None:
        """The result, or None; a damaged entry is removed and reported through `say`."""
        entry = self._entry(key)
        if not entry.is_dir():
            return None
        try:
            manifest = json.loads((entry / _MANIFEST).read_text())
            files = {name: (entry / name).read_bytes() for name in manifest["files"]}
            intact = all(_sha256(content) == manifest["files"][name] for name, content in files.items())
            result = Result(files, manifest["seconds"], manifest["seconds_per_epoch"])
        except (OSError, ValueError, KeyError, TypeError):
            intact = False
        if not intact:
            say(f"the cached replicate {entry} is damaged; it is removed and trained again")
            shutil.rmtree(entry, ignore_errors=True)
            return None
        with suppress(OSError):  # another run may have pruned it, or nobody may write here
            os.utime(entry)
        return result

    def seconds(self, key: str) -> float | None:
        """How long the cached replicate took to train, None where there is none; it is not checked, nor noted as used."""
        try:
            return float(json.loads((self._entry(key) / _MANIFEST).read_text())["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, result: Result) -> None:
        with whole_folder(self._entry(key)) as folder:
            for name, content in result.files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
            manifest = {
                "files": {name: _sha256(content) for name, content in result.files.items()},
                "seconds": result.seconds,
                "seconds_per_epoch": result.seconds_per_epoch,
            }
            (folder / _MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")

    def prune(self) -> None:
        """Remove the entries used longest ago until the rest is within the limit."""
        entries = []
        for entry in self.folder.glob("??/*"):
            try:
                size = sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())
                entries.append((entry.stat().st_mtime, size, entry))
            except FileNotFoundError:  # another run prunes too
                continue
        excess = sum(size for _, size, _ in entries) - self.limit
        for _, size, entry in sorted(entries):
            if excess <= 0:
                return
            shutil.rmtree(entry, ignore_errors=True)
            excess -= size


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
