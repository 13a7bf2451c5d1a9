"""What the user says of data that do not say it themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from stages.lib.cli import UserError

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Answers:
    """What the command line says, and how to ask for more.

    target: the column to predict, by name or position.
    task: classification or regression.
    reader: settings of the reader, as in data/datasets.yaml.
    answer: asks the user a question with a few possible answers. None if there is nobody to ask.
    """

    target: str | int | None = None
    task: Task | None = None
    reader: Mapping[str, Any] = field(default_factory=dict)
    answer: Callable[[str, Sequence[str]], str] | None = None

    def ask(self, question: str, choices: Sequence[str], option: str) -> str:
        """The user's answer. Raises UserError, which names the option that says it, if there is nobody to ask."""
        if self.answer is None:
            raise UserError(f"{question} Say it by {option}")
        return self.answer(question, choices)


@dataclass
class Seen:
    """What files were taken for.

    task, reader, class_names, labels: as in data/datasets.yaml.
    said: a line for each thing that a user may want to know.
    """

    task: Task
    reader: dict[str, Any]
    class_names: list[str] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
