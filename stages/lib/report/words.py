"""Words and marks that the report and the overview share."""

from __future__ import annotations

MARKS = {"supported": "●", "refuted": "✖", "equivalent": "■", "inconclusive": "◇"}
"""Verdict -> its mark, for readers who see no colours."""
WORDS = {"never": "never reached", "diverged": "diverged"}
"""Word in a table -> what the page says."""
