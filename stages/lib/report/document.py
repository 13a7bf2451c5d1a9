"""Pages of HTML: the style sheet, the script, the policy and the words that all of them share."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from markupsafe import Markup

from stages.lib.templates import render

MARKS = {"supported": "●", "refuted": "✖", "equivalent": "■", "inconclusive": "◇"}
"""Verdict -> its mark, for readers who see no colours."""
TEMPLATES = Path(__file__).parent / "templates"


def document(template: str, **content: object) -> str:
    """A page from a template of this folder.

    Its policy lets a browser run our script and nothing else, and load nothing from anywhere.
    """
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return render(
        TEMPLATES / template,
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),  # noqa: S704  # our own
        script=Markup(script),  # noqa: S704  # our own
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        **content,
    )
