"""What does it cost to keep every tick in a file?

    flat out   ticks that are there already ──▶ recorder, in this process ──▶ file
    paced      writer, --rate ticks a second ──▶ recorder, a process of its own ──▶ file

``tickengine``: a `Recorder` behind a log. ``csv in callback``: what AlgoPlus 3.1's MdRecorder does in its
OnRtnDepthMarketData with the dict it is given: every value to text, csv.DictWriter.writerow, flush.
``csv from mp.Queue``: the same, with the dicts from a multiprocessing.Queue, as its users do to keep that work off
the vendor's thread. All write below the temporary folder, into the page cache; nobody syncs before the end.
``x csv``: beside ``csv from mp.Queue``. ``cpu %``: of one core, the recorder's process only,
once its files are open.
"""

from __future__ import annotations

import csv
import itertools
import multiprocessing
import os
import tempfile
import threading
import time
from typing import Any

from parts.environment import surroundings
from parts.logs import FULL, OwnWriter, own_log
from parts.processes import CONTEXT, Crew, script, tag
from parts.report import Report, Row, check, medians, options, with_spread

from tickengine import TickQueue
from tickengine.record import Recorder, Recording
from tickengine.tick import RECORD_SIZE, VENDOR_FIELDS

OURS, CALLBACK, QUEUED = "tickengine", "csv in callback", "csv from mp.Queue"
DAY = "20260105"
PIECE_S = 0.01


def text(value: Any) -> str:
    """AlgoPlus's to_str."""
    return value.decode("gb18030", errors="ignore") if isinstance(value, bytes) else str(value)


class CsvRecorder:
    """A file for the instrument, a row for each tick, flushed."""

    def __init__(self, directory: str) -> None:
        self.path = os.path.join(directory, f"rb2601-{DAY}.csv")
        self.file = open(self.path, "a", newline="")  # noqa: SIM115 (closed by close)
        self.writer = csv.DictWriter(self.file, VENDOR_FIELDS)
        self.writer.writeheader()
        self.file.flush()

    def tick(self, fields: dict[str, Any]) -> None:
        for key in fields:
            fields[key] = text(fields[key])
        self.writer.writerow(fields)
        self.file.flush()

    def close(self) -> int:
        """Rows written."""
        self.file.close()
        with open(self.path) as file:
            return sum(1 for _ in file) - 1


def one_dict() -> dict[str, Any]:
    with own_log(tag("dict"), 2) as log, OwnWriter(log) as writer:
        writer.flood(1, 1)
        tick: Any = log[0]
        fields: dict[str, Any] = tick.to_dict()
        return fields


# ---- flat out ----------------------------------------------------------------------------------


def flat_ours(directory: str, ticks: int) -> float:
    with own_log(tag("flat")) as log, OwnWriter(log) as writer, TickQueue(start="oldest") as queue:
        queue.bind(log)
        recorder = Recorder(queue, directory)
        took = 0.0
        while recorder.recorded < ticks:
            writer.flood(1, min(FULL, ticks - recorder.recorded))
            before = time.perf_counter()
            recorder.poll()
            took += time.perf_counter() - before
        recorder.close()
        check(recorder.recorded == ticks and recorder.lost == 0, f"recorded {recorder.recorded}, lost {recorder.lost}")
    check(len(Recording.open(os.path.join(directory, f"{DAY}.ticks"))) == ticks, "the file is not whole")
    return ticks / took


def flat_callback(directory: str, ticks: int) -> float:
    given = one_dict()
    dicts = [dict(given) for _ in range(ticks)]
    recorder = CsvRecorder(directory)
    before = time.perf_counter()
    for fields in dicts:
        recorder.tick(fields)
    took = time.perf_counter() - before
    check(recorder.close() == ticks, "rows are missing")
    return ticks / took


def put_all(queue: Any, fields: dict[str, Any], ticks: int, pipe: Any) -> None:
    for _ in range(ticks):
        queue.put(dict(fields))
    pipe.send("done")


def flat_queued(directory: str, ticks: int) -> float:
    queue: multiprocessing.Queue[dict[str, Any]] = CONTEXT.Queue()
    recorder = CsvRecorder(directory)
    with Crew() as crew:
        crew.start("putter", put_all, queue, one_dict(), ticks)
        recorder.tick(queue.get())
        before = time.perf_counter()
        for _ in range(ticks - 1):
            recorder.tick(queue.get())
        took = time.perf_counter() - before
        crew.hear()
    check(recorder.close() == ticks, "rows are missing")
    return (ticks - 1) / took


# ---- paced -------------------------------------------------------------------------------------


def record(queue: TickQueue, directory: str, pipe: Any) -> None:
    recorder = Recorder(queue, directory)
    threading.Thread(target=lambda: (pipe.recv(), recorder.stop()), daemon=True).start()
    check(recorder.poll() == 1, "the first tick is not there")
    pipe.send("ready")
    recorder.run()
    pipe.send(recorder.recorded)


def record_csv(queue: Any, directory: str, pipe: Any) -> None:
    recorder = CsvRecorder(directory)
    pipe.send("ready")
    while (fields := queue.get()) is not None:
        recorder.tick(fields)
    pipe.send(recorder.close())


def pieces(rate: int, seconds: float) -> list[int]:
    """Ticks to be written in each hundredth of a second."""
    count = max(1, round(seconds / PIECE_S))
    marks = [round(rate * PIECE_S * i) for i in range(count + 1)]
    return [after - before for before, after in itertools.pairwise(marks)]


def paced(crew: Crew, plan: list[int], write: Any) -> float:
    """Processor seconds of the crew while *write* is called with each number of the plan, on time."""
    before, due = crew.cpu(), time.monotonic()
    for number in plan:
        if number:
            write(number)
        due += PIECE_S
        time.sleep(max(0.0, due - time.monotonic()))
    return crew.cpu() - before


def paced_ours(directory: str, plan: list[int]) -> float:
    with own_log(tag("paced")) as log, OwnWriter(log) as writer, TickQueue(start="oldest") as queue, Crew() as crew:
        queue.bind(log)
        writer.flood(1, 1)  # with it come the files: the steady state is measured
        crew.start("recorder", record, queue, directory)
        crew.hear()
        used = paced(crew, plan, lambda number: writer.flood(1, number))
        crew.tell("stop")
        [recorded] = crew.hear()
        crew.join()
    check(recorded == 1 + sum(plan), f"{recorded} of {1 + sum(plan)} ticks recorded")
    return used


def paced_queued(directory: str, plan: list[int]) -> float:
    queue: multiprocessing.Queue[dict[str, Any] | None] = CONTEXT.Queue()
    fields = one_dict()
    with Crew() as crew:
        crew.start("csv recorder", record_csv, queue, directory)
        crew.hear()

        def write(number: int) -> None:
            for _ in range(number):
                queue.put(dict(fields))

        used = paced(crew, plan, write)
        queue.put(None)
        [rows] = crew.hear()
        crew.join()
    check(rows == sum(plan), f"{rows} of {sum(plan)} ticks in the file")
    return used


def main() -> None:
    parser = options(__doc__ or "", rounds=5)
    parser.add_argument("--ticks", type=int, default=600_000, help="flat out (the csv cases: a twentieth of it)")
    parser.add_argument("--rate", type=int, default=2000, help="ticks a second, paced")
    parser.add_argument("--seconds", type=float, default=10, help="paced")
    args = parser.parse_args()
    report = Report(
        "recorder: ticks into files",
        surroundings("left to the scheduler", args.commit, folder=tempfile.gettempdir()),
        args.json,
    )
    flat: list[Row] = []
    slow: list[Row] = []
    plan = pieces(args.rate, args.seconds)
    few = max(2, args.ticks // 20)
    for number in range(1, args.rounds + 1):
        rates: dict[str, float] = {}
        for name, run, ticks in (
            (OURS, flat_ours, args.ticks),
            (CALLBACK, flat_callback, few),
            (QUEUED, flat_queued, few),
        ):
            with tempfile.TemporaryDirectory(prefix=tag("recorder")) as directory:
                rates[name] = run(directory, ticks)
        for name, rate in rates.items():
            size = RECORD_SIZE * rate / 1e6 if name == OURS else None
            flat.append({"round": number, "case": name, "ticks/s": rate, "MB/s": size, "x csv": rate / rates[QUEUED]})
        used: dict[str, float] = {}
        for name, pace in ((OURS, paced_ours), (QUEUED, paced_queued)):
            with tempfile.TemporaryDirectory(prefix=tag("recorder")) as directory:
                used[name] = pace(directory, plan)
        for name, seconds in used.items():
            share = {"cpu %": 100 * seconds / args.seconds, "us a tick": 1e6 * seconds / sum(plan)}
            slow.append({"round": number, "case": name, **share, "csv x": used[QUEUED] / seconds})
    report.table("flat out", flat, ["round", "case", "ticks/s", "MB/s", "x csv"])
    report.table("paced", slow, ["round", "case", "cpu %", "us a tick", "csv x"])
    values = ["ticks/s", "x csv"]
    report.table("flat out, medians", medians(flat, ["case"], values), ["case", *with_spread(values)])
    values = ["cpu %", "us a tick", "csv x"]
    report.table("paced, medians", medians(slow, ["case"], values), ["case", *with_spread(values)])
    report.save()


if __name__ == "__main__":
    script(main)
