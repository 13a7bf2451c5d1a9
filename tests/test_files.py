"""Archives of arrays whose bytes are always the same, and files that are whole or not there."""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages.lib.files import arrays_to_bytes, read_arrays, whole, write_bytes, write_json, write_text

ARRAYS: dict[str, np.ndarray] = {
    "x": np.arange(12, dtype=np.uint8).reshape(3, 4),
    "y": np.array([0.0, -0.5, 1e300]),
    "empty": np.zeros((0, 3), np.float32),
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
}
DIGEST = "8c89bfa066702dc1dfea54ce33acccc641d488850edd3dbc542b4c61f96a7e01"


def test_the_bytes_of_an_archive_are_pinned() -> None:
    assert hashlib.sha256(arrays_to_bytes(ARRAYS)).hexdigest() == DIGEST


@pytest.mark.skipif(sys.version_info < (3, 11, 4), reason="NumPy writes other bytes on Python 3.11.3 and before")
@pytest.mark.parametrize("arrays", [ARRAYS, {}], ids=["arrays", "none"])
def test_the_bytes_are_those_of_numpy(arrays: dict[str, np.ndarray]) -> None:
    archive = io.BytesIO()
    np.savez(archive, allow_pickle=False, **arrays)
    assert arrays_to_bytes(arrays) == archive.getvalue()


def test_an_archive_is_read_back_as_it_was(tmp_path: Path) -> None:
    write_bytes(tmp_path / "arrays.npz", arrays_to_bytes(ARRAYS))
    again = read_arrays(tmp_path / "arrays.npz")
    assert list(again) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert again[name].dtype == array.dtype
        np.testing.assert_array_equal(again[name], array)
    assert zipfile.ZipFile(tmp_path / "arrays.npz").testzip() is None


def test_pickled_objects_are_refused() -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        arrays_to_bytes({"x": np.array([{}], dtype=object)})


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    def write_half() -> None:
        with whole(target) as temporary:
            temporary.write_bytes(b"half of the sec")
            raise KeyboardInterrupt

    target = tmp_path / "file"
    write_bytes(target, b"first")
    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert target.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    "write", [lambda to: write_bytes(to, b"second"), lambda to: write_text(to, "second"), lambda to: write_json(to, 2)]
)
def test_a_write_that_is_cut_off_leaves_the_file_as_it_was(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise KeyboardInterrupt

    target = tmp_path / "file"
    write_bytes(target, b"first")
    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(KeyboardInterrupt):
        write(target)
    assert target.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [target]
