"""Write what a change does to metrics and verdicts, for its reviewer: `python -m stages.tools review [BASE]`.

Compares the working tree with a Git revision (default: main): parameters, committed metrics, and replicates, of the variants of
every study and of the strategies of every search. Needs neither data nor training. Writes review.md, Markdown for a comment on
a pull request, and prints its path. No stage of a pipeline does this, because the result depends on another revision.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path
from urllib.parse import quote

from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.data.catalogue import CATALOGUE
from stages.lib.files import write_text
from stages.lib.markdown import code, escape
from stages.lib.programs import git, paths
from stages.lib.review.page import markdown
from stages.lib.review.pairs import Pair, paired
from stages.lib.review.rows import Links, Values
from stages.lib.review.sides import absent, read_side, settings_in
from stages.lib.study.places import FOLDER, SETTINGS, STARTER, studies

TARGET = Path("review.md")
ALIKE = 0.7
"""Share of lines that the settings of a renamed study have kept. Two committed studies have 0.53 in common."""


@contextmanager
def files_of(commit: str) -> Iterator[Path]:
    """A temporary folder with the files that a commit has below the current folder."""
    with tempfile.TemporaryDirectory() as name:
        index = Path(name) / "index"
        git("read-tree", commit, index=index)
        git("checkout-index", "--all", f"--prefix={name}/files/", index=index)
        yield Path(name) / "files" / git("rev-parse", "--show-prefix").strip()


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


def renamed_studies(root: Path, gone: set[Path], come: set[Path]) -> dict[Path, Path]:
    """New folder -> old folder, of the studies whose settings are mostly the same lines.

    root: the folder with the base's files.
    """

    def likeness(old: Path, new: Path) -> float:
        before, after = ((place / SETTINGS).read_text(errors="replace").splitlines() for place in (root / old, new))
        return SequenceMatcher(a=before, b=after, autojunk=False).ratio()

    found: dict[Path, Path] = {}
    alike = {(old, new): likeness(old, new) for old in sorted(gone) for new in sorted(come)}
    for (old, new), ratio in sorted(alike.items(), key=lambda each: -each[1]):
        if ratio > ALIKE and new not in found and old not in found.values():
            found[new] = old
    return found


def linker(commit: str) -> Links:
    """What the cell of a figure shows.

    On GitHub, which names itself in the environment, the cell shows the picture at the last commit that touched it, so that the
    next push does not change the link. Elsewhere it links the file here, or has the command that prints the base's.
    """
    server, repository = (os.environ.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"))
    prefix = git("rev-parse", "--show-prefix").strip()
    changed = set(paths("diff", "--name-only", "--relative", "-z", "HEAD"))
    changed.update(paths("ls-files", "--others", "--exclude-standard", "-z", "--", "metrics", str(FOLDER)))

    def link(of_head: bool, figure: Path) -> str:
        path = figure.as_posix()
        if server and repository and not (of_head and path in changed):
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


def pairs_of(root: Path) -> tuple[list[Pair], list[str]]:
    """Every study on both sides, and what is wrong with the base's settings. Raises UserError for a mistake in the head's.

    root: the folder with the base's files.
    """
    before, after = set(studies(root)), set(studies())
    was = {study: study for study in before & after} | renamed_studies(root, before - after, after - before)
    pairs, notes = [], []
    for study in sorted(after):
        head, wrong = read_side(study)
        if wrong:
            raise UserError(wrong)
        base, wrong = read_side(was[study], root) if study in was else (absent(study), "")
        if wrong:
            notes.append(
                f"This version cannot read the base's settings, so renamed names show as removed and added: {escape(wrong)}"
            )
        pairs.append(paired(base, head))
    for study in sorted(before - set(was.values())):
        base, _ = read_side(study, root)
        pairs.append(paired(base, absent(study)))
    return pairs, notes


def changed_settings(path: Path, root: Path) -> dict[str, Values]:
    """The keys of a file that belongs to no study whose values differ, by the file; nothing if none does."""
    old, new = settings_in(root / path), settings_in(path)
    changed = {key: (old.get(key), new.get(key)) for key in {**old, **new} if old.get(key) != new.get(key)}
    return {path.as_posix(): changed} if changed else {}


def review(base: str) -> str:
    """The review of the working tree against `base`, as Markdown. Raises UserError for an unknown revision."""
    commit = commit_of(base)
    if STARTER not in studies():
        raise UserError(f"{SETTINGS} does not exist; is this the checkout's root?")
    with files_of(commit) as root:
        pairs, notes = pairs_of(root)
        other = changed_settings(CATALOGUE, root)
    return markdown(pairs, base, commit, [*about(base, commit), *notes], other, linker(commit))


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
