"""The queues that a feed from a configuration has for itself, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

RECORDER, EVENTS = "recorder", "events"


def own_queue(engine: str, what: str) -> str:
    """``NAME.recorder``, ``NAME.events``; of 48 characters at most, as every name."""
    return f"{engine[: 47 - len(what)]}.{what}"


def without_events(engine: str, queues: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """*queues* but for the one that the JSON log's events come by. It sleeps from event to event: its lag says
    nothing, and no worker of the user's is behind it."""
    own = own_queue(engine, EVENTS)
    return [queue for queue in queues if queue["name"] != own]
