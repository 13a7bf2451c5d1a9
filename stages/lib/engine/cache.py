"""The replicate cache: what this user trained once on this machine is not trained again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from stages.lib import environment
from stages.lib.files import whole_folder
from stages.lib.training.result import Result

_MANIFEST = "manifest.json"


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
        return cls(environment.cache_folder("replicates"), environment.cache_limit())

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
