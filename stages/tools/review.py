"""Write what a change does to metrics and verdicts, for its reviewer: `python -m stages.tools review [BASE]`.

Compares the working tree with a Git revision (default: main): parameters, committed metrics, and replicates, of the variants of
every study and of the strategies of every search. Needs neither data nor training. Writes review.md, Markdown for a comment on
a pull request, and prints its path. No stage of a pipeline does this, because the result depends on another revision.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.data.catalogue import CATALOGUE
from stages.lib.files import write_text
from stages.lib.markdown import code, escape
from stages.lib.programs import git, paths
from stages.lib.review.page import markdown
from stages.lib.review.pairs import Pair, paired
from stages.lib.review.rows import Links, Values
from stages.lib.review.sides import FIGURES, Read, absent, read_side, settings_in
from stages.lib.study.places import FOLDER, SETTINGS, STARTER, is_place, studies

TARGET = Path("review.md")


class Revision(NamedTuple):
    """A commit, or the working tree.

    studies: their folders.
    hashes: path -> Git's hash, of the figures at least.
    """

    read: Read
    hashes: Mapping[str, str]
    studies: set[Path]


def commit_of(base: str) -> str:
    """The hash of a revision; a branch that only the remote has, as in a fresh clone, is taken from there.

    Raises UserError where this is not in a Git repository, or where the revision is unknown.
    """
    git("rev-parse", "--show-toplevel")
    for name in (base, f"refs/remotes/origin/{base}"):
        try:
            return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").strip()
        except UserError:
            continue
    shallow = git("rev-parse", "--is-shallow-repository").strip() == "true"
    hint = "`git fetch --unshallow` brings it" if shallow else "`git fetch` may bring it; `git branch -a` lists branches"
    raise UserError(f"unknown revision {base!r}; {hint}")


def hashes_at(commit: str) -> dict[str, str]:
    """Path -> Git's hash of every file below the current folder."""
    lines = (line.split("\t", 1) for line in paths("ls-tree", "-r", "-z", commit))
    return {path: facts.split()[2] for facts, path in lines}


def revision_at(commit: str) -> Revision:
    hashes = hashes_at(commit)
    places = {Path(path).parent for path in hashes if Path(path).name == SETTINGS and is_place(Path(path).parent)}

    def read(path: Path) -> str | None:
        blob = hashes.get(path.as_posix())
        return git("cat-file", "blob", blob) if blob else None

    return Revision(read, hashes, places)


def working_tree() -> Revision:
    """What is checked out, with every change. Raises UserError outside of a checkout."""
    found = studies()
    if STARTER not in found:
        raise UserError(f"{SETTINGS} does not exist; is this the checkout's root?")
    figures = sorted(path.as_posix() for study in found for path in (study / FIGURES).glob("*") if path.is_file())
    hashes = git("hash-object", "--stdin-paths", given="\n".join(figures)).split()

    def read(path: Path) -> str | None:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None

    return Revision(read, dict(zip(figures, hashes, strict=True)), set(found))


def renamed_studies(commit: str, gone: set[Path], come: set[Path]) -> dict[Path, Path]:
    """New folder -> old folder, by the files that Git finds renamed. Files that were not added to Git count too."""
    if not (gone and come):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        own = Path(git("rev-parse", "--git-path", "index").strip())
        if own.exists():
            shutil.copyfile(own, index)
        git("add", "--intent-to-add", "--", str(FOLDER), index=index)
        options = ("--name-status", "--diff-filter=R", "--relative", "-z", "-M", "-l0")
        fields = git("diff", *options, commit, "--", str(FOLDER), index=index).split("\0")
    studies_of = [FOLDER / Path(path).parts[1] for path in fields if path.startswith(f"{FOLDER}/")]
    votes = Counter(zip(studies_of[::2], studies_of[1::2], strict=True))  # old and new, in turn
    found: dict[Path, Path] = {}
    for (old, new), _ in sorted(votes.items(), key=lambda each: (-each[1], each[0])):
        if old in gone and new in come and new not in found and old not in found.values():
            found[new] = old
    return found


def linker(commit: str, here: Mapping[str, str]) -> Links:
    """What the cell of a figure shows.

    On GitHub, which names itself in the environment, the cell shows the picture at the last commit that touched it, so that the
    next push does not change the link. Elsewhere it links the file here, or has the command that prints the base's.
    """
    server, repository = (os.environ.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"))
    prefix = git("rev-parse", "--show-prefix").strip()
    committed = hashes_at("HEAD")

    def link(of_head: bool, figure: Path) -> str:
        path = figure.as_posix()
        if server and repository and not (of_head and committed.get(path) != here.get(path)):
            touched = git("rev-list", "-1", "HEAD" if of_head else commit, "--", path).strip()
            url = f"{server}/{repository}/raw/{touched}/{quote(prefix)}{quote(path)}"
            return f"[![{'after' if of_head else 'before'}]({url})]({url})"
        return f"[{escape(path)}]({quote(path)})" if of_head else code(f"git show {commit[:10]}:./{path}", 200)

    return link


def about(base: str, commit: str) -> list[str]:
    """What is compared with what."""
    name = code(base) if commit.startswith(base) else f"{code(base)} ({commit[:10]})"
    dirty = bool(git("status", "--porcelain").strip())
    head = "the working tree, **with changes that are not committed**" if dirty else "the commit that is checked out"
    sentences = [f"Base: {name}. Head: {head}."]
    fork = git("merge-base", commit, "HEAD", endings=(0, 1)).strip()
    if fork and fork != commit:
        sentences.append(
            "The base has commits that the head lacks. They count as changes too. To see the changes of the head alone: "
            f"`python -m stages.tools review {fork[:10]}`."
        )
    return sentences


def pairs_of(commit: str, before: Revision, after: Revision) -> tuple[list[Pair], list[str]]:
    """Every study on both sides, and what is wrong with the base's settings. Raises UserError for a mistake in the head's."""
    was = {study: study for study in before.studies & after.studies}
    was |= renamed_studies(commit, before.studies - after.studies, after.studies - before.studies)
    pairs, notes = [], []
    for study in sorted(after.studies):
        head, wrong = read_side(study, after.read, after.hashes)
        if wrong:
            raise UserError(wrong)
        base, wrong = read_side(was[study], before.read, before.hashes) if study in was else (absent(study), "")
        if wrong:
            notes.append(
                f"This version cannot read the base's settings, so renamed names show as removed and added: {escape(wrong)}"
            )
        pairs.append(paired(base, head))
    for study in sorted(before.studies - set(was.values())):
        base, _ = read_side(study, before.read, before.hashes)
        pairs.append(paired(base, absent(study)))
    return pairs, notes


def changed_settings(path: Path, before: Revision, after: Revision) -> dict[str, Values]:
    """The keys of a file that belongs to no study whose values differ, by the file; nothing if none does."""
    old, new = settings_in(before.read(path)), settings_in(after.read(path))
    changed = {key: (old.get(key), new.get(key)) for key in {**old, **new} if old.get(key) != new.get(key)}
    return {path.as_posix(): changed} if changed else {}


def review(base: str) -> str:
    """The review of the working tree against `base`, as Markdown. Raises UserError for an unknown revision."""
    commit = commit_of(base)
    before, after = revision_at(commit), working_tree()
    pairs, notes = pairs_of(commit, before, after)
    other = changed_settings(Path(CATALOGUE), before, after)
    return markdown(pairs, base, commit, [*about(base, commit), *notes], other, linker(commit, after.hashes))


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
