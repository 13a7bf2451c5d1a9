"""Print a variant's full recipe."""

from __future__ import annotations

import json
import sys

from ruamel.yaml import YAML

from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.study.load import load_study
from stages.lib.study.recipe import Recipe
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import unknown


def show(study: Study, variant: str) -> None:
    """Print a variant's full recipe as YAML."""
    if variant not in study.variants:
        raise UserError(f"--show: {unknown('variant', variant, study.variants)}")
    recipe: Recipe = study.recipes[variant]
    content = {"variant": variant, "tip": study.variants[variant].tip, "seeds": len(study.seeds(variant))}
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(content | {"view_name": study.view_of(variant)} | json.loads(recipe.model_dump_json()), sys.stdout)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("variant", metavar="VARIANT", help="whose recipe is shown")
    options = parser.parse_args()
    with one_line_errors("show", options.study):
        show(load_study(options.study), options.variant)


if __name__ == "__main__":
    main()
