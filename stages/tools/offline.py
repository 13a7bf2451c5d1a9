"""Make the pages of `dvc plots show` and `dvc plots diff` work without a network: `python -m stages.tools offline`.

DVC's page loads Vega from a CDN. This writes .dvc/plots/offline.html, a template with Vega inside, and names it in
.dvc/config.local as `plots.html_template`. Git ignores both files. Run it once in a checkout. `dvc config --local --unset
plots.html_template` undoes it.
"""

from __future__ import annotations

from pathlib import Path

import vl_convert

from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.files import write_text
from stages.lib.programs import dvc

PAGE = Path(".dvc/plots/offline.html")
VEGA_LITE = "5.21"
"""The version that DVC's templates and ours are written for."""


def template() -> str:
    """A page in which DVC replaces {plot_divs} by its plots. It has no {scripts}, so DVC adds nothing to load."""
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE)
    if "</script" in bundle or "{plot_divs}" in bundle:
        raise UserError(
            "the bundle of Vega in vl-convert-python does not fit into a page; install the version of requirements.lock"
        )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{refresh_tag}\n<title>DVC Plot</title>\n'
        f"<script>{bundle}</script>\n</head>\n<body>\n{{plot_divs}}\n</body>\n</html>\n"
    )


def main() -> None:
    arguments(__doc__, study=False).parse_args()
    with one_line_errors("offline"):
        if not Path(".dvc").is_dir():
            raise UserError("run this at the root of a checkout: there is no .dvc here")
        write_text(PAGE, template())
        place = PAGE.relative_to(".dvc").as_posix()  # DVC takes it as relative to .dvc
        dvc("config", "--local", "plots.html_template", place)
        print(f"written: {PAGE}; `dvc plots show` and `dvc plots diff` use it in this checkout")


if __name__ == "__main__":
    main()
