"""Write what a change does to metrics and verdicts, for its reviewer: `python -m stages.tools.review [BASE]` (default: main).

Compares the working tree with a Git revision: `dvc params diff`, `dvc metrics diff`, and the replicates that both have in Git,
those of variants and those of searches, whose strategies are reviewed as variants are.
Reads the starter and studies/*; needs neither data nor training. Writes review.md, Markdown for a comment on a pull request,
and prints its path. No stage of the pipeline: its result depends on another revision.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import pandas as pd

from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.files import write_text
from stages.lib.git import git
from stages.lib.review.comparison import Pair, Review, Side, code, markdown, paired, plain
from stages.lib.study.load import load_study
from stages.lib.study.settings import JUDGED_BY, Study

TARGET = Path("review.md")
SHARED = "data/datasets.yaml"
"""Parameters that belong to no study."""

Flat = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""What `dvc params diff --json` prints: path -> key -> old and new."""


def commit_of(base: str) -> str:
    """The hash of a revision; a branch that only the remote has, as in a fresh clone, is taken from there.

    Raises UserError where this is not in a Git repository, or where the revision is unknown.
    """
    try:
        git("rev-parse", "--show-toplevel")
    except UserError as error:
        if "not a git repository" not in str(error):
            raise
        raise UserError(f"{Path.cwd()} is not in a Git repository, and a review compares two revisions") from None
    for name in (base, f"refs/remotes/origin/{base}"):
        try:
            return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").strip()
        except UserError:
            continue
    shallow = git("rev-parse", "--is-shallow-repository").strip() == "true"
    hint = (
        "the clone is shallow: `git fetch --unshallow`"
        if shallow
        else "`git fetch` may bring it; `git branch -a` lists branches"
    )
    raise UserError(f"unknown revision {base!r}; {hint}")


def hashes_at(commit: str) -> dict[str, str]:
    """Path -> Git's hash of every file below the current folder."""
    lines = (line.split("\t", 1) for line in git("ls-tree", "-r", "-z", commit).split("\0") if line)
    return {path: facts.split()[2] for facts, path in lines}


def hashes_here(paths: Iterable[str]) -> dict[str, str]:
    known = sorted(paths)
    return dict(zip(known, git("hash-object", "--stdin-paths", given="\n".join(known)).split(), strict=True))


def diffs(commit: str, params: Iterable[str], metrics: Iterable[str]) -> tuple[Flat, Flat]:
    """Every parameter and every metric of the working tree and of the revision, as DVC reads them; both at once.

    With `--all` and paths, renamed studies can be put side by side, and studies that no dvc.yaml names are read too.
    """
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "dvc", kind, "diff", commit, "--all", "--json", "--targets", *sorted(targets)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        for kind, targets in (("params", params), ("metrics", metrics))
    ]
    printed = [process.communicate() for process in started]
    for process, (_, errors) in zip(started, printed, strict=True):
        if process.returncode:
            lines = [line for line in errors.splitlines() if line.startswith("ERROR")] or errors.splitlines() or ["failed"]
            raise UserError(f"dvc: {lines[0].removeprefix('ERROR: ')}")
    found_params, found_metrics = (json.loads(output or "{}") for output, _ in printed)
    return found_params, found_metrics


def renamed_studies(commit: str, gone: set[str], come: set[str]) -> dict[str, str]:
    """New folder -> old folder, by what Git finds renamed, file by file; files that are not yet added count too."""
    if not (gone and come):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        index, own = Path(folder) / "index", Path(git("rev-parse", "--git-path", "index").strip())
        if own.exists():
            shutil.copyfile(own, index)
        git("add", "--intent-to-add", "--", "studies", index=index)
        fields = git("diff", "--name-status", "--relative", "-z", "-M", "-l0", commit, "--", "studies", index=index).split("\0")
    votes: Counter[tuple[str, str]] = Counter()
    for position, status in enumerate(fields):
        if status.startswith("R") and status[1:].isdigit():
            old, new = ("/".join(path.split("/")[:2]) for path in fields[position + 1 : position + 3])
            votes[old, new] += 1
    found: dict[str, str] = {}
    for (old, new), _ in sorted(votes.items(), key=lambda each: (-each[1], each[0])):
        if old in gone and new in come and new not in found and old not in found.values():
            found[new] = old
    return found


def study_of(text: str | None, path: str) -> Study | str:
    """The settings in a params.yaml, or why they cannot be read."""
    with tempfile.TemporaryDirectory() as folder:
        if text is not None:
            (Path(folder) / "params.yaml").write_text(text, encoding="utf-8")
        try:
            return load_study(Path(folder))
        except UserError as error:
            return str(error).replace(f"{folder}/params.yaml", joined(path, "params.yaml"))


def joined(study: str, name: str) -> str:
    return str(PurePosixPath(study) / name)


def rows_of(text: str | None, *columns: str) -> pd.DataFrame | None:
    """A committed table as text, or None where there is none with these columns."""
    try:
        table = pd.read_csv(io.StringIO(text or ""), dtype=str, keep_default_na=False)
    except (pd.errors.EmptyDataError, pd.errors.ParserError):
        return None
    return table if set(columns) <= set(table) else None


def numbered(table: pd.DataFrame | None, name: str) -> pd.DataFrame | None:
    """The table with numbers in every column but `name`; NaN for a word."""
    if table is not None:
        numbers = table.columns.drop(name)
        table[numbers] = table[numbers].apply(pd.to_numeric, errors="coerce")
    return table


def claims_of(text: str | None) -> dict[str, dict[str, str]]:
    table = rows_of(text, "claim")
    rows = [] if table is None else table.to_dict("records")
    return {str(row["claim"]): {str(name): str(value) for name, value in row.items()} for row in rows}


def side_of(
    path: str,
    read: Callable[[str], str | None],
    params: Mapping[str, Any],
    metrics: Mapping[str, Any],
    found: Mapping[str, Any],
    hashes: Mapping[str, str],
) -> tuple[Side, str]:
    """One side of a study, and what is wrong with its settings; `found` is what its search found."""
    study = study_of(read(joined(path, "params.yaml")), path)
    replicates = numbered(rows_of(read(joined(path, "metrics/replicates.csv")), "variant", "seed"), "variant")
    summary = rows_of(read(joined(path, "metrics/summary.csv")), "variant", "metric")
    measured = None if summary is None else frozenset(zip(summary["variant"], summary["metric"], strict=True))
    figures = joined(path, "metrics/figures/")
    side = Side(
        path,
        params,
        metrics,
        None if isinstance(study, str) else study,
        replicates,
        measured,
        claims_of(read(joined(path, "metrics/claims.csv"))),
        {name.removeprefix(f"{figures}/"): value for name, value in hashes.items() if name.startswith(f"{figures}/")},
    )
    return with_search(side, read, found), study if isinstance(study, str) else ""


def with_search(side: Side, read: Callable[[str], str | None], found: Mapping[str, Any]) -> Side:
    """The side with its search, if it has one, told like a study: strategies as variants, winners as replicates.

    found: metrics/search.json, as `dvc metrics diff` names it; of a strategy's metric it has the mean, low and high.
    """
    start = "search."
    params = {
        re.sub("^strategies", "variants", key.removeprefix(start)): value
        for key, value in side.params.items()
        if key.startswith(start)
    }
    if not params:
        return side
    metrics = {
        re.sub(r"^strategies(.*)\.mean$", r"variants\1", key): value
        for key, value in found.items()
        if not (key.startswith("strategies.") and key.endswith((".low", ".high")))
    }
    winners = numbered(rows_of(read(joined(side.path, "metrics/search/winners.csv")), "strategy", "seed"), "strategy")
    measured = None
    if winners is not None:
        scores = [name for name in winners if name in (*JUDGED_BY, *JUDGED_BY.values())]
        winners = winners[["strategy", "seed", *scores]].rename(columns={"strategy": "variant"})
        measured = frozenset(product(winners["variant"], scores))
    search = Side(
        side.path,
        params,
        metrics,
        side.study,
        winners,
        measured,
        claims_of(read(joined(side.path, "metrics/search/claims.csv"))),
        of_search=True,
    )
    return replace(side, params={key: value for key, value in side.params.items() if not key.startswith(start)}, search=search)


def studies_among(paths: Iterable[str]) -> set[str]:
    known = (PurePosixPath(path) for path in paths)
    return {
        str(path.parent)
        for path in known
        if path.name == "params.yaml" and (len(path.parts) == 1 or (len(path.parts) == 3 and path.parts[0] == "studies"))
    }


def values(found: Flat, path: str, side: str) -> dict[str, Any]:
    return {key: each[side] for key, each in found.get(path, {}).items() if each.get(side) is not None}


def linker(commit: str, committed: Mapping[str, str], here: Mapping[str, str]) -> Callable[[bool, str], str]:
    """What a figure's cell shows.

    On GitHub, which names itself in the environment, the picture at the last commit that touched it, so that the next push does
    not change the link; elsewhere the path here, or what prints the base's.
    """
    server, repository = (os.environ.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"))
    prefix = git("rev-parse", "--show-prefix").strip()

    def link(of_head: bool, path: str) -> str:
        path = str(PurePosixPath(path))
        name = quote(path)
        if server and repository and not (of_head and committed.get(path) != here.get(path)):
            touched = git("rev-list", "-1", "HEAD" if of_head else commit, "--", path).strip()
            url = f"{server}/{repository}/raw/{touched}/{quote(prefix)}{name}"
            return f"[![{'after' if of_head else 'before'}]({url})]({url})"
        return f"[{plain(path)}]({name})" if of_head else code(f"git show {commit[:10]}:./{path}", 200)

    return link


def base_name(base: str, commit: str) -> str:
    return code(base) if commit.startswith(base) else f"{code(base)} ({commit[:10]})"


def about(base: str, commit: str) -> list[str]:
    """What is compared with what."""
    dirty = bool(git("status", "--porcelain").strip())
    head = "the working tree, **with changes that are not committed**" if dirty else "the commit that is checked out"
    found = [f"Base: {base_name(base, commit)}. Head: {head}."]
    try:
        fork = git("merge-base", commit, "HEAD").strip()
    except UserError:
        fork = ""
    if fork and fork != commit:
        found.append(
            f"The base has commits that the head lacks, and they count as changes too; the head's alone: "
            f"`python -m stages.tools.review {fork[:10]}`."
        )
    return found


def pairs_of(commit: str) -> tuple[list[Pair], list[str], dict[str, dict[str, tuple[Any, Any]]], Callable[[bool, str], str]]:
    """Every study on both sides, what is wrong with the base's settings, other parameters, and links to figures."""
    before = hashes_at(commit)
    old, new = (
        studies_among(before),
        studies_among([*map(str, Path().glob("params.yaml")), *map(str, Path().glob("studies/*/params.yaml"))]),
    )
    if "." not in new:
        raise UserError("params.yaml does not exist; is this the checkout's root?")
    was = {path: path for path in old & new} | renamed_studies(commit, old - new, new - old)
    params, metrics = diffs(
        commit,
        [*(joined(path, "params.yaml") for path in old | new), SHARED],
        [joined(path, f"metrics/{name}.json") for path in old | new for name in ("metrics", "search")],
    )
    here = hashes_here(str(file) for path in new for file in (Path(path) / "metrics" / "figures").glob("*") if file.is_file())

    def at_base(path: str) -> str | None:
        return git("cat-file", "blob", before[path]) if path in before else None

    def at_head(path: str) -> str | None:
        return Path(path).read_text(encoding="utf-8", errors="replace") if Path(path).is_file() else None

    def side(path: str, name: str) -> tuple[Side, str]:
        read, hashes = (at_base, before) if name == "old" else (at_head, here)
        keys = values(params, joined(path, "params.yaml"), name)
        results, found = (values(metrics, joined(path, f"metrics/{each}.json"), name) for each in ("metrics", "search"))
        return side_of(path, read, keys, results, found, hashes)

    pairs, notes = [], []
    for path in sorted(new):
        head, wrong = side(path, "new")
        if wrong:
            raise UserError(wrong)
        base, wrong = side(was[path], "old") if path in was else (Side(path, exists=False), "")
        if wrong:
            notes.append(f"The base's settings are none that the head understands, so renames go unseen: {plain(wrong)}")
        pairs.append(paired(base, head))
    pairs += [paired(side(path, "old")[0], Side(path, exists=False)) for path in sorted(old - set(was.values()))]
    shared = {key: (each["old"], each["new"]) for key, each in params.get(SHARED, {}).items() if each["old"] != each["new"]}
    return pairs, notes, {SHARED: shared} if shared else {}, linker(commit, hashes_at("HEAD"), here)


def review(base: str) -> str:
    """The review of the working tree against `base`, as Markdown. Raises UserError for an unknown revision, and such."""
    commit = commit_of(base)
    pairs, notes, other, links = pairs_of(commit)
    return markdown(pairs, Review(base, commit, [*about(base, commit), *notes], other, links))


def main() -> None:
    parser = arguments(__doc__, study=False)
    parser.add_argument(
        "base", nargs="?", default="main", metavar="BASE", help="the Git revision to compare with (default: main)"
    )
    base: str = parser.parse_args().base
    with one_line_errors("review"):
        write_text(TARGET, review(base))
        print(TARGET)


if __name__ == "__main__":
    main()
