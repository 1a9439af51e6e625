"""What a front has done so far: plain records, safe to keep and to send to another process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SentRange:
    """Running numbers *first* to *stop - 1*: those of them whose instrument is in *instruments* were
    handed to the socket of connection number *connection* in complete packets."""

    connection: int
    first: int
    stop: int
    instruments: frozenset[str]


@dataclass(frozen=True)
class ClientStats:
    """One open connection."""

    connection: int
    peer: str
    logged_in: bool
    user: str
    subscribed: frozenset[str]
    for_quotes: frozenset[str]
    ticks_sent: int
    queued_bytes: int


@dataclass(frozen=True)
class FrontStats:
    """A consistent snapshot of a front's counters. Everything but `clients` counts from the start."""

    connections: int
    """Connections accepted, those that were closed at once included."""
    connections_refused: int
    """Connections closed at once because `max_clients` were open."""
    open_clients: int
    logins: int
    logins_refused: int
    logouts: int
    heartbeats_received: int
    heartbeats_sent: int
    protocol_errors: int
    """Connections ended because the client broke the framing."""
    slow_clients_dropped: int
    cuts: int
    """Connections that were ended by `cut`."""
    next_number: int
    """Running number of the next tick of the market."""
    ticks_sent: int
    """Ticks handed to sockets in complete packets, summed over connections."""
    bytes_sent: int
    listening: bool
    paused: bool
    finished: bool
    """`count` ticks were made and nothing of them is still waiting here."""
    failure: str | None
    """Why publishing has stopped for good: the error of a market."""
    clients: tuple[ClientStats, ...]
    sent_ranges: tuple[SentRange, ...]
    """By connection, oldest first; those of the newest 100,000 ranges."""

    def summary(self) -> str:
        """The most telling counters in one line."""
        return (
            f"clients {self.open_clients}  connections {self.connections}  logins {self.logins}  "
            f"refused {self.logins_refused}  ticks {self.ticks_sent}  next {self.next_number}  "
            f"cuts {self.cuts}  dropped {self.slow_clients_dropped}"
        )
