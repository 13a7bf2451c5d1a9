"""The project's source code: a digest of the part that decides results, and the files that a trainer needs.

The digest is taken of the syntax trees of stages/lib/training (syntax.py). Moving or explaining the code trains nothing again.
"""

from __future__ import annotations

from pathlib import Path

from stages.lib.syntax import digest_of

ROOT = Path(__file__).resolve().parents[3]
TRAINING = ROOT / "stages" / "lib" / "training"
"""What lies in this folder decides a result, and nothing else does."""

COMMITTED = "656235e2af28d2259f9463eac6ed1795d640a635c1ee3a2ad3391e064bdf6041"
PRESENT = "feddaab76939689646cfa9078240c71928c3fbe25ec5f6aa31dd0c5ee0ac0d3d"
SAME_AS = {PRESENT: COMMITTED}
"""Digest of the present code -> the digest that its results are stored under.

The code was moved and tidied after the committed results were made. It was shown to give the same files to the byte, so these
results and their keys stay valid. One name changed: model.json of a subclassed network has `tips` as the module of its class.
Delete this entry at the next change of the training code that changes a result.
"""


def training_source() -> str:
    """The digest of the training code, as replicate keys and metrics/environment.json have it."""
    digest = digest_of(path.read_text(encoding="utf-8") for path in TRAINING.glob("*.py"))
    return SAME_AS.get(digest, digest)


def project_files() -> dict[str, bytes]:
    """The source of stages/lib by path from the checkout's root. A trainer imports a part of it."""
    paths = [ROOT / "stages" / "__init__.py", *sorted((ROOT / "stages" / "lib").rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}
