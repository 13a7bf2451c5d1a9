"""The pages of docs/ say what is so: their commands run, their examples are valid, their messages are those that users meet."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from filelock import FileLock
from ruamel.yaml import YAML

from helpers.checkout import ROOT, Checkout, copy_tree, environment_of, is_result
from helpers.crew import Crew
from helpers.processes import ENDLESS, PATIENCE
from helpers.study import csv_entry, write_params
from stages import evaluate, fetch, prepare, train
from stages.lib.data.readers.columns import MISSING
from stages.lib.data.readers.tables import Csv
from stages.lib.engine import cluster, dispatch, runs
from stages.lib.engine.worker import Late
from stages.lib.study.recipe import WideDeep
from stages.lib.study.rows import GroupSplit, TimeSplit, View
from stages.lib.study.settings import Study, merged
from stages.lib.study.strict_yaml import read_yaml
from stages.tools import export

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
TEXTS = (".py", ".j2")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page(name), flags=re.MULTILINE | re.DOTALL)


def yaml(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("https://"):
            continue
        file, _, heading = target.partition("#")
        to = (path.parent / file) if file else path
        assert to.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", to.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert heading in {each.lower().replace(" ", "-") for each in headings}, target


def test_the_readme_links_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in PAGES if f"(docs/{path.name})" not in readme] == []


def test_the_picture_of_the_pipeline_is_dvc_s() -> None:
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    start, end = "<!-- pipeline: made by dvc dag --mermaid plot -->\n```mermaid\n", "```\n<!-- end of pipeline -->"
    dag = subprocess.run(["dvc", "dag", "--mermaid", "plot"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert page.partition(start)[2].partition(end)[0].split() == dag.split()


def copy_of_checkout(place: Path) -> Checkout:
    """This working tree without results and without the tutorials' studies, under Git, with nothing committed."""
    folder = place / "clone"
    copy_tree(folder, lambda name: not is_result(name) and not name.startswith("studies/"))
    checkout = Checkout(folder, place / "cache")
    checkout.run("git", "init", "-q", "-b", "main")
    return checkout


# tour.md


@pytest.mark.slow
def test_the_tour_s_commands_run_in_turn(tmp_path: Path) -> None:
    """In a copy of the checkout whose starter is small: two variants, one seed, one epoch and few rows."""
    checkout = copy_of_checkout(tmp_path)
    params = checkout.params()
    params["variants"] = {name: params["variants"][name] for name in ("baseline", "rate_0_1")}
    params["claims"] = {}
    params["limits"] = {"rows": 200, "epochs": 1, "seeds": 1}
    params["replicates"]["jit_compile"] = False
    params["search"] |= {"trials": 2, "batch": 1}
    params["search"]["space"].pop("units")
    checkout.write_params(params)
    checkout.run("git", "add", "-A")
    checkout.run("git", "commit", "-q", "-m", "before")

    sections = re.split(r"^(```(?:sh|yaml)\n.*?^```)$", page("tour.md"), flags=re.MULTILINE | re.DOTALL)
    said: dict[str, list[str]] = {}
    for section in sections[1::2]:
        language, _, body = section.removeprefix("```").removesuffix("```").partition("\n")
        if language == "yaml":
            checkout.write_params(merged(checkout.params(), yaml(body)))
            continue
        for command in body.splitlines():
            said.setdefault(command, []).append(checkout.run(*shlex.split(command)))
            if command == "dvc repro" and len(said[command]) == 1:  # the results of main are in Git
                checkout.run("git", "add", "-A")
                checkout.run("git", "commit", "-q", "-m", "small")
    first, second = said["python -m stages.tools plan"]
    assert "2 of 2 replicates to train" in first
    assert "1 of 3 replicates to train" in second
    assert re.search(r"^wider +1 +0 +1", second, flags=re.MULTILINE)
    assert "up to date" in said["dvc status dvc.yaml"][0]
    assert "learning_rate" in said["python -m stages.tools show . rate_0_1"][0]
    assert "variants.baseline" in said["dvc metrics diff main faster --no-path"][0]
    assert "variants.wider" in said["dvc metrics diff main --no-path"][0]
    assert (checkout.folder / "data" / "exports" / "wider" / "0" / "model.keras").exists()
    assert "Stage 'train' is cached" in said["dvc repro"][2]
    assert checkout.run("git", "status", "--short").split() in ([], ["M", "dvc.lock"])


def test_the_tour_s_example_suits_the_starter() -> None:
    (example,) = (yaml(text) for text in blocks("tour.md", "yaml"))
    study = Study.model_validate(merged(read_yaml(ROOT / "params.yaml"), example))
    assert study.recipes["wider"].model.hidden == (1024,)
    assert study.claims["width_helps"].variants == ("baseline", "wider")
    assert "wider" not in read_yaml(ROOT / "params.yaml")["variants"]


def test_the_page_of_the_architecture_names_files_and_functions_that_exist() -> None:
    text = page("ARCHITECTURE.md")
    paths = [path for path in re.findall(r"`([\w/]+/[\w.]+\.(?:py|j2|yaml|md))`", text) if not path.startswith("studies/")]
    assert len(paths) > 20
    assert [path for path in paths if not any((ROOT / place / path).is_file() for place in ("", "stages/lib"))] == []
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "stages").rglob("*.py"))
    named = set(re.findall(r"`(_?[a-z]+_[a-z_]+|[A-Z]\w+)`", text)) - {"STUDY"}
    assert len(named) > 20
    assert [
        name for name in sorted(named) if not re.search(rf"^ *(?:def |class )?{name}\b(?:[:(\[]| =)", code, flags=re.M)
    ] == []


COMMAND = re.compile(r"""(?:python3? -m |command_of\(")stages\.(\w+(?:\.\w+)*)(?: (\w+))?""")
"""`python -m stages.NAME` or `python -m stages.tools NAME`, in any file. `stages.{name}` is none."""
SPOKEN = [
    path
    for pattern in ("*.md", "Makefile", "*.yaml", ".github/workflows/*.yml", "docs/*.md", "studies/*.md", "studies/*/*.yaml")
    for path in sorted(ROOT.glob(pattern))
]
SPOKEN += [path for folder in ("stages", "benchmarks") for path in sorted((ROOT / folder).rglob("*")) if path.suffix in TEXTS]


def test_commands_name_stages_and_tools_that_exist() -> None:
    found = 0
    for path in SPOKEN:
        for module, tool in COMMAND.findall(path.read_text(encoding="utf-8")):
            named = f"tools.{tool}" if module == "tools" and tool not in ("", "NAME") else module
            place = ROOT / "stages" / named.replace(".", "/")
            assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), f"{path}: {named}"
            found += 1
    assert found > 100


# own-data.md


def flowers() -> str:
    draw = np.random.default_rng(0)
    rows = ["flower,petal_length,petal_width,colour,species"]
    for row in range(150):
        length, width = draw.normal((row % 3 + 1, 0.5 * (row % 3) + 0.2), 0.1)
        shown = "" if row in (4, 70, 120) else f"{width:.2f}"
        rows.append(
            f"{row + 1},{length:.2f},{shown},{'blue' if row % 7 else 'white'},{('setosa', 'versicolor', 'virginica')[row % 3]}"
        )
    return "\n".join(rows) + "\n"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the checkout, in which the page's first command was run on such flowers."""
    checkout = copy_of_checkout(tmp_path_factory.mktemp("own"))
    (checkout.folder / "flowers.csv").write_text(flowers())
    command = blocks("own-data.md", "sh")[0].splitlines()[0]
    assert blocks("own-data.md", "text")[0] in checkout.run(*shlex.split(command))
    return checkout


def test_the_page_shows_what_the_command_writes(begun: Checkout) -> None:
    (shown,) = blocks("own-data.md", "yaml")
    assert (begun.folder / "studies" / "flowers" / "params.yaml").read_text() == shown


@pytest.mark.slow
def test_the_study_of_the_page_is_run_by_dvc_and_stage_by_stage(begun: Checkout) -> None:
    study = read_yaml(begun.folder / "studies" / "flowers" / "params.yaml")
    study["limits"] = {"epochs": 1, "seeds": 1}
    for folder in ("studies/flowers", "mine"):
        (begun.folder / folder).mkdir(exist_ok=True)
        (begun.folder / folder / "params.yaml").write_text(json.dumps(study))
    begun.run("dvc", "repro", "studies/flowers/dvc.yaml")
    for command in blocks("own-data.md", "sh")[1].splitlines():
        begun.run(*shlex.split(command))
    for folder in ("studies/flowers", "mine"):
        assert (begun.folder / folder / "metrics" / "claims.csv").exists()
        assert "scaling_helps" in (begun.folder / folder / "data" / "report.html").read_text()


# live.md


def test_the_train_stage_says_where_its_dashboard_is(small_study: Callable[..., Path], tmp_path: Path) -> None:
    study = small_study(ENDLESS)
    command = [sys.executable, "-m", "stages.train", str(study)]
    environment = environment_of(tmp_path / "cache", TIPS_WORKERS="1")
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        try:
            line = next(line for line in process.stderr if "watch the workers" in line)
            said, _, address = line.strip().partition(" at ")
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/status", address)
            assert f"    {said} at http://127.0.0.1:" in page("live.md")
            for path in ("status", "workers", "system", "info/main/workers.html"):
                answer = requests.get(address.replace("status", path), timeout=PATIENCE)
                assert answer.status_code == 200
                assert "needs bokeh" not in answer.text
        finally:
            process.kill()


# troubleshooting.md

Capture = pytest.CaptureFixture[str]


@dataclass
class Place:
    """A folder to make a mistake in: the study has three variants, and its data are prepared; blobs.csv is its data set."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch

    @property
    def study(self) -> Path:
        return self.folder / "study"

    def run(self, main: Callable[[], None], *options: str, study: Path | None = None) -> None:
        self.monkeypatch.setattr(sys, "argv", ["stage", str(study or self.study), *options])
        main()

    def change(self, changes: dict[str, Any]) -> None:
        write_params(self.study, changes)

    def catalogue(self) -> bytes:
        """Write a catalogue with the data set, and return what its file holds."""
        content = "".join(f"{row % 7},{row % 5},{row % 4}\n" for row in range(240)).encode()
        (self.folder / "blobs.csv").write_bytes(content)
        entry = csv_entry("0" * 64, f"file://{self.folder}/blobs.csv")
        text = json.dumps({"blobs": entry})
        (self.folder / "data" / "datasets.yaml").write_text(text)
        return content


def mistaken(changes: dict[str, Any]) -> Callable[[Place], None]:
    def provoke(place: Place) -> None:
        place.change(changes)
        place.run(train.main)

    return provoke


def variable(name: str, value: str) -> Callable[[Place], None]:
    def provoke(place: Place) -> None:
        place.monkeypatch.setenv(name, value)
        place.run(train.main)

    return provoke


def anchored(place: Place) -> None:
    (place.study / "params.yaml").write_text("title: a\nsource: b\ntrain: &defaults\n  epochs: 1\n")
    place.run(train.main)


def elsewhere(place: Place) -> None:
    place.run(train.main, study=Path("elsewhere"))


def wrong_content(place: Place) -> None:
    place.catalogue()
    place.run(fetch.main)


def not_fetched(place: Place) -> None:
    place.catalogue()
    place.run(prepare.main)


def not_prepared(place: Place) -> None:
    shutil.rmtree(place.study / "data" / "prepared")
    place.run(train.main)


def too_few_rows(place: Place) -> None:
    content = place.catalogue()
    path = place.folder / "data" / "datasets.yaml"
    path.write_text(path.read_text().replace("0" * 64, hashlib.sha256(content).hexdigest()))
    place.run(fetch.main)
    place.change({"data": {"split": {"train": 1000, "validation": 500, "test": 500}}})
    place.run(prepare.main)


def another_runs(place: Place) -> None:
    """The other one ends as soon as this one has said that it waits; then this one's own mistake ends it."""
    lock = FileLock(place.study / "data" / ".train.lock")
    lock.acquire()

    def say(line: str, **options: Any) -> None:
        print(line, **options)
        lock.release()

    place.monkeypatch.setattr(runs, "print", say, raising=False)
    not_prepared(place)


def too_slow(place: Place) -> None:
    place.change({"replicates": {"time_limit": 0.5, "seeds": 1}})
    place.monkeypatch.setattr(cluster, "workers", lambda *_: nullcontext(Crew(*[Late()] * dispatch.ATTEMPTS)))
    place.run(train.main)


def another_user_s(place: Place) -> None:
    """As the system answers anyone but root."""

    def refuse(lock: FileLock, timeout: float) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(lock.lock_file))

    place.monkeypatch.setattr(FileLock, "acquire", refuse)
    place.run(train.main)


def pipeline(place: Place) -> None:
    """Make PLACE a repository of DVC with one stage, which is called as the one that trains."""
    made = Checkout(place.folder, place.folder / "cache")
    made.run("git", "init", "-q")
    made.run("dvc", "init", "-q")
    (place.folder / "dvc.yaml").write_text("stages: {train: {cmd: 'true', outs: [data]}}\n")


def repro(place: Place) -> None:
    sys.exit(Checkout(place.folder, place.folder / "cache").run("dvc", "repro", fails=True))


def emptied_lock(place: Place) -> None:
    pipeline(place)
    (place.folder / "dvc.lock").touch()
    repro(place)


def busy(place: Place) -> None:
    """The file in which DVC notes what it writes names a process that lives: this one."""
    pipeline(place)
    entry = {str(place.folder / "data"): {"pid": os.getpid(), "cmd": "dvc repro"}}
    (place.folder / ".dvc" / "tmp").mkdir(exist_ok=True)
    (place.folder / ".dvc" / "tmp" / "rwlock").write_text(json.dumps({"write": entry}))
    repro(place)


def no_weights(place: Place) -> None:
    run = place.study / "data" / "runs" / "plain" / "1"
    run.mkdir(parents=True)
    (run / "model.json").write_text("{}")
    place.run(export.main, "plain", "--seed", "1")


def no_cache(place: Place) -> None:
    """It is said before anything trains, so the run may end there."""
    place.monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    place.monkeypatch.setattr(cluster, "workers", lambda *_: sys.exit(1))
    place.run(train.main)


def not_trained(place: Place) -> None:
    place.run(evaluate.main)


PROVOKED: dict[str, Callable[[Place], None]] = {
    "misspelt": mistaken({"train": {"batch_sise": 64}}),
    "no rate": mistaken({"train": {"learning_rate": "fast"}}),
    "quoted": mistaken({"train": {"epochs": "20"}}),
    "no parent": mistaken({"variants": {"wider": {"tip": "Wider.", "extends": "baseline"}}}),
    "no validation": mistaken({"data": {"split": {"validation": 0}}, "claims": {"noise_hurts": {"metric": "val_accuracy"}}}),
    "anchored": anchored,
    "elsewhere": elsewhere,
    "wrong content": wrong_content,
    "not fetched": not_fetched,
    "not prepared": not_prepared,
    "too few rows": too_few_rows,
    "convolutions": mistaken({"variants": {"dropped": {"model": {"conv": [4, 4, 4, 4]}}}}),
    "other backend": variable("KERAS_BACKEND", "jax"),
    "workers": variable("TIPS_WORKERS", "many"),
    "no cache": no_cache,
    "open scheduler": variable("DASK_SCHEDULER_ADDRESS", "tcp://192.0.2.1:8786"),
    "another runs": another_runs,
    "too slow": too_slow,
    "another user's": another_user_s,
    "emptied lock": emptied_lock,
    "busy": busy,
    "no weights": no_weights,
    "not trained": not_trained,
}


@pytest.mark.parametrize("name", list(PROVOKED))
def test_a_message_is_the_one_that_users_meet(
    name: str, small_study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    for variable in ("DASK_SCHEDULER_ADDRESS", "KERAS_BACKEND", "DATA_MIRROR", "TIPS_WORKERS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    small_study()
    (tmp_path / "data").mkdir()
    with pytest.raises(SystemExit) as caught:
        PROVOKED[name](Place(tmp_path, monkeypatch))
    said = f"{capsys.readouterr().err}{caught.value.code}"
    said = said.replace(f"{tmp_path}/study", "STUDY").replace(f"file://{tmp_path}", "PLACE").replace(str(tmp_path), "PLACE")
    said = said.replace(f"(PID {os.getpid()})", "(PID 4711)")
    listed = [block.strip() for block in blocks("troubleshooting.md", "text")]
    assert f"\n{listed[list(PROVOKED).index(name)]}\n" in f"\n{said}\n"
    assert "Traceback" not in said


def test_every_message_of_the_page_is_provoked() -> None:
    assert len(blocks("troubleshooting.md", "text")) == len(PROVOKED)


# tables.md


def test_the_examples_of_tables_are_valid_and_name_every_key_of_a_reader() -> None:
    found = [yaml(block) for block in blocks("tables.md", "yaml")]
    assert [list(each) for each in found] == [["reader"], ["views"], ["model"], ["split"], ["split"]]
    reader, views, model, groups, time = (next(iter(each.values())) for each in found)
    read = Csv.model_validate(reader)
    assert read.categories == {"sex": (), "deck": ("lower", "upper")}
    usual = {"columns", "ratios", "target_divisor", "features", "dtype", "shape", "quote"}
    assert set(reader) == set(Csv.model_fields) - usual
    assert View.model_validate(views["filled"]).crosses == (("sex", "deck"),)
    WideDeep.model_validate(model["wide_deep"])
    GroupSplit.model_validate(groups)
    TimeSplit.model_validate(time)
    listed = page("tables.md").partition("Without `missing`, these cells have no value: nothing")[2].partition(".")[0]
    assert {"", *re.findall(r"`([^`]+)`", listed)} == set(MISSING)
