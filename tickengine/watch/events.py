"""The log's events as log lines with fields: each connection, login and refusal, in its order."""

from __future__ import annotations

import logging
import threading

from .._errors import Closed, ShimError
from ..queue import TickQueue
from ..tick import Event
from .jsonlog import FIELDS
from .own import EVENTS, own_queue

logger = logging.getLogger("tickengine.events")

NO_INSTRUMENT = "(events only)"
"""An id that no instrument has. A sleeping queue that asks for it alone is not woken for a tick."""

_WARNINGS = frozenset(
    {
        *("front_disconnected", "heartbeat_warning", "login_refused", "subscribe_refused", "error", "engine_lost"),
        *("ack_overdue", "login_overdue", "stale"),
    }
)


def level_of(event: Event) -> int:
    """How loud."""
    if event.name == "gave_up":
        return logging.ERROR
    return logging.WARNING if event.name in _WARNINGS else logging.INFO


def fields_of(event: Event) -> dict[str, object]:
    """What an event says beside its words: ``event``, ``sequence``, ``recv_time_ns``, and what it has of
    ``reason``, ``error_id``, ``value``, ``epoch``, ``text``."""
    fields: dict[str, object] = {
        "event": event.name,
        "sequence": event.Sequence,
        "recv_time_ns": event.RecvTime,
        "epoch": event.Epoch,
    }
    more = {"reason": event.Reason, "error_id": event.ErrorID, "value": event.Value, "text": event.Text}
    return {**fields, **{name: value for name, value in more.items() if value}}


def event_queue(engine: str) -> TickQueue:
    """For the ``md_queue_list`` of the engine of that name, and then for an `EventLogger`."""
    return TickQueue([NO_INSTRUMENT], start="oldest", events=True, wait="block", name=own_queue(engine, EVENTS))


class EventLogger:
    """A thread that logs the events of a queue until its engine has ended.

    It is one more reader of the log, asleep between events.

    Args:
        queue: as `event_queue` makes it, given to an engine.
    """

    def __init__(self, queue: TickQueue) -> None:
        self._queue = queue
        self._thread = threading.Thread(target=self._run, name="tickengine-events", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for event in self._queue:
                if isinstance(event, Event):
                    logger.log(level_of(event), "%s", event.words, extra={FIELDS: fields_of(event)})
        except Closed:
            pass  # `close`
        except ShimError:
            logger.exception("events are logged no more")

    def close(self, timeout: float = 5.0) -> None:
        """Wait until all is logged and the engine has ended, *timeout* seconds at most, and close the queue."""
        self._thread.join(timeout)
        self._queue.close()
        self._thread.join(timeout)
