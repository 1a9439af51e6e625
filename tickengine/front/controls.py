"""The controls of a front: one set of methods, whether the front lives in this process or another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from numpy.typing import NDArray

from tickengine.front import fields
from tickengine.front.faults import checked_seconds
from tickengine.front.garbage import GARBAGE
from tickengine.front.pace import make_pace
from tickengine.front.pushed import tick_records
from tickengine.front.stats import FrontStats

Ticks = NDArray[Any] | Mapping[str, Any] | Sequence[Mapping[str, Any]]
CALL_TIMEOUT_S = 30.0


def _check_cut(how: str, counted: str = "sent") -> None:
    if how not in ("fin", "rst"):
        raise ValueError(f"cut '{how}': must be 'fin' or 'rst'")
    if counted not in ("sent", "received"):
        raise ValueError(f"cut after bytes '{counted}': must be 'sent' or 'received'")


class Controls:
    """May be called from any thread while the front runs. Every call returns after the front has carried
    it out, and raises RuntimeError when the front does not run and TimeoutError when it does not answer.
    """

    def _control(self, name: str, *args: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        raise NotImplementedError

    def pause(self) -> None:
        """Publish nothing until `resume`; answers and heartbeats go on."""
        self._control("pause")

    def resume(self) -> None:
        """End a `pause`. What would have been due meanwhile is not made up for."""
        self._control("resume")

    def pace(
        self, *, rate: float | None = None, burst: tuple[int, float] | None = None, flat_out: bool = False
    ) -> None:
        """Publish at this pace from now on, as a `Front` made with these arguments would. Running numbers go
        on; what is left of a burst is not sent.

        Raises:
            ValueError: more than one of them, or a number that makes no sense.
        """
        self._control("pace", make_pace(rate, burst, flat_out, 0))

    def cut(
        self,
        how: Literal["fin", "rst"] = "fin",
        *,
        after_bytes: int | None = None,
        connection: int | None = None,
    ) -> int:
        """End every open connection, or the one numbered *connection*; return how many.

        "fin": everything in `sent_ranges` still reaches a client that reads: the front waits, without
        sending, up to 60 s for the client to close. It comes between two batches, or in the middle of
        one if the client has not taken it within the send timeout. "rst": at once; what is under way is
        lost. With *after_bytes* the call returns at once and each connection ends when that many more
        bytes of the market's ticks have been handed to its socket, in the middle of a packet if so.

        Raises:
            ValueError: unknown *how*, negative *after_bytes*.
        """
        _check_cut(how)
        if after_bytes is not None and after_bytes < 0:
            raise ValueError(f"cut after {after_bytes} bytes: must not be negative")
        done: int = self._control("cut", how, after_bytes, connection)
        return done

    def cut_next(
        self,
        after: int | Iterable[int],
        how: Literal["fin", "rst"] = "fin",
        *,
        counted: Literal["sent", "received"] = "sent",
    ) -> None:
        """End each connection accepted from now on after exactly so many bytes, in the middle of whatever
        it is. A number: every connection after that many; several: one for each of the next connections,
        those after them stay whole. No numbers end it; open connections keep their order.

        *counted* "sent": bytes handed to the socket, answers, ticks and heartbeats. "received": bytes read
        from the client; what they complete is answered before the end, what follows them is never read.

        Raises:
            ValueError: unknown *how* or *counted*, a negative number.
        """
        _check_cut(how, counted)
        given = after if isinstance(after, int) else tuple(int(position) for position in after)
        for position in (given,) if isinstance(given, int) else given:
            if position < 0:
                raise ValueError(f"cut after {position} bytes: must not be negative")
        self._control("cut_next", given, how, counted)

    def silence(self, seconds: float) -> None:
        """Send nothing at all for *seconds*, not even heartbeats; answers of that time leave after it.
        0 ends a silence."""
        self._control("silence", checked_seconds(seconds, "silence"))

    def send_garbage(self, kind: str) -> int:
        """Send every open connection bytes that are no good (see `GARBAGE`); return to how many.

        Raises:
            ValueError: unknown *kind*.
        """
        if kind not in GARBAGE:
            raise ValueError(f"garbage '{kind}': must be one of {', '.join(sorted(GARBAGE))}")
        return self.send_raw(GARBAGE[kind])

    def send_raw(self, data: bytes) -> int:
        """Send *data* as it is to every open connection, between two packets; return to how many."""
        done: int = self._control("send_raw", bytes(data))
        return done

    def push(self, ticks: Ticks, *, compress: bool = False) -> int:
        """Send these ticks to every client that is logged in, whatever it has subscribed; return to how
        many. They have no running number and appear in no count of ticks.

        *ticks*: one mapping of vendor names to values, several, or a structured array with vendor names;
        absent members are zero. Text is taken byte for byte, so a full member has no terminating zero.
        With *compress* the packets are compressed as a real front does it.

        Raises:
            ValueError: a member that a tick does not have, or a text that is too long.
        """
        done: int = self._control("push", tick_records(ticks), compress)
        return done

    def for_quote(self, instrument: str) -> int:
        """Send a request for quotes to those subscribed to it for this instrument; return to how many."""
        done: int = self._control("for_quote", instrument.encode("ascii")[: fields.INSTRUMENT_BYTES])
        return done

    def refuse_logins(self, error_id: int = 3, times: int | None = None) -> None:
        """Refuse the next *times* logins, or all, with *error_id*; `times=0` accepts them again."""
        self._control("refuse_logins", error_id, times)

    def login_without_info(self, times: int | None = None) -> None:
        """Answer the next *times* logins, or all, without RspInfo: the vendor library then calls nothing.
        `times=0` ends this and the next two."""
        self._control("login_missing", "info", times)

    def login_without_session(self, times: int | None = None) -> None:
        """Answer the next *times* logins, or all, with RspInfo alone."""
        self._control("login_missing", "session", times)

    def login_without_answer(self, times: int | None = None) -> None:
        """Do not answer the next *times* logins, or all. They count as logins."""
        self._control("login_missing", "answer", times)

    def delay_answers(self, seconds: float) -> None:
        """Send every answer *seconds* after its request; 0 ends it, and what still waits leaves at once."""
        self._control("delay_answers", checked_seconds(seconds, "delay of answers"))

    def acknowledge_only(self, ids: int | None) -> None:
        """From now on, of what a connection subscribes, accept and acknowledge the first *ids* ids and
        treat the others as lost on the way: no answer, no ticks. None ends it."""
        if ids is not None and ids < 0:
            raise ValueError(f"acknowledge only {ids}: must not be negative")
        self._control("acknowledge_only", ids)

    def refuse_subscription(self, patterns: Iterable[str], error_id: int = 16) -> None:
        """Refuse ids that match one of the shell-like *patterns*; no patterns ends it. What is already
        subscribed stays."""
        wanted = (patterns,) if isinstance(patterns, str) else tuple(patterns)
        self._control("refuse_subscription", wanted, error_id)

    def refuse_connections(self, how: bool | float = True) -> None:
        """True: stop listening, so that connecting is refused; open connections go on. False: listen
        again at the same port. A number: stop for that many seconds."""
        if not isinstance(how, bool):
            how = checked_seconds(how, "refuse connections")
        self._control("refuse_connections", how)

    def accept_and_close(self, times: int) -> None:
        """Accept the next *times* connections and close each at once; 0 ends it."""
        self._control("accept_and_close", times)

    def stats(self) -> FrontStats:
        """Everything counted so far; also after `stop`."""
        stats: FrontStats = self._control("stats")
        return stats

    def wait_until(
        self,
        *,
        timeout: float,
        connections: int = 0,
        logins: int = 0,
        subscribers: int = 0,
        subscriber_ids: int = 1,
        ticks_sent: int = 0,
        next_number: int = 0,
        max_open_clients: int | None = None,
        finished: bool = False,
    ) -> FrontStats:
        """Wait until all of this is true, and return the counters of that moment: at least so many
        connections and logins since the start, clients with at least *subscriber_ids* subscribed ids,
        ticks handed to sockets, running number; at most *max_open_clients* open; `count` reached.

        Raises:
            TimeoutError: not within *timeout* seconds; the text holds the counters.
        """
        goal = {
            "connections": connections,
            "logins": logins,
            "subscribers": subscribers,
            "subscriber_ids": subscriber_ids,
            "ticks_sent": ticks_sent,
            "next_number": next_number,
            "max_open_clients": max_open_clients,
            "finished": finished,
        }
        stats: FrontStats = self._control("wait_until", goal, timeout_s=timeout)
        return stats
