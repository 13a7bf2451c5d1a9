"""The stage as a user runs it: from params.yaml and the catalogue to verified files in data/raw."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from stages import fetch
from stages.lib import environment
from stages.lib.data.catalogue import CATALOGUE, load_catalogue
from stages.lib.data.download import obtain
from stages.lib.data.parts import read_parts

ROOT = Path(__file__).parents[1]
CONTENT = b"1,2,0\n3,4,1\n"
ENTRY = """\
tiny:
  title: Four numbers
  task: classification
  reader: {{kind: csv}}
  files:
    all:
      name: tiny.csv
      sha256: {sha256}
      sources: ["https://127.0.0.1:9/tiny.csv.gz"]
  licence: CC0
  citation: none
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a catalogue of one data set, a mirror that has it, and a study that asks for it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "datasets.yaml").write_text(ENTRY.format(sha256=hashlib.sha256(CONTENT).hexdigest()))
    (tmp_path / "mirror" / "tiny").mkdir(parents=True)
    (tmp_path / "mirror" / "tiny" / "tiny.csv.gz").write_bytes(gzip.compress(CONTENT))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_MIRROR", "mirror")
    monkeypatch.setattr(environment, "cache_folder", lambda name: tmp_path / "cache" / name)
    ask_for(monkeypatch, "tiny")
    return tmp_path


def ask_for(monkeypatch: pytest.MonkeyPatch, dataset: str) -> None:
    monkeypatch.setattr(fetch, "load_study", lambda _: SimpleNamespace(data=SimpleNamespace(dataset=dataset)))


def test_files_lie_in_the_study(checkout: Path) -> None:
    raw = checkout / "studies" / "one" / "data" / "raw"
    raw.mkdir(parents=True)
    (raw / "notes.txt").write_text("mine")
    (raw / "tiny.csv").write_text("old")
    fetch.main(["studies/one"])
    assert {path.name: path.read_bytes() for path in raw.iterdir()} == {"tiny.csv": CONTENT, "notes.txt": b"mine"}
    x, y = read_parts(load_catalogue(CATALOGUE)["tiny"], raw)["all"]
    assert (x.tolist(), y.tolist()) == ([[1, 2], [3, 4]], [0, 1])


def test_changing_a_raw_file_leaves_the_cache_alone(checkout: Path) -> None:
    fetch.main([])
    (checkout / "data" / "raw" / "tiny.csv").write_text("changed")
    fetch.main([])
    assert (checkout / "data" / "raw" / "tiny.csv").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("mirrored", "said"),
    [
        (b"other", "wrong content: SHA-256 expected"),
        (b"<!doctype html><title>Moved</title>", "an HTML page instead of the file"),
        (gzip.compress(CONTENT)[:-9], "damaged, truncated or encrypted"),
        (None, "No such file or directory"),
    ],
    ids=["altered", "page", "half", "missing"],
)
def test_wrong_file_is_refused_in_a_few_lines(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, mirrored: bytes | None, said: str
) -> None:
    monkeypatch.setattr(fetch, "obtain", partial(obtain, pauses=()))
    path = checkout / "mirror" / "tiny" / "tiny.csv.gz"
    path.unlink() if mirrored is None else path.write_bytes(mirrored)
    with pytest.raises(SystemExit) as caught:
        fetch.main([])
    lines = str(caught.value.code).splitlines()
    assert lines[0].startswith("fetch: tiny: no source has tiny.csv as it should be")
    assert len(lines) == 3
    assert said in lines[1]
    assert not (checkout / "data" / "raw").exists()


HOUSING = "-122.230000,37.880000,41.000000,880.000000,129.000000,322.000000,126.000000,8.325200,452600.000000\n"


def test_housing_from_a_mirror(tmp_path: Path) -> None:
    """The shipped entry, with the first row of the original in an archive like the original's."""
    shipped = load_catalogue(ROOT / CATALOGUE)["california_housing"]
    file = shipped.files["all"].model_copy(update={"sha256": hashlib.sha256(HOUSING.encode()).hexdigest()})
    dataset = shipped.model_copy(update={"files": {"all": file}})
    (tmp_path / "mirror" / "california_housing").mkdir(parents=True)
    with tarfile.open(tmp_path / "mirror" / "california_housing" / "cal_housing.tgz", "w:gz") as archive:
        for name in ("CaliforniaHousing/cal_housing.domain", "CaliforniaHousing/cal_housing.data"):
            member = tarfile.TarInfo(name)
            member.size = len(HOUSING)
            archive.addfile(member, io.BytesIO(HOUSING.encode()))
    fetch.fetch("california_housing", dataset, tmp_path / "raw", str(tmp_path / "mirror"), tmp_path / "cache")
    x, y = read_parts(dataset, tmp_path / "raw")["all"]
    assert dataset.named_features == tuple("MedInc HouseAge AveRooms AveBedrms Population AveOccup Latitude Longitude".split())
    assert x.dtype.name == "float64"
    expected = [8.3252, 41.0, 6.98412698, 1.02380952, 322.0, 2.55555556, 37.88, -122.23]
    np.testing.assert_allclose(x, [expected], rtol=1e-8)
    assert y.tolist() == [4.526]


def test_unknown_data_set_lists_the_known(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask_for(monkeypatch, "tinny")
    with pytest.raises(SystemExit) as caught:
        fetch.main([])
    message = "fetch: data/datasets.yaml: unknown data set 'tinny' (did you mean 'tiny'?); known: tiny"
    assert caught.value.code == message


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        fetch.main(["--help"])
    assert caught.value.code == 0
    assert "DATA_MIRROR" in capsys.readouterr().out


def test_bundled_digits(tmp_path: Path) -> None:
    dataset = load_catalogue(ROOT / CATALOGUE)["mnist_5k"]
    fetch.fetch("mnist_5k", dataset, tmp_path / "raw", None, tmp_path / "cache")
    parts = read_parts(dataset, tmp_path / "raw")
    x, y = parts["all"]
    assert (list(parts), x.shape, x.dtype.name, y.dtype.name) == (["all"], (5000, 28, 28), "uint8", "int64")
    assert (int(x.min()), int(x.max())) == (0, 255)
    assert np.array_equal(y, np.repeat(np.arange(10), 500))
