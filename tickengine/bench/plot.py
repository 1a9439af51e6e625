"""The figures of a bench as a picture: percentiles, with a line from the least to the greatest of the rounds."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, BinaryIO

from tickengine._errors import ConfigError, MissingPackage

from .figures import Row, number

FORMATS = ("png", "svg")

# Title of a panel, its figures with their marks, and whether less is better.
_PANELS = (
    (
        "2,000 ticks/s: µs from due to read",
        (("p50", "paced_p50", "o"), ("p99", "paced_p99", "D"), ("p99.9", "paced_p99_9", "^")),
    ),
    ("800 at once: µs to the last one", (("p50", "burst_last_p50", "o"), ("p99", "burst_last_p99", "D"))),
    ("flat out: ticks/s", (("mean", "flat_rate", "s"),)),
)
_OURS, _OTHERS = "tab:red", "tab:blue"


def check(path: str) -> str:
    """The picture's format, by the end of its name; sees to it that it can be drawn before anything is measured.

    Raises: ConfigError, MissingPackage.
    """
    format = PurePath(path).suffix.lower().lstrip(".")
    if format not in FORMATS:
        raise ConfigError(f"--plot {path}: must end with .png or .svg")
    _pyplot()
    return format


def draw(file: BinaryIO, format: str, summary: Sequence[Row], title: str) -> None:
    """Draw *summary*, as `figures.medians` gives it, into *file*."""
    pyplot = _pyplot()
    from matplotlib import ticker

    rows = [row for row in summary if not row["wrong"]]
    panels = [
        (words, marks) for words, marks in _PANELS if any(figure in row for row in rows for _, figure, _ in marks)
    ]
    # Text stays text in SVG: small, and to be searched.
    with pyplot.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tickengine"}):
        size = (4.2 * max(len(panels), 1) + 1.5, 0.34 * len(rows) + 1.6)
        figure, axes = pyplot.subplots(1, max(len(panels), 1), figsize=size, squeeze=False, sharey=True)
        try:
            for axis, (words, marks) in zip(axes[0], panels):
                _panel(axis, rows, words, marks)
                axis.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.12g}"))
                axis.xaxis.set_minor_formatter(ticker.NullFormatter())
            axes[0][0].set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=8)
            axes[0][0].invert_yaxis()
            figure.suptitle(title, fontsize=8)
            figure.tight_layout()
            metadata = {"Date": None} if format == "svg" else {}
            figure.savefig(file, format=format, dpi=120, metadata=metadata)
        finally:
            pyplot.close(figure)


def _panel(axis: Any, rows: Sequence[Row], words: str, marks: Sequence[tuple[str, str, str]]) -> None:
    axis.set_xscale("log")
    for place, row in enumerate(rows):
        color = _OURS if row["name"].startswith("tickengine") else _OTHERS
        for _, figure, mark in marks:
            if figure not in row:
                continue
            middle, least, most = (row[figure][kind] for kind in ("median", "min", "max"))
            axis.plot([least, most], [place, place], color=color, linewidth=1, alpha=0.6)
            axis.plot(middle, place, mark, color=color, markersize=4)
        first = marks[0][1]
        if first in row:
            middle = row[first]["median"]
            axis.annotate(number(middle), (middle, place), (0, 4), textcoords="offset points", fontsize=6, ha="center")
    if len(marks) > 1:
        for name, _, mark in marks:
            axis.plot([], [], mark, color="black", markersize=4, label=name)
        axis.legend(fontsize=7, ncols=len(marks), loc="upper center", bbox_to_anchor=(0.5, -0.06), frameon=False)
    axis.set_title(words, fontsize=9)
    axis.grid(axis="x", alpha=0.3)
    axis.tick_params(axis="x", labelsize=7)
    axis.margins(x=0.1)


def _pyplot() -> Any:
    try:
        matplotlib = importlib.import_module("matplotlib")
        matplotlib.use("Agg")  # into a file: no screen is needed, and none is opened
        return importlib.import_module("matplotlib.pyplot")
    except ModuleNotFoundError as e:
        raise MissingPackage(f"--plot needs matplotlib ({e}): pip install 'tickengine[plot]'") from e
