"""How fast does a recording play flat out, with nothing lost?

    recording ──▶ replay process: look up, publish ──▶ log ◀── 0, 1, 4 workers, `get_many`, `for tick in queue`

The same recording is played again and again (``loop=``), `lossless`: where there are workers, the replay waits for
the slowest. Each worker checks that every tick is the next one. ``records/s`` counts from the word to go to the last
record's ``RecvMonotonic``; ``writer ns`` is the replay process's processor time per record.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from parts.environment import surroundings
from parts.logs import CAPACITY, OwnWriter, own_log
from parts.placement import Cores, placement
from parts.processes import script, tag
from parts.report import Report, Row, check, medians, options, with_spread
from parts.workers import Workers

from tickengine.record.layout import Header
from tickengine.record.notes import pack_note
from tickengine.replay import Replay

TICKS = 65_535  # what a log of CAPACITY holds at once
DAY = "20260105"


def recording(folder: str) -> Path:
    """A recording of `TICKS` ticks whose Volume counts them."""
    path = Path(folder) / f"{DAY}.ticks"
    with own_log(tag("source")) as log, OwnWriter(log) as writer:
        writer.flood(3, TICKS)
        path.write_bytes(Header(DAY, log.name, log.info().unique_id, 0).pack() + log.read(0).tobytes())
        session = {"kind": "session", "log": log.name, "unique_id": 1, "instruments": None, "numbers": {}, "next": 0}
        names = {**log.instruments()[0], "kind": "instrument"}
        path.with_suffix(".notes").write_bytes(
            b"".join(pack_note({**n, "record": 0, "time": 0}) for n in (session, names))
        )
    return path


def processor_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def play(file: Path, style: str, count: int, passes: int, cores: Cores) -> Row:
    written = TICKS * passes
    with Workers(style, count, TICKS, cores=cores) as workers:
        replay = Replay(file, md_queue_list=workers.queues, speed="max", loop=passes, paused=True, name=tag("replay"))
        with replay:
            workers.begin(replay.log)
            check(replay.pid is not None, "no process")
            before, begun = processor_s(replay.pid or 0), time.monotonic_ns()
            replay.resume()
            while replay.log.info().ticks < written:
                check(replay.is_alive() or replay.log.info().ticks == written, "the replay has ended too early")
                spent = processor_s(replay.pid or 0)
                time.sleep(0.001)
            check(replay.join(60), "the replay does not end")
            last = replay.log.read(replay.log.head - 8)[-1]
            losses = workers.losses(written)
        check(not losses["lost"], f"{losses['lost']} ticks lost of a lossless replay")
    elapsed = int(last["RecvMonotonic"]) - begun
    return {"records/s": written * 1e9 / elapsed, "writer ns": (spent - before) * 1e9 / written}


def main() -> None:
    parser = options(__doc__ or "", rounds=3)
    parser.add_argument("--passes", type=int, default=100, help=f"over {TICKS} ticks in one run (default 100)")
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 4])
    parser.add_argument("--styles", nargs="*", default=["get_many", "iterate"], choices=["get_many", "iterate", "get"])
    parser.add_argument("--pin", action="store_true", help=placement(front=False))
    args = parser.parse_args()
    cores = Cores(args.pin)
    report = Report(
        "replay: a recording flat out, nothing lost",
        surroundings(cores.words, args.commit, ring=f"{CAPACITY} ticks"),
        args.json,
    )
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix=tag("replay-")) as folder:
        file = recording(folder)
        for number in range(1, args.rounds + 1):
            for count in args.workers:
                for style in args.styles if count else ["-"]:
                    row = play(file, "get_many" if style == "-" else style, count, args.passes, cores)
                    rows.append({"round": number, "style": style, "workers": count, **row})
    values = ["records/s", "writer ns"]
    report.table("rounds", rows, ["round", "style", "workers", *values])
    report.table("medians", medians(rows, ["style", "workers"], values), ["style", "workers", *with_spread(values)])
    report.save()


if __name__ == "__main__":
    script(main)
