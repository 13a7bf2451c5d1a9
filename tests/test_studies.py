"""The studies: six tutorials against what their sources print, two of our own, and all of them end to end on a few rows."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import threading
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from helpers.checkout import ROOT, Checkout, copy_tree, is_result
from stages.lib.data.catalogue import CATALOGUE, load_catalogue
from stages.lib.study.load import check_task, load_study
from stages.lib.study.rows import RowsSplit, TrainTestSplit
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import read_yaml
from stages.lib.training import networks

STUDIES = ("keras_tips", "keras_demo", "performance", "digits_workflow", "fashion", "housing")
VARIANTS = dict(zip(STUDIES, (15, 11, 23, 11, 16, 17), strict=True))
CLAIMS = dict(zip(STUDIES, (19, 13, 31, 15, 21, 14), strict=True))
OWN = ("titanic", "tuned")
"""Studies that ask our own questions."""
ALL = (*STUDIES, *OWN)
SEARCHED = ("housing", "tuned")
"""Studies that have a search."""
PIXELS = (28, 28)

SECTIONS = ("title", "source", "data", "views", "model", "train", "replicates", "limits", "variants", "claims", "statistics")
"""What every params.yaml holds: dvc.yaml names them. The others may be left out."""
TURNED = {
    "model": "conv hidden activation output_activation kernel_initializer batch_normalization dropout l2",
    "train": "loss optimizer learning_rate momentum batch_size epochs early_stopping",
    "replicates": "seeds backend keep_models jit_compile diagnostics time_limit",
    "limits": "rows epochs seeds",
    "statistics": "confidence",
}
"""Section -> the knobs that people turn."""


@pytest.fixture(scope="module")
def studies() -> dict[str, Study]:
    return {name: load_study(ROOT / "studies" / name) for name in ALL}


def parameters(study: Study, variant: str, input_shape: tuple[int, ...], outputs: int) -> list[int]:
    """The numbers of parameters of each layer that has any."""
    network = networks.build(study.recipes[variant].model, input_shape, outputs, seed=0)
    counts = [layer.count_params() for layer in network.layers]
    assert sum(counts) == network.count_params()
    return [count for count in counts if count]


# What params.yaml says


def test_there_are_no_other_studies() -> None:
    assert {path.parent.name for path in (ROOT / "studies").glob("*/params.yaml")} == set(ALL)


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_the_variants_and_the_claims_of_its_source(name: str, studies: dict[str, Study]) -> None:
    study = studies[name]
    assert len(study.variants) == VARIANTS[name]
    assert len(study.claims) == CLAIMS[name]


@pytest.mark.parametrize("name", ALL)
def test_every_study_agrees_with_its_data_set(name: str, studies: dict[str, Study]) -> None:
    task = load_catalogue(ROOT / CATALOGUE)[studies[name].data.dataset].task
    assert task == ("regression" if name == "housing" else "classification")
    check_task(studies[name], task)  # raises for a measure that the task does not have


@pytest.mark.parametrize("folder", [".", *(f"studies/{name}" for name in ALL)])
def test_the_knobs_that_people_turn_can_be_set_on_the_command_line(folder: str) -> None:
    """`-S` refuses a key that the file does not hold; rare ones are left out, and set with `-S ++KEY=VALUE`."""
    content = read_yaml(ROOT / folder / "params.yaml")
    order = list(Study.model_fields)
    assert [name for name in content if name in SECTIONS] == list(SECTIONS)
    assert set(content) <= set(order)
    for section, knobs in TURNED.items():
        assert set(knobs.split()) <= set(content[section])


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_limited(name: str, studies: dict[str, Study]) -> None:
    assert set(studies[name].limits.model_dump().values()) == {None}


@pytest.mark.parametrize("name", ALL)
def test_no_text_is_longer_than_a_sentence_or_two(name: str, studies: dict[str, Study]) -> None:
    study = studies[name]
    tips = [variant.tip for variant in study.variants.values()] + [claim.says for claim in study.claims.values()]
    notes = [note.says for note in study.notes]
    for text in [*tips, *study.errata, *notes, *(each.says for each in study.illustrations.values())]:
        assert text[0].isupper()
        assert text.endswith(".")
        assert len(text) < 180


@pytest.mark.parametrize("name", STUDIES)
def test_what_is_ours_reports_nothing(name: str, studies: dict[str, Study]) -> None:
    for variant in studies[name].variants.values():
        assert not (variant.ours and variant.reported)
    for claim in studies[name].claims.values():
        assert claim.ours != bool(claim.reported)


SEVERAL = {
    "keras_tips": {"adam", "unscaled_sgd", "early_stopping"},  # an optimizer has its rate; early stopping needs rows to watch
    "keras_demo": {"adam"},
    "digits_workflow": {"conv_3_slim"},
    "fashion": {"alpha_dropout"},
    "performance": {"adam_rate_0_0001", "wide_start"},
    "housing": {"source_winner", "wide_of_five", "wide_deep", "wide_deep_class", "wide_deep_inputs"},
    "titanic": {"wide_deep"},
    "tuned": {"sgd", "deep_selu"},
}
"""Variants that turn several knobs against their parent, because they have to, or because their source does."""


@pytest.mark.parametrize("name", ALL)
def test_a_variant_turns_one_knob(name: str, studies: dict[str, Study]) -> None:
    found = set()
    for variant, settings in studies[name].variants.items():
        if settings.extends:
            knobs = flat({"view": settings.view, "k_fold": settings.k_fold, "model": settings.model, "train": settings.train})
            turned = {key.partition(".early_stopping")[0] + ".early_stopping" * (".early" in key) for key in knobs}
            assert turned
            found |= {variant} if len(turned) > 1 else set()
    assert found == SEVERAL.get(name, set())


def flat(content: dict[str, Any], above: str = "") -> dict[str, Any]:
    """The values by dotted key, without those that are None."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        found |= flat(value, f"{above}{key}.") if isinstance(value, dict) else {above + key: value}
    return {key: value for key, value in found.items() if value is not None}


# What the sources print


def test_the_networks_have_as_many_parameters_as_the_sources_print(studies: dict[str, Study]) -> None:
    performance = studies["performance"]
    assert sum(parameters(performance, "scaled", PIXELS, 10)) == 795_010
    assert parameters(performance, "deep", PIXELS, 10) == [401_920, 525_312, 65_600, 650]
    assert sum(parameters(performance, "deep", PIXELS, 10)) == 993_482
    assert parameters(studies["fashion"], "standardized", PIXELS, 10) == [235_500, 30_100, 1_010]


def test_as_many_numbers_enter_the_dense_layer_as_the_digits_workflow_says(studies: dict[str, Study]) -> None:
    for variant, entering in {"conv_2": 800, "conv_3": 32, "conv_3_wide": 256}.items():
        *_, hidden, _ = parameters(studies["digits_workflow"], variant, PIXELS, 10)
        assert hidden == (entering + 1) * 512


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("keras_tips", (10_000, 0, 10_000)),
        ("keras_demo", (10_000, 0, 10_000)),
        ("performance", (60_000, 10_000, 10_000)),
        ("digits_workflow", (50_000, 10_000, 10_000)),
        ("fashion", (55_000, 5_000, 10_000)),
    ],
)
def test_the_splits_have_the_sizes_of_the_sources(name: str, sizes: tuple[int, ...], studies: dict[str, Study]) -> None:
    split = studies[name].data.split
    assert isinstance(split, RowsSplit)
    ranges = [(0, 0) if rows == "none" else rows.rows for rows in (split.train, split.validation, split.test)]
    assert tuple(stop - first for first, stop in ranges) == sizes
    assert split.test.part == "test"


def test_the_performance_study_validates_on_its_test_rows(studies: dict[str, Study]) -> None:
    split = studies["performance"].data.split
    assert split.validation == split.test


def test_the_housing_split_is_scikit_learn_s_with_the_source_s_seeds(studies: dict[str, Study]) -> None:
    split = studies["housing"].data.split
    assert isinstance(split, TrainTestSplit)
    assert (split.test, split.test_seed, split.validation, split.validation_seed) == (0.25, 7, 0.25, 11)
    rest = round(20_640 * (1 - split.test))
    assert (rest - round(rest * split.validation), round(rest * split.validation), 20_640 - rest) == (11_610, 3_870, 5_160)


def test_the_two_losses_of_the_wide_and_deep_network_do_not_add_up_to_the_printed_total(studies: dict[str, Study]) -> None:
    reported = studies["housing"].variants["wide_deep_outputs"].reported
    assert round(reported["test_mse_joint"] + reported["test_mse_deep"], 4) == 0.9635
    assert reported["test_loss"] == 0.9603
    assert any("0.9635" in erratum and "0.9603" in erratum for erratum in studies["housing"].errata)


def test_the_largest_rate_of_housing_is_the_one_that_is_said_to_explode(studies: dict[str, Study]) -> None:
    rates = {
        name: recipe.train.learning_rate for name, recipe in studies["housing"].recipes.items() if name.startswith("rate_")
    }
    assert sorted(rates.values()) == [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03]
    assert max(rates, key=lambda name: rates[name]) == studies["housing"].claims["large_rates_explode"].variant
    assert all(name == f"rate_{rate}".replace(".", "_") for name, rate in rates.items())


def test_deep_networks_are_as_deep_as_in_the_sources(studies: dict[str, Study]) -> None:
    assert studies["keras_tips"].recipes["deep_relu"].model.hidden == (689,) * 11
    assert studies["keras_demo"].recipes["deep_relu"].model.hidden == (633,) * 3 + (689,) * 10
    for name in set(studies["fashion"].variants) - {"unscaled", "standardized", "l2", "mae"}:
        assert studies["fashion"].recipes[name].model.hidden == (100,) * 20


def test_optimizers_without_a_rate_have_keras_s_own(studies: dict[str, Study]) -> None:
    rates = {name: recipe.train.learning_rate for name, recipe in studies["performance"].recipes.items()}
    changed = {"sgd", "adam_rate_0_0001", "adam_rate_0_01", "adam_rate_0_1", "batch_4096_rate_0_008"}
    assert {name for name, rate in rates.items() if rate != 0.001} == changed
    assert rates["sgd"] == studies["fashion"].recipes["standardized"].train.learning_rate == 0.01
    assert studies["keras_tips"].recipes["adam"].train.learning_rate == 0.001


# All of it, end to end

IMAGES = ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte")
LABELS = ("train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte")
ROWS = (60_000, 10_000)
DISTRICTS = 400
FEW_ROWS = 200
LIMITS = {"epochs": 1, "seeds": 1}
SMALL_SEARCH = {"trials": 3, "batch": 2, "folds": 2, "seeds": 2, "refits": 1}
ALTERED = "fashion"


def idx(values: np.ndarray) -> bytes:
    """Bytes in the format of MNIST: two zeros, the type (8: bytes), the number of dimensions, their sizes, the values."""
    return bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.astype(np.uint8).tobytes()


def digits(ink: int) -> dict[str, bytes]:
    """File name -> content of a data set like MNIST, whose images are black but for a bar at their label's height."""
    bars = np.zeros((10, *PIXELS), np.uint8)
    for label in range(10):
        bars[label, 2 * label + 3, 4:24] = ink
    files: dict[str, bytes] = {}
    for images, labels, rows in zip(IMAGES, LABELS, ROWS, strict=True):
        truth = np.arange(rows) % 10
        files |= {images: idx(bars[truth]), labels: idx(truth)}
    return files


def districts() -> bytes:
    """Nine columns as the census has them, with a value that depends on the income."""
    draw = np.random.default_rng(0)
    low = [-124, 32, 1, 500, 100, 300, 100, 1, 0]
    high = [-114, 42, 52, 5000, 900, 3000, 900, 12, 0]
    table = draw.uniform(low, high, (DISTRICTS, len(low)))
    table[:, -1] = 40_000 * table[:, 7]
    return "".join(",".join(f"{value:.6f}" for value in row) + "\n" for row in table).encode()


def packed(member: str, content: bytes) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        about = tarfile.TarInfo(member)
        about.size = len(content)
        tar.addfile(about, io.BytesIO(content))
    return archive.getvalue()


def originals() -> dict[str, dict[str, tuple[bytes, bytes]]]:
    """Data set -> file name in data/raw -> content, and how it is served."""
    housing = districts()
    made: dict[str, dict[str, tuple[bytes, bytes]]] = {
        "california_housing": {"cal_housing.data": (housing, packed("CaliforniaHousing/cal_housing.data", housing))}
    }
    for name, ink in (("mnist", 255), ("fashion_mnist", 200)):
        made[name] = {file: (content, gzip.compress(content, 1)) for file, content in digits(ink).items()}
    return made


def serve(folder: Path, checkout: Path, port: int) -> None:
    """Put the originals into `folder`, and the places and checksums that they have there into the checkout's catalogue."""
    path = checkout / "data" / "datasets.yaml"
    catalogue = YAML(typ="safe", pure=True).load(path.read_text())
    for dataset, files in originals().items():
        (folder / dataset).mkdir(parents=True)
        wanted = {file["name"]: file for file in catalogue[dataset]["files"].values()}
        assert wanted.keys() == files.keys()
        for name, (content, served) in files.items():
            (folder / dataset / name).write_bytes(served)
            wanted[name]["sha256"] = hashlib.sha256(content).hexdigest()
            wanted[name]["sources"] = [f"http://127.0.0.1:{port}/{dataset}/{name}"]
    with path.open("w") as file:
        YAML().dump(catalogue, file)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@dataclass(frozen=True)
class Smoke:
    """A copy of the checkout after `dvc repro -k` with one altered original, and after another with the right one."""

    checkout: Checkout
    altered: str  # what the first run printed
    still_there: set[str]  # studies with metrics after it
    finished: str  # what the second run printed

    def study(self, name: str) -> Path:
        return self.checkout.folder / "studies" / name


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """Every study on a few rows, for one epoch, with one seed."""
    folder, served, yaml = tmp_path_factory.mktemp("studies") / "copy", tmp_path_factory.mktemp("served"), YAML()
    copy_tree(folder, lambda name: not is_result(name))
    for path in folder.glob("studies/*/params.yaml"):
        params = yaml.load(path)
        batch = params["train"]["batch_size"]
        whole = FEW_ROWS // batch * batch or FEW_ROWS  # a rest would be traced, too, which takes longer than training
        params.setdefault("limits", {}).update(LIMITS, rows=whole)
        params["replicates"]["jit_compile"] = False  # XLA takes longer to compile a network than that takes to train
        if "search" in params:
            params["search"].update(SMALL_SEARCH)
        yaml.dump(params, path)
    checkout = Checkout(folder, tmp_path_factory.mktemp("cache"))
    checkout.run("git", "init", "-q", "-b", "main")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        serve(served, folder, server.server_port)
        original = served / "fashion_mnist" / IMAGES[1]
        content = original.read_bytes()
        original.write_bytes(gzip.compress(gzip.decompress(content)[:-1] + b"\1", 1))
        altered = checkout.run("dvc", "repro", "-k", "-R", "studies", fails=True)
        there = {path.parents[1].name for path in folder.glob("studies/*/metrics/metrics.json")}
        original.write_bytes(content)
        finished = checkout.run("dvc", "repro", "-R", "studies")
        server.shutdown()
    return Smoke(checkout, altered, there, finished)


@pytest.mark.slow
def test_an_altered_original_stops_its_study_in_one_clear_line_and_no_other(smoke: Smoke) -> None:
    lines = smoke.altered.splitlines()
    assert [line for line in lines if line.startswith("fetch: ")] == [
        f"fetch: fashion_mnist: no source has {IMAGES[1]} as it should be;"
        " check the network, or set DATA_MIRROR to a folder or URL that holds it"
    ]
    assert "wrong content: SHA-256 expected" in smoke.altered
    assert "Traceback" not in smoke.altered
    assert smoke.still_there == set(ALL) - {ALTERED}


@pytest.mark.slow
def test_the_next_run_does_only_what_is_missing(smoke: Smoke) -> None:
    started = set(re.findall(r"Running stage '([^']+)'", smoke.finished))
    assert started == {f"studies/{ALTERED}/dvc.yaml:{stage}" for stage in ("fetch", "prepare", "train", "evaluate", "plot")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_every_study_runs_end_to_end(name: str, smoke: Smoke, studies: dict[str, Study]) -> None:
    study, folder = studies[name], smoke.study(name)
    metrics = smoke.checkout.json(f"studies/{name}/metrics/metrics.json")
    assert set(metrics["variants"]) == set(study.variants)
    assert set(metrics["claims"]) == {claim for claim in study.claims if not study.claims[claim].about_time}
    assert {claim["verdict"] for claim in metrics["claims"].values()} == {"inconclusive"}  # of one replicate
    table = "residuals" if name == "housing" else "confusion"
    for file in ("claims", "curves", "replicates", "summary", table):
        assert (folder / "metrics" / f"{file}.csv").stat().st_size
    assert {path.name for path in folder.glob("data/runs/*/*")} == {"0"}
    report = (folder / "data" / "report.html").read_text(encoding="utf-8")
    for text in [*study.variants, *study.claims, *(study.search.claims if study.search else ())]:
        assert text in report
    assert (folder / "metrics" / "search.json").exists() == (study.search is not None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_every_illustration_is_drawn(name: str, smoke: Smoke, studies: dict[str, Study]) -> None:
    drawn = {path.name for path in (smoke.study(name) / "metrics" / "figures").glob("*.[sp][vn]g")}
    assert {Path(each).stem for each in drawn} >= {f"illustration_{each}" for each in studies[name].illustrations}


@pytest.mark.slow
def test_the_fashion_study_keeps_the_best_weights_and_the_logs(smoke: Smoke) -> None:
    for name in ("standardized", "maxout"):
        run = smoke.study("fashion") / "data" / "runs" / name / "0"
        assert (run / "best.weights.h5").is_file()
        assert any((run / "logs").rglob("events.out.tfevents.*"))


@pytest.mark.slow
def test_a_third_run_has_nothing_to_do(smoke: Smoke) -> None:
    assert "Running stage" not in smoke.checkout.run("dvc", "repro", "-R", "studies")
    assert "Running stage" not in smoke.checkout.run("dvc", "repro", "--dry", "--allow-missing", "-R", "studies")


@pytest.mark.slow
def test_dvc_shows_the_plots_of_every_study(smoke: Smoke) -> None:
    shown = smoke.checkout.run("dvc", "plots", "show", "--out", "plots", *(f"studies/{name}/dvc.yaml" for name in ALL))
    assert "index.html" in shown
    assert "failed" not in shown
    page = (smoke.checkout.folder / "plots" / "index.html").read_text(encoding="utf-8")
    for name in ALL:
        assert f"studies/{name}/dvc.yaml::Training loss" in page
        drawn = [path.name for path in (smoke.study(name) / "metrics" / "figures").glob("*.[sp][vn]g")]
        assert drawn
        assert [each for each in drawn if f"studies/{name}/metrics/figures/{each}" not in page] == []
