"""The replicate cache: what this user trained once on this machine is not trained again.

It only saves time. A run ends as well without it, if nobody can write there, or if an entry is damaged.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from stages.lib import environment
from stages.lib.files import inner_path, whole_folder, why_unwritable
from stages.lib.training.result import Result

_MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 10**6
"""Bytes. That of a replicate has some hundreds."""
_AHEAD = 3600.0
"""Seconds by which the clocks of machines that share a cache may differ."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Manifest(BaseModel):
    """What an entry holds: path of each file -> its SHA-256, and how long the replicate took."""

    model_config = ConfigDict(strict=True, extra="forbid")

    files: Annotated[dict[Annotated[str, AfterValidator(inner_path)], str], Field(min_length=1)]
    seconds: Seconds
    seconds_per_epoch: Seconds


class ReplicateCache:
    """Results by key, in a folder each. An entry is written whole or not at all. At the size limit the oldest ones go.

    The oldest are those that were used longest ago.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        """`limit` is in bytes."""
        self.folder = folder
        self.limit = limit
        self._writes = True
        self._reads = True

    @classmethod
    def of_user(cls) -> ReplicateCache:
        """The user's cache. Raises UserError if the variable for its limit is no number."""
        return cls(environment.cache_folder("replicates"), environment.cache_limit())

    def check(self, say: Callable[[str], None]) -> None:
        """Tell the user if results cannot be kept."""
        if why := why_unwritable(self.folder):
            self._give_up(why, say)

    def _give_up(self, why: str, say: Callable[[str], None]) -> None:
        """Write nothing any more, and say so once."""
        if self._writes:
            say(f"the replicate cache {self.folder} cannot be written ({why}), so nothing more is kept in it")
        self._writes = False

    def get(self, key: str, say: Callable[[str], None]) -> Result | None:
        """The result, or None. A damaged entry is removed and reported through `say`.

        Entries that the user may not read are left alone. `say` tells of the first one.
        """
        entry = self._entry(key)
        if not os.path.isdir(entry):  # noqa: PTH112  # Path.is_dir raises where nobody may look
            return None
        try:
            manifest = _manifest_of(entry)
            files = {name: _content(entry / name) for name in manifest.files}
        except PermissionError as error:
            if self._reads:
                say(f"the cached replicate {entry} cannot be read ({error.strerror}); such ones are trained again")
            self._reads = False
            return None
        except (OSError, ValueError):
            files = {}
        if not files or any(_sha256(content) != manifest.files[name] for name, content in files.items()):
            say(f"the cached replicate {entry} is damaged; it is removed and trained again")
            shutil.rmtree(entry, ignore_errors=True)
            return None
        with suppress(OSError):  # another run may have pruned it, or nobody may write here
            os.utime(entry)
        return Result(files, manifest.seconds, manifest.seconds_per_epoch)

    def seconds(self, key: str) -> float | None:
        """How long a cached replicate took to train. None if there is none. The entry is not checked, nor noted as used."""
        try:
            return _manifest_of(self._entry(key)).seconds
        except (OSError, ValueError):
            return None

    def put(self, key: str, result: Result, say: Callable[[str], None]) -> None:
        """Keep a result, if that is possible. The first time that it is not, the user is told through `say`."""
        if not self._writes:
            return
        manifest = Manifest(
            files={name: _sha256(content) for name, content in result.files.items()},
            seconds=result.seconds,
            seconds_per_epoch=result.seconds_per_epoch,
        )
        try:
            with whole_folder(self._entry(key)) as folder:
                for name, content in result.files.items():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_bytes(content)
                (folder / _MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
        except OSError as error:
            self._give_up(error.strerror or str(error), say)

    def prune(self) -> None:
        """Remove the oldest entries until the rest is within the limit.

        Those dated in the future go first. They were used while the clock was wrong, nobody knows how long ago. They would
        otherwise outlive everything that is used from now on.
        """
        latest = time.time() + _AHEAD
        entries = []
        found: list[Path] = []
        with suppress(OSError):  # nobody may look there
            found = list(self.folder.glob("??/*"))
        for entry in found:
            with suppress(OSError):  # another run prunes too
                size = sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())
                used = entry.stat().st_mtime
                entries.append((used <= latest, used, size, entry))
        excess = sum(size for *_, size, _ in entries) - self.limit
        for *_, size, entry in sorted(entries):
            if excess <= 0:
                return
            shutil.rmtree(entry, ignore_errors=True)
            excess -= size

    def _entry(self, key: str) -> Path:
        return self.folder / key[:2] / key


def _manifest_of(entry: Path) -> Manifest:
    """Raises OSError if it cannot be read, and ValueError if it is not a manifest."""
    return Manifest.model_validate_json(_content(entry / _MANIFEST, _LARGEST_MANIFEST))


def _content(path: Path, most: int | None = None) -> bytes:
    """The bytes of a file. Raises OSError for anything but a file, and ValueError for more than `most` bytes."""
    if not path.is_file():  # a pipe would wait for ever
        raise FileNotFoundError(path)
    if most is not None and path.stat().st_size > most:
        raise ValueError(f"{path} has more than {most} bytes")
    return path.read_bytes()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
