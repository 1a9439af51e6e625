"""The ledger's ring: what goes in comes out, once and in order, and a full one makes its writer wait."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import numpy as np

from .ledger import DRAIN, ROW, Ledger


def rows(first: int, count: int) -> np.ndarray:
    made = np.zeros(count, ROW)
    made["stamp"] = np.arange(first, first + count)
    made["flags"] = made["stamp"] % 7
    return made


def test_rows_one_by_one_and_many_at_once_come_out_in_order(tmp_path: Path) -> None:
    rng = random.Random(5)
    ours = Ledger(str(tmp_path / "ledger"), create=True, rows=3 * DRAIN)
    theirs = Ledger(ours.path)
    written, got = 0, []
    while written < 12 * DRAIN:
        if rng.random() < 0.5:
            theirs.put(written, 0, 0, 0, 0, written % 7, 0)
            written += 1
        else:
            count = rng.randrange(DRAIN)
            theirs.append(rows(written, count))
            written += count
        while ours.drained < ours.count and (rng.random() < 0.5 or written - ours.drained > DRAIN):
            got.append(ours.drain())
    while ours.drained < ours.count:
        got.append(ours.drain())
    np.testing.assert_array_equal(np.concatenate(got), rows(0, written))


def test_a_full_ledger_makes_its_writer_wait_and_overwrites_nothing(tmp_path: Path) -> None:
    ours = Ledger(str(tmp_path / "ledger"), create=True, rows=100)
    theirs = Ledger(ours.path)
    theirs.append(rows(0, 90))
    writer = threading.Thread(target=theirs.append, args=(rows(90, 50),))
    writer.start()
    try:
        assert ours.count == 90, "there is room for ten"
        got = [ours.drain()]
        writer.join(20)
        assert not writer.is_alive()
    finally:
        while writer.is_alive():
            ours.drain()
    while ours.drained < ours.count:
        got.append(ours.drain())
    np.testing.assert_array_equal(np.concatenate(got), rows(0, 140))


def test_a_row_that_is_written_and_not_counted_is_nobodys(tmp_path: Path) -> None:
    """A worker killed between the two: its successor writes over it."""
    ours = Ledger(str(tmp_path / "ledger"), create=True, rows=10)
    dead = Ledger(ours.path)
    dead.put(1, 0, 0, 0, 0, 0, 0)
    dead._rows[1] = rows(99, 1)[0]
    heir = Ledger(ours.path)
    heir.put(2, 0, 0, 0, 0, 0, 0)
    assert ours.drain()["stamp"].tolist() == [1, 2]
