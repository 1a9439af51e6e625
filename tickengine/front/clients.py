"""The clients of a front: their sockets, from being accepted to being closed."""

from __future__ import annotations

import logging
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from tickengine.front import wire
from tickengine.front.connection import MAX_RANGES, Connection, CutOrder, peer_text
from tickengine.front.listener import Listener
from tickengine.front.session import Desk, Session
from tickengine.front.stats import SentRange

log = logging.getLogger(__name__)

DRAIN_S = 60.0
"""How long after its FIN the front waits for the client to close."""
STOP_GRACE_S = 1.0
ACCEPT_PAUSE_S = 0.2
"""How long nothing is accepted after there was no descriptor for it."""
MAX_DRAINING = 256
TRICKLE_TIMEOUTS = 5
"""A client that takes a batch, but needs more than this many send timeouts for it, is dropped too."""
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Clients:
    """Belongs to the front's thread; nothing here blocks, but for `close_all`.

    Registers every socket with *selector*, the data of a key being what to call with its events.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        listener: Listener,
        desk: Desk,
        *,
        max_clients: int,
        send_timeout_s: float,
        heartbeat_s: float,
        make_session: Callable[[Any], Any] = Session,
    ) -> None:
        self.send_timeout_s = send_timeout_s
        self.silent_until = 0.0
        self.answer_delay_s = 0.0
        self.close_at_accept = 0
        self.next_cuts: Iterator[CutOrder] = iter(())
        self.accepted = self.turned_away = self.protocol_errors = 0
        self.slow_dropped = self.cuts = self.heartbeats_sent = 0
        self._selector = selector
        self._listener = listener
        self._desk = desk
        self._make_session = make_session
        self._max_clients = max_clients
        self._heartbeat_s = heartbeat_s
        self._watched_listener: socket.socket | None = None
        self._accept_again = 0.0
        self._open: dict[int, Connection] = {}
        self._draining: dict[int, Connection] = {}
        self._closed_ranges: deque[SentRange] = deque(maxlen=MAX_RANGES)
        self._closed_ticks = self._closed_bytes = 0

    @property
    def open(self) -> Iterable[Connection]:
        """Those that are connected and not about to end."""
        return self._open.values()

    @property
    def open_count(self) -> int:
        """How many of them."""
        return len(self._open)

    @property
    def ticks_sent(self) -> int:
        """Ticks in complete packets, of all connections that ever were."""
        return self._closed_ticks + sum(c.ticks_sent for c in self._live())

    @property
    def bytes_sent(self) -> int:
        """Bytes handed to sockets, of all connections that ever were."""
        return self._closed_bytes + sum(c.bytes_sent for c in self._live())

    def ranges(self) -> list[SentRange]:
        """What was sent, by connection and number."""
        ranges = [*self._closed_ranges, *(r for c in self._live() for r in c.ranges())]
        return sorted(ranges, key=lambda r: (r.connection, r.first))

    def silent(self, now: float) -> bool:
        """Whether nothing may be sent."""
        return now < self.silent_until

    def _live(self) -> list[Connection]:
        return [*self._open.values(), *self._draining.values()]

    def sweep(self, now: float) -> None:
        """Give every connection what is due, and end those whose time has come."""
        silent = self.silent(now)
        # Who holds nobody up may be as slow as it likes: that is back-pressure.
        readers = sum(bool(c.session.subscribed) for c in self._open.values())
        for connection in list(self._open.values()):
            self._guarded(connection, partial(self._serve, connection, now, silent, readers))
        for connection in list(self._draining.values()):
            if connection.drain_deadline is not None and now >= connection.drain_deadline:
                self._drop(connection)

    def _serve(self, connection: Connection, now: float, silent: bool, readers: int) -> None:
        cut = connection.cut
        if cut is not None and cut.how == "rst" and cut.bytes_left is None:
            self._end_cut(connection, now)
            return
        if not silent:
            connection.release_late(now, everything=self.answer_delay_s == 0)
            if connection.idle and now - connection.last_sent >= self._heartbeat_s:
                connection.send(wire.HEARTBEAT, now)
                self.heartbeats_sent += 1
            if not connection.blocked and connection.flush(now):
                self._end_cut(connection, now)
                return
        if cut is not None and cut.bytes_left is None and (connection.idle or now >= cut.deadline):
            self._end_cut(connection, now)
            return
        keeps_others_waiting = readers > 1 and connection.ticks_waiting and not silent
        if connection.overfull or (keeps_others_waiting and self._stalled(connection, now)):
            self.slow_dropped += 1
            log.warning("client %s does not read, dropped", connection.peer)
            self._drop(connection, reset=True)
            return
        wants = _WRITE if not silent and not connection.idle else 0
        self._watch(connection, (_READ if connection.reading else 0) | wants)

    def _stalled(self, connection: Connection, now: float) -> bool:
        """Takes nothing, or so little that one batch lasts far too long."""
        return connection.blocked and (
            now - connection.last_progress >= self.send_timeout_s
            or now - connection.ticks_waiting_since >= TRICKLE_TIMEOUTS * self.send_timeout_s
        )

    def deadline(self, now: float) -> float:
        """When `sweep` has something to do again, if nothing happens before."""
        times = [now + 60.0]
        if self._watched_listener is None and self._accept_again > now:
            times.append(self._accept_again)
        silent = self.silent(now)
        if silent:
            times.append(self.silent_until)
        for connection in self._open.values():
            if not silent:
                times.append(connection.last_sent + self._heartbeat_s if connection.idle else now + 60.0)
                if connection.next_late is not None:
                    times.append(connection.next_late)
                if connection.blocked:
                    times.append(max(now + 0.01, connection.last_progress + self.send_timeout_s))
            if connection.cut is not None and connection.cut.bytes_left is None:
                times.append(connection.cut.deadline)
        times.extend(c.drain_deadline for c in self._draining.values() if c.drain_deadline is not None)
        return min(times)

    def watch_listener(self, now: float) -> None:
        wanted = self._listener.socket if now >= self._accept_again else None
        if wanted is self._watched_listener:
            return
        if self._watched_listener is not None:
            self._selector.unregister(self._watched_listener)
        if wanted is not None:
            self._selector.register(wanted, _READ, self._on_accept)
        self._watched_listener = wanted

    def _on_accept(self, events: int) -> None:
        now = time.monotonic()
        listening = self._listener.socket
        if listening is None:
            return
        try:
            sock, address = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            # Out of descriptors or memory: the connection stays in the queue, so look again later
            # instead of spinning.
            log.warning("cannot accept: %s", error)
            self._accept_again = now + ACCEPT_PAUSE_S
            return
        self.accepted += 1
        if self.close_at_accept > 0:
            self.close_at_accept -= 1
            sock.close()
            return
        if len(self._open) >= self._max_clients:
            self.turned_away += 1
            sock.close()
            return
        number = self.accepted
        connection = Connection(number, sock, peer_text(address), self._make_session(self._desk), now)
        connection.cut = next(self.next_cuts, None)
        self._guarded(connection, partial(_prepare, sock))
        self._open[number] = connection
        log.info("client %s connected, connection %d", connection.peer, number)

    def _watch(self, connection: Connection, events: int) -> None:
        if events == connection.watched:
            return
        if connection.watched == 0:
            self._selector.register(connection.sock, events, partial(self._on_client, connection))
        elif events == 0:
            self._selector.unregister(connection.sock)
        else:
            self._selector.modify(connection.sock, events, partial(self._on_client, connection))
        connection.watched = events

    def _on_client(self, connection: Connection, events: int) -> None:
        self._guarded(connection, partial(self._exchange, connection, events))

    def _exchange(self, connection: Connection, events: int) -> None:
        if events & _WRITE:
            connection.blocked = False
        if not events & _READ:
            return
        now = time.monotonic()
        alive, answers = connection.receive()
        for answer in answers:
            if self.answer_delay_s > 0:
                connection.send_late(answer, now + self.answer_delay_s)
            elif connection.next_late is not None:
                connection.send_late(answer, now)
            else:
                connection.send(answer, now)
        if not alive:
            self._drop(connection)

    def _guarded(self, connection: Connection, work: Callable[[], None]) -> None:
        """One client's trouble ends that client's connection, never the front."""
        try:
            work()
        except wire.FrameError as error:
            self.protocol_errors += 1
            log.warning("client %s broke the protocol: %s", connection.peer, error)
            self._drop(connection)
        except OSError as error:
            log.info("client %s lost: %s", connection.peer, error)
            self._drop(connection)
        except Exception:
            log.exception("serving client %s failed, connection dropped", connection.peer)
            self._drop(connection, reset=True)

    def _end_cut(self, connection: Connection, now: float) -> None:
        order = connection.cut
        if order is None:
            return
        connection.cut = None
        self.cuts += 1
        try:
            if order.how == "rst":
                self._drop(connection, reset=True)
            else:
                self._finish(connection, now)
        finally:
            order.done()

    def _finish(self, connection: Connection, now: float) -> None:
        """FIN, then read on until the client closes: closing with unread input would send RST, and that
        destroys what the client has not yet read."""
        connection.finish_sending()
        connection.drain_deadline = now + DRAIN_S
        del self._open[connection.number]
        self._draining[connection.number] = connection
        self._watch(connection, _READ)
        if len(self._draining) > MAX_DRAINING:
            self._drop(next(iter(self._draining.values())))

    def _drop(self, connection: Connection, *, reset: bool = False) -> None:
        self._open.pop(connection.number, None)
        self._draining.pop(connection.number, None)
        if connection.sock.fileno() < 0:
            return
        self._watch(connection, 0)
        connection.close(reset=reset)
        self._closed_ranges.extend(connection.ranges())
        self._closed_ticks += connection.ticks_sent
        self._closed_bytes += connection.bytes_sent
        if connection.cut is not None:
            order, connection.cut = connection.cut, None
            order.done()
        log.info("connection %d closed", connection.number)

    def close_all(self, quiet: Callable[[], None]) -> None:
        """Stop listening, FIN to everybody, up to a second for them to close, then the end of every
        socket. *quiet* is called when a socket that is not a client's becomes readable."""
        now = time.monotonic()
        self._listener.close()
        self.watch_listener(now)
        for connection in list(self._open.values()):
            self._guarded(connection, partial(self._finish, connection, now))
        end = now + STOP_GRACE_S
        while self._draining and time.monotonic() < end:
            for key, events in self._selector.select(max(0.0, end - time.monotonic())):
                if isinstance(key.data, partial):
                    key.data(events)
                else:
                    quiet()
        for connection in list(self._draining.values()):
            self._drop(connection)


def _prepare(sock: socket.socket) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A client whose machine is gone sends no FIN; the probes find out.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
