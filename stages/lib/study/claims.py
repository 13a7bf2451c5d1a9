"""Settings of what is said and judged: claims, how they are judged, and what a report adds in words."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from stages.lib.cli import SettingError, as_yaml
from stages.lib.study.metrics import is_time
from stages.lib.study.strict_yaml import TWO, Name, Section, one_of
from stages.lib.study.values import Finite, Look, MetricName, check_share

Expect = Literal["higher", "lower", "same", "at_least", "at_most"]
ILLUSTRATIONS = (
    "activations digit_grid first_image inversion_histogram label_grid learning_rate_on_a_line losses scaling_contours "
    "sigmoid_saturation softmax weight_updates"
).split()
IllustrationName = Annotated[str, one_of("illustration", ILLUSTRATIONS)]


class Claim(Section):
    """A statement about one variant, or about the second variant of `compare` against the first."""

    says: str
    """The statement, one sentence."""
    variant: Name | None = None
    """The variant whose mean is judged. For at_least, at_most and same."""
    compare: Annotated[tuple[Name, Name] | None, Field(strict=False), TWO] = None
    """`[first, second]`. The second is judged."""
    metric: MetricName
    """What is measured."""
    expect: Expect
    """What the statement says of it."""
    threshold: Finite | None = None
    """The bound of at_least and at_most."""
    margin: Annotated[Finite, Field(ge=0)] = 0.0
    """The smallest difference that counts."""
    reported: str | None = None
    """What the source says."""
    ours: bool = False
    """A statement that is not in the source."""
    exploratory: bool = False
    """Whether it was found in the replicates that judge it, and not said before."""

    @model_validator(mode="after")
    def _consistent(self) -> Claim:
        if (self.variant is None) == (self.compare is None):
            raise SettingError("give either variant (one name) or compare (two names)")
        if self.compare and self.compare[0] == self.compare[1]:
            raise SettingError(f"names {self.compare[0]!r} twice", "compare")
        absolute = self.expect in ("at_least", "at_most")
        if absolute and (self.threshold is None or self.variant is None):
            raise SettingError(f"{self.expect} needs a threshold and one variant", "expect")
        if not absolute and self.threshold is not None:
            raise SettingError(f"belongs to at_least and at_most, not to {self.expect}", "threshold")
        if self.expect in ("higher", "lower") and self.compare is None:
            raise SettingError(f"{self.expect} needs compare with two variants", "expect")
        if self.expect == "same" and self.margin == 0:
            raise SettingError(
                "same needs a margin greater than 0: the largest difference that still counts as the same", "expect"
            )
        check_share(self.metric, self.threshold, "threshold")
        check_share(self.metric, self.margin, "margin")
        return self

    @property
    def variants(self) -> tuple[str, ...]:
        """The one or two variants that it is about."""
        return self.compare or (self.variant or "",)

    @property
    def names_key(self) -> str:
        """The key that names these."""
        return "compare" if self.compare else "variant"

    @property
    def about_time(self) -> bool:
        """Whether the metric is a duration, which no tracked file holds."""
        return is_time(self.metric)


class Statistics(Section):
    """How claims are judged."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.99
    """Confidence of every interval."""
    looks: Annotated[tuple[Look, ...], Field(strict=False, min_length=1, max_length=10)] | None = None
    """Replicates after which undecided claims are judged, such as `[5, 10, 20]`. Default: once, after replicates.seeds."""

    @field_validator("looks")
    @classmethod
    def _rising(cls, looks: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if looks and any(later <= earlier for earlier, later in pairwise(looks)):
            raise SettingError(f"{list(looks)} must rise: each look has more replicates than the one before")
        return looks


class Illustration(Section):
    """Something that the source computes or draws without training a network."""

    says: str
    """What the source says of it."""
    reported: dict[Name, Annotated[tuple[Finite, ...], Field(strict=False)]] = {}
    """The numbers that the source prints."""


class Note(Section):
    """What we assumed, or found. It stands in the report, also in the cards of the claims and variants that it is about."""

    says: str
    """One sentence or two."""
    about: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    """The claims and variants whose results it explains."""


def _note(value: Any) -> Any:
    if isinstance(value, str):
        return {"says": value}
    if not isinstance(value, Mapping | Note):
        raise SettingError(f"{as_yaml(value)} must be text, or a mapping of says and about")
    return value


TextOrNote = Annotated[Note, BeforeValidator(_note, json_schema_input_type=str | Note)]
"""A note. A text is a note about nothing by name."""
