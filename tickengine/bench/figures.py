"""Figures of a run, their medians over the rounds, and the table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .cases import MP_QUEUE, Schedule
from .parts import Read, Written

_LATE_NS = 100_000

Row = dict[str, Any]


class WrongRun(Exception):
    """Ticks came out of order, or are not accounted for: what was measured is no number."""


UNITS = {
    "paced_p50": "µs from due to read in the worker, 2,000 ticks a second",
    "paced_p99": "µs",
    "paced_p99_9": "µs",
    "burst_last_p50": "µs from due to the last of 800 ticks read in the slowest worker",
    "burst_last_p99": "µs",
    "flat_rate": "ticks a second into the slowest worker, writer flat out",
    "flat_lost_percent": "% of what was written flat out, of the worker that lost most",
    "publish_p50": "ns on the writer's thread for one tick, 2,000 ticks a second",
    "publish_p99": "ns",
    "flat_publish": "ns on the writer's thread for one tick, flat out, mean",
    "paced_lost": "ticks, of the worker that lost most; above 0 the run is wrong",
    "burst_lost": "ticks, the same",
    "flat_lost": "ticks, of the worker that lost most",
    "paced_late": "ticks that the writer began more than 0.1 ms after they were due",
    "paced_ticks": "ticks written",
    "burst_ticks": "ticks written",
    "flat_ticks": "ticks written",
    "mp_queue_paced": "mp.Queue's paced_p50 over this one's",
    "mp_queue_burst": "mp.Queue's burst_last_p50 over this one's",
}


def evaluate(shape: str, schedule: Schedule, written: Written, reads: Sequence[Read]) -> Row:
    """What one run gave. Raises `WrongRun`."""
    for read in reads:
        if not read.ordered:
            raise WrongRun("ticks came out of order, or twice")
        if read.received + read.lost != written.count:
            raise WrongRun(f"{written.count} ticks were written, {read.received} read and {read.lost} lost")
    lost = max(read.lost for read in reads)
    row: Row = {f"{shape}_ticks": written.count, f"{shape}_lost": lost}
    began, done = written.times[0::2], written.times[1::2]
    if not schedule.count:
        row["flat_publish"] = float(done[0] - began[0]) / written.count
        row["flat_rate"] = min(read.received / (read.end - written.start) for read in reads) * 1e9
        row["flat_lost_percent"] = 100.0 * lost / written.count
        return row
    if lost:
        raise WrongRun(f"{lost} ticks were lost")
    due = written.start + np.arange(schedule.count) // schedule.burst * schedule.interval_ns
    latencies = _latencies(schedule, due, reads)
    if shape == "burst":
        lasts = latencies[:, schedule.burst - 1 :: schedule.burst].max(axis=0)
        _percentiles(row, "burst_last", lasts, (50.0, 99.0))
    else:
        _percentiles(row, "paced", latencies, (50.0, 99.0, 99.9))
        _percentiles(row, "publish", (done - began).astype(np.float64), (50.0, 99.0))
        row["paced_late"] = int((began - due > _LATE_NS).sum())
    return row


def _latencies(schedule: Schedule, due: npt.NDArray[np.int64], reads: Sequence[Read]) -> npt.NDArray[np.float64]:
    """Microseconds, by worker and tick; the first tenth is not counted."""
    latencies: npt.NDArray[np.float64] = (np.stack([read.seen for read in reads]) - due) / 1000.0
    if bool((latencies <= 0).any()):
        raise WrongRun("a tick was read before it was due")
    return latencies[:, schedule.count // 10 // schedule.burst * schedule.burst :]


def _percentiles(row: Row, name: str, values: npt.NDArray[np.float64], shares: Sequence[float]) -> None:
    for share in shares:
        row[f"{name}_p{share:g}".replace(".", "_")] = float(np.percentile(values, share))


def medians(rows: Sequence[Row]) -> list[Row]:
    """One row for each case, in order: ``name``, and by figure its ``median``, ``min`` and ``max``."""
    result = []
    for name in dict.fromkeys(row["name"] for row in rows):
        members = [row for row in rows if row["name"] == name]
        summary: Row = {"name": name}
        for figure in UNITS:
            values = [row[figure] for row in members if figure in row]
            if values:
                summary[figure] = {"median": statistics.median(values), "min": min(values), "max": max(values)}
        summary["wrong"] = [row["wrong"] for row in members if "wrong" in row]
        result.append(summary)
    _compare(result)
    return result


def median_of(summary: Sequence[Row], name: str, figure: str) -> float | None:
    """None if it was not measured."""
    for row in summary:
        if row["name"] == name and figure in row:
            return float(row[figure]["median"])
    return None


def _compare(summary: list[Row]) -> None:
    for ratio, figure in (("mp_queue_paced", "paced_p50"), ("mp_queue_burst", "burst_last_p50")):
        reference = median_of(summary, MP_QUEUE.name, figure)
        for row in summary:
            if reference is not None and figure in row:
                row[ratio] = reference / row[figure]["median"]


# ---- the table ---------------------------------------------------------------------------------

_GROUPS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("2,000/s, µs", (("p50", "paced_p50"), ("p99", "paced_p99"), ("p99.9", "paced_p99_9"))),
    ("last of 800, µs", (("p50", "burst_last_p50"), ("p99", "burst_last_p99"))),
    ("flat out", (("ticks/s", "flat_rate"), ("lost %", "flat_lost_percent"))),
    ("publish", (("ns", "publish_p50"),)),
    ("mp.Queue / this", (("p50", "mp_queue_paced"), ("burst", "mp_queue_burst"))),
)
_FIGURES = [figure for _, columns in _GROUPS for _, figure in columns]
_SPREAD = "min..max"


def number(value: float) -> str:
    """Three digits at least; large ones whole."""
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(summary: Sequence[Row]) -> str:
    """Medians, and below each row the least and the greatest of the rounds."""
    lines: list[tuple[str, list[str]]] = []
    for row in summary:
        lines.append((row["name"], [_median(row.get(figure)) for figure in _FIGURES]))
        spread = [_spread(row.get(figure)) for figure in _FIGURES]
        if any(spread):
            lines.append((f"  {_SPREAD}", spread))
    heads = [head for _, columns in _GROUPS for head, _ in columns]
    first = max(len(name) for name, _ in lines)
    widths = [max([len(heads[i]), *(len(cells[i]) for _, cells in lines)]) for i in range(len(heads))]
    above, at = [" " * first], 0
    for title, columns in _GROUPS:
        width = sum(widths[at : at + len(columns)]) + 2 * (len(columns) - 1)
        if width < len(title):
            widths[at] += len(title) - width
            width = len(title)
        above.append(title.rjust(width))
        at += len(columns)
    lines.insert(0, ("", heads))
    body = ["  ".join([name.ljust(first), *(cell.rjust(widths[i]) for i, cell in enumerate(c))]) for name, c in lines]
    return "\n".join(line.rstrip() for line in ["  ".join(above), *body])


def _median(value: Any) -> str:
    if value is None:
        return "-"
    return number(value["median"] if isinstance(value, dict) else value)


def _spread(value: Any) -> str:
    if not isinstance(value, dict) or value["min"] == value["max"]:
        return ""
    return f"{number(value['min'])}..{number(value['max'])}"
