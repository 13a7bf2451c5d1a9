"""Print a variant's full recipe, with everything that it inherits, and the verdicts on its tip."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ruamel.yaml import YAML

from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.judging.outcome import of_variants
from stages.lib.study.load import load_study
from stages.lib.study.settings import Study, tests_of_tip
from stages.lib.study.strict_yaml import unknown


def show(study: Study, variant: str, metrics: Path) -> None:
    """Print the recipe as YAML, with the verdicts in `metrics`, if there are any. Raises UserError for an unknown variant."""
    if variant not in study.variants:
        raise UserError(str(unknown("variant", variant, study.variants)))
    verdicts = of_variants(study, metrics).verdicts
    facts = {
        "variant": variant,
        "tip": study.variants[variant].tip,
        "verdicts": {name: verdicts[name]["verdict"] for name in tests_of_tip(study, variant) if name in verdicts},
        "seeds": len(study.seeds(variant)),
        "view_name": study.view_of(variant),
    }
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(facts | study.recipes[variant].model_dump(mode="json"), sys.stdout)


def main(given: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__)
    parser.add_argument("variant", metavar="VARIANT", help="the variant whose recipe is printed")
    options = parser.parse_args(given)
    with one_line_errors("show", options.study):
        show(load_study(options.study), options.variant, options.study / "metrics")


if __name__ == "__main__":
    main()
