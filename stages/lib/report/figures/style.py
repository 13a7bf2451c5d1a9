"""What all figures share: colours, text sizes and Matplotlib's settings.

Nothing here uses pyplot, which has global state, or the user's matplotlibrc. The colours (after Okabe and Ito, darkened for
contrast on white) can be told apart by the colour-blind.
"""

from __future__ import annotations

from matplotlib import style

WIDTH = 9.375
"""Inches: 900 pixels, which a README shows unscaled."""
GREY, PALE, BLUE, ORANGE, GREEN = "#666666", "#dfe7ee", "#0060a8", "#b84100", "#00735a"
FAINT, EDGE, OTHERS, ZONE = "#eeeeee", "#999999", "#aaaaaa", "#8fa5b8"
"""Of grid lines, of axes and zero lines, of curves in the background, of the ends of a zone."""
THEME = {GREY: "soft", PALE: "pale", BLUE: "blue", ORANGE: "orange", GREEN: "green", FAINT: "grid"}
THEME |= {EDGE: "edge", OTHERS: "edge", ZONE: "edge", "#000000": "ink", "#ffffff": "back"}
"""Colour -> its variable in the page's style sheet."""
SMALL_TEXT, PANEL_TITLE = 6.8, 8.5
DASHED = (0, (3, 1))

STYLED = style.context(
    [
        "default",
        {
            "font.family": "DejaVu Sans",  # ships with Matplotlib
            "font.size": 8.5,
            "axes.titlesize": 9.5,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": EDGE,
            "axes.linewidth": 0.7,
            "xtick.color": GREY,
            "ytick.color": GREY,
            "xtick.major.width": 0.7,
            "ytick.major.width": 0.7,
            "legend.frameon": False,
            "text.parse_math": False,  # a class may be called $5
            "svg.hashsalt": "tips-on-trial",  # the same ids each time
            "svg.fonttype": "none",  # text stays text: a fifth of the bytes
        },
    ]
)
"""Decorator: our style, whatever the user's is."""
