"""One client's socket: what waits to be sent, what was sent, how it ends."""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tickengine.front import wire
from tickengine.front.session import Session
from tickengine.front.stats import ClientStats, SentRange
from tickengine.front.tickpackets import whole_ticks

READ_BYTES = 65_536
MAX_QUEUED_INPUT_ANSWERS = 1 << 20
"""With this many bytes of answers waiting, no more requests are read from the client."""
MAX_QUEUED_BYTES = 64 << 20
"""A client that lets more than this pile up is dropped."""


MAX_RANGES = 100_000
"""Ranges remembered per connection and for all closed ones; older ones are forgotten."""


@dataclass(frozen=True)
class TickRun:
    """Ticks of the market on their way: running numbers, and where a subscription picks, which ones."""

    first: int
    stop: int
    instruments: frozenset[bytes]
    picked: NDArray[np.int64] | None = None

    @property
    def ticks(self) -> int:
        """How many ticks are in it."""
        return self.stop - self.first if self.picked is None else len(self.picked)

    def stop_after(self, ticks: int) -> int:
        """The end of the range that the first *ticks* ticks of the run complete."""
        if ticks == self.ticks:
            return self.stop
        if self.picked is None:
            return self.first + ticks
        return int(self.picked[ticks - 1]) + 1 if ticks else self.first


Counted = Literal["ticks", "sent", "received"]
"""Which bytes bring a cut nearer: of the market's ticks, all that the front sends, all that the client sends."""


def _nobody_waits() -> None:
    pass


@dataclass
class CutOrder:
    """How and when a connection must end: at once, or when *bytes_left* more bytes have been *counted*."""

    how: Literal["fin", "rst"]
    bytes_left: int | None
    deadline: float
    counted: Counted = "ticks"
    done: Callable[[], None] = _nobody_waits


@dataclass
class _Piece:
    data: memoryview
    run: TickRun | None
    sent: int = 0


@dataclass
class _Range:
    first: int
    stop: int
    instruments: frozenset[bytes]


class Connection:
    """The front's end of a connection. All methods belong to the front's thread and none blocks."""

    def __init__(self, number: int, sock: socket.socket, peer: str, session: Session, now: float) -> None:
        self.number = number
        self.sock = sock
        self.peer = peer
        self.session = session
        self.cut: CutOrder | None = None
        self.blocked = False
        self.watched = 0
        self.last_sent = now
        self.last_progress = now
        self.ticks_waiting_since = now
        self.drain_deadline: float | None = None
        self.bytes_sent = 0
        self.ticks_sent = 0
        self._framer = wire.Framer()
        self._out: deque[_Piece] = deque()
        self._late: deque[tuple[float, bytes]] = deque()
        self._queued = 0
        self._answers_queued = 0
        self._runs_waiting = 0
        self._ranges: list[_Range] = []

    @property
    def idle(self) -> bool:
        """Nothing waits to be sent."""
        return not self._out

    @property
    def ticks_waiting(self) -> bool:
        """Ticks of an earlier batch are not yet with the socket completely."""
        return self._runs_waiting > 0

    @property
    def overfull(self) -> bool:
        """More is queued than any client may have waiting."""
        return self._queued > MAX_QUEUED_BYTES

    @property
    def reading(self) -> bool:
        """Whether further requests of the client are welcome."""
        return self._answers_queued < MAX_QUEUED_INPUT_ANSWERS

    @property
    def next_late(self) -> float | None:
        """When the next delayed answer is due."""
        return self._late[0][0] if self._late else None

    def receive(self) -> tuple[bool, list[bytes]]:
        """Read once; return whether the client is still there, and the answers to what it said.

        Raises:
            OSError: the connection is lost.
            FrameError: the client broke the protocol.
        """
        cut = self.cut if self.cut is not None and self.cut.counted == "received" else None
        most = READ_BYTES
        if cut is not None and cut.bytes_left is not None:
            if cut.bytes_left == 0:
                return True, []  # the cut is due: what comes after it is not read
            most = min(most, cut.bytes_left)
        try:
            data = self.sock.recv(most)
        except (BlockingIOError, InterruptedError):
            return True, []
        if cut is not None and cut.bytes_left is not None:
            cut.bytes_left -= len(data)
        if not data:
            return False, []
        if self.drain_deadline is not None:
            return True, []
        answers: list[bytes] = []
        for packet in self._framer.feed(data):
            answers += self.session.handle(packet)
        return True, answers

    def send(self, data: bytes, now: float) -> None:
        """Queue whole packets (or garbage) that are not ticks of the market."""
        self._answers_queued += len(data)
        self._append(_Piece(memoryview(data), None), now)

    def send_late(self, data: bytes, due: float) -> None:
        """Queue an answer that must not leave before *due*; calls come in order of time."""
        self._answers_queued += len(data)
        self._late.append((due, data))

    def send_ticks(self, data: memoryview, run: TickRun, now: float) -> None:
        """Queue a batch. *data* must not change until `ticks_waiting` is false."""
        if run.ticks == 0:
            self._record(run, 0)
            return
        if self._runs_waiting == 0:
            self.ticks_waiting_since = now
        self._runs_waiting += 1
        self._append(_Piece(data, run), now)

    def release_late(self, now: float, *, everything: bool) -> None:
        """Queue the delayed answers whose time has come, or all."""
        while self._late and (everything or self._late[0][0] <= now):
            data = self._late.popleft()[1]
            self._append(_Piece(memoryview(data), None), now)

    def flush(self, now: float) -> bool:
        """Hand to the socket what it takes; return whether a cut by byte count is due.

        Raises:
            OSError: the connection is lost.
        """
        self.blocked = False
        while self._out:
            piece = self._out[0]
            end = len(piece.data)
            cut = self.cut
            counts = cut is not None and (cut.counted == "sent" or (cut.counted == "ticks" and piece.run is not None))
            left = cut.bytes_left if cut is not None and counts else None
            if left is not None:
                end = min(end, piece.sent + left)
                if end == piece.sent:
                    return True
            try:
                sent = self.sock.send(piece.data[piece.sent : end])
            except (BlockingIOError, InterruptedError):
                self.blocked = True
                return False
            self._account(piece, sent, now)
            if left is not None and cut is not None:
                cut.bytes_left = left - sent
        return self.cut is not None and self.cut.bytes_left == 0

    def settle(self) -> None:
        """Account for the ticks of the batch that is partly sent, and forget all that waits."""
        if self._out and self._out[0].run is not None:
            piece, run = self._out[0], self._out[0].run
            self._record(run, whole_ticks(piece.sent, run.ticks))
        self._out.clear()
        self._late.clear()
        self._queued = self._answers_queued = self._runs_waiting = 0

    def finish_sending(self) -> None:
        """Send FIN behind what the socket has taken.

        Raises:
            OSError: the connection is lost.
        """
        self.settle()
        self.sock.shutdown(socket.SHUT_WR)

    def close(self, *, reset: bool = False) -> None:
        """Close the socket; with *reset* by RST, which throws away what is under way."""
        self.settle()
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def ranges(self) -> list[SentRange]:
        """The running numbers sent so far, the complete packets of a batch under way included."""
        ranges = [_Range(r.first, r.stop, r.instruments) for r in self._ranges]
        if self._out and self._out[0].run is not None:
            piece, run = self._out[0], self._out[0].run
            _extend(ranges, run, whole_ticks(piece.sent, run.ticks))
        return [SentRange(self.number, r.first, r.stop, _texts(r.instruments)) for r in ranges]

    def stats(self) -> ClientStats:
        """This connection's counters."""
        session = self.session
        return ClientStats(
            connection=self.number,
            peer=self.peer,
            logged_in=session.logged_in,
            user=session.user.decode("gb18030", "replace"),
            subscribed=_texts(session.subscribed),
            for_quotes=_texts(session.for_quotes),
            ticks_sent=self.ticks_sent,
            queued_bytes=self._queued,
        )

    def _append(self, piece: _Piece, now: float) -> None:
        if not self._out:
            # Time without work is no lack of progress.
            self.last_progress = now
        self._queued += len(piece.data)
        self._out.append(piece)

    def _account(self, piece: _Piece, sent: int, now: float) -> None:
        self.last_sent = self.last_progress = now
        self.bytes_sent += sent
        self._queued -= sent
        piece.sent += sent
        if piece.sent < len(piece.data):
            return
        self._out.popleft()
        if piece.run is None:
            self._answers_queued -= len(piece.data)
        else:
            self._runs_waiting -= 1
            self._record(piece.run, piece.run.ticks)

    def _record(self, run: TickRun, ticks: int) -> None:
        self.ticks_sent += ticks
        _extend(self._ranges, run, ticks)
        # Only a client that changes its subscription without end gets here.
        if len(self._ranges) > MAX_RANGES:
            del self._ranges[: MAX_RANGES // 2]


def _extend(ranges: list[_Range], run: TickRun, ticks: int) -> None:
    stop = run.stop_after(ticks)
    if stop == run.first:
        return
    if ranges and ranges[-1].stop == run.first and ranges[-1].instruments is run.instruments:
        ranges[-1].stop = stop
    else:
        ranges.append(_Range(run.first, stop, run.instruments))


def _texts(ids: frozenset[bytes]) -> frozenset[str]:
    return frozenset(name.decode("latin-1") for name in ids)


def peer_text(address: Any) -> str:
    """An address as `host:port`."""
    return f"{address[0]}:{address[1]}"
