"""A recorder beside the strategies: every tick into a file, in a process of its own; then the file as CSV.

python examples/record_and_export.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from _feed import arguments, feed

from tickengine import TickQueue
from tickengine.cli import main as tickengine
from tickengine.record import RecorderProcess


def main() -> None:
    args = arguments("Records, and exports what was recorded.")
    with tempfile.TemporaryDirectory() as folder, TickQueue() as mine, TickQueue() as recorded:
        recorder = RecorderProcess(recorded, f"{folder}/recordings")
        recorder.start()
        with feed(args, [mine, recorded]):
            for _ in range(args.ticks):
                mine.get()
        recorder.join()  # ends with the engine, when all is written
        print(f"{recorder.counters['recorded']} ticks recorded, {recorder.counters['lost']} lost")
        tickengine(["export", f"{folder}/recordings", "--to", "csv", "--out", f"{folder}/csv"])  # or parquet, arrow
        for path in sorted(Path(folder, "csv").iterdir()):
            lines = path.read_text().splitlines()
            print(f"{path.name}: {len(lines) - 1} ticks, {lines[0].count(',') + 1} columns")


if __name__ == "__main__":
    main()
