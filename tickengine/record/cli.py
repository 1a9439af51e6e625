"""``tickengine record``, ``recording`` and ``export``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys

from .._coming import Coming
from .._errors import ConfigError, RecordingError
from .._signals import Latch
from ..log import TickLog
from ..queue import TickQueue
from .exporting import export
from .info import describe, text
from .layout import recorded_days, ticks_path
from .progress import Progress
from .recorder import INTERVAL_S, Recorder
from .recording import Recording
from .sinks import SINKS

_LOOK_S = 0.5


def _teach(parser: argparse.ArgumentParser, epilog: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = epilog


# ---- record ----------------------------------------------------------------------------------------


def add_record_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="the engine's name")
    parser.add_argument("--dir", required=True, help="where the files are kept: one recorder at a time")
    parser.add_argument("--instruments", help="record these only: ids with commas between (default: all)")
    parser.add_argument("--interval", type=float, default=INTERVAL_S * 1000, help="milliseconds between looks (100)")
    parser.add_argument("--csv", action="store_true", help="at the end write the days recorded to DIR/csv, too")
    parser.add_argument("--wait", action="store_true", help="wait for the engine, and for the next one after its end")
    _teach(
        parser,
        "example:\n  tickengine record md --dir recordings/\n\n"
        "Writes recordings/20260105.ticks and .notes, a file for each trading day, until the engine has ended\n"
        "or Ctrl-C or SIGTERM comes. Started again, it goes on where the file ends.",
    )


def run_record(args: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    ids = None if args.instruments is None else [name.strip() for name in args.instruments.split(",")]
    stopping = Latch()
    running: list[Recorder] = []

    def stop(*_: object) -> None:
        stopping.set()
        for recorder in running:
            recorder.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        days: set[str] = set()
        last = 0
        while (log := _attach(args.name, args.wait, last, stopping)) is not None:
            last = log.info().unique_id
            _record(log, ids, args, running, stopping, days)
            if not args.wait or stopping.is_set():
                break
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if args.csv:
        for day in sorted(days):
            _export(Recording.open(ticks_path(args.dir, day)), "csv", os.path.join(args.dir, "csv"))
    return 0


def _attach(name: str, wait: bool, last: int, stopping: Latch) -> TickLog | None:
    """The engine's log; with *wait* another one than *last*. None: to be stopped before it came."""
    if not wait:
        return TickLog.attach(name)
    said, coming = False, Coming(name)
    while not stopping.is_set():
        log = coming.look()
        if log is not None:
            if log.info().unique_id != last:
                return log
            log.close()
        if not said:
            logging.getLogger("tickengine").info("waiting for an engine called %r", name)
            said = True
        stopping.wait(_LOOK_S)
    return None


def _record(
    log: TickLog,
    ids: list[str] | None,
    args: argparse.Namespace,
    running: list[Recorder],
    stopping: Latch,
    days: set[str],
) -> None:
    # From the oldest record on: what the file has already is passed over.
    with TickQueue(ids, start="oldest", events=True, wait="block") as queue:
        recorder = Recorder(queue, args.dir, interval=args.interval / 1000)
        running[:] = [recorder]
        try:
            queue.bind(log)
            if stopping.is_set():
                recorder.stop()
            print(f"recording {log.name!r} into {os.path.abspath(args.dir)}", flush=True)
            recorder.run()
        finally:
            recorder.close()
            days.update(recorder.days)
            lost = f"; {recorder.lost:,} ticks LOST: overwritten before they were recorded" if recorder.lost else ""
            print(f"recorded {recorder.recorded:,} ticks{lost}", flush=True)


# ---- recording -------------------------------------------------------------------------------------


def add_recording_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="+", help="a .ticks file, or a directory of them")
    parser.add_argument("--json", action="store_true", help="as JSON, with the ids of all instruments")
    _teach(parser, "examples:\n  tickengine recording recordings/20260105.ticks\n  tickengine recording recordings/")


def run_recording(args: argparse.Namespace) -> int:
    infos = [describe(Recording.open(path)) for path in _files(args.file)]
    if args.json:
        one = len(args.file) == 1 and not os.path.isdir(args.file[0])
        print(json.dumps(infos[0] if one else infos, indent=2, ensure_ascii=False))
    else:
        print("\n\n".join(text(info) for info in infos))
    return 0


# ---- export ----------------------------------------------------------------------------------------


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="+", help="a .ticks file, or a directory of them")
    parser.add_argument("--to", required=True, choices=sorted(SINKS), help="the format")
    parser.add_argument("--out", required=True, help="the directory to write into")
    _teach(
        parser,
        "example:\n  tickengine export recordings/20260105.ticks --to parquet --out lake/\n\n"
        "parquet  OUT/trading_day=20260105/product=rb/20260105.parquet   (pip install 'tickengine[parquet]')\n"
        "arrow    OUT/20260105.arrow                                     (the same)\n"
        "csv      OUT/rb2601-20260105.csv, the vendor's columns",
    )


def run_export(args: argparse.Namespace) -> int:
    recordings = [Recording.open(path) for path in _files(args.file)]
    by_day: dict[str, str] = {}
    for recording in recordings:
        other = by_day.setdefault(recording.trading_day, recording.path)
        if other != recording.path:
            raise ConfigError(
                f"{other!r} and {recording.path!r} are both of {recording.trading_day}: export them to two directories"
            )
    for recording in recordings:
        _export(recording, args.to, args.out)
    return 0


def _files(given: list[str]) -> list[str]:
    files = []
    for path in given:
        if os.path.isdir(path):
            try:
                found = [ticks_path(path, day) for day in recorded_days(path)]
            except OSError as error:
                raise RecordingError(f"{path!r} cannot be read: {error.strerror}") from None
            if not found:
                raise RecordingError(f"{path!r} holds no recording (no file like 20260105.ticks)")
            files += found
        else:
            files.append(path)
    return list(dict.fromkeys(map(os.path.abspath, files)))


def _export(recording: Recording, kind: str, out: str) -> None:
    with Progress(f"{recording.trading_day} to {kind}", len(recording)) as progress:
        paths = export(recording, kind, out, progress)
    lost = f", {recording.lost:,} more were lost when it was recorded" if recording.lost else ""
    print(
        f"{recording.trading_day}: {len(recording):,} ticks in {len(paths):,} files below {os.path.abspath(out)}{lost}"
    )
    sys.stdout.flush()
