"""What has been asked for, and what the front has said to it on this connection."""

from __future__ import annotations

from collections.abc import Iterable


class Subscriptions:
    """The book of subscriptions. Pure bookkeeping: it sends nothing and knows no time.

    ``asked`` outlives connections: it is everything subscribed so far and not taken back. Of those,
    on the present connection, ``pending`` have been sent and not answered, ``acknowledged`` and
    ``refused`` (with the front's ErrorID) have been answered.
    """

    def __init__(self, instruments: Iterable[bytes]) -> None:
        self.asked: dict[bytes, None] = dict.fromkeys(instruments)
        self.pending: dict[bytes, None] = {}
        self.acknowledged: set[bytes] = set()
        self.refused: dict[bytes, int] = {}

    def forget_connection(self) -> None:
        """A new connection knows nothing of the old one's subscriptions."""
        self.pending.clear()
        self.acknowledged.clear()
        self.refused.clear()

    def add(self, instruments: Iterable[bytes]) -> None:
        self.asked.update(dict.fromkeys(instruments))

    def remove(self, instruments: Iterable[bytes]) -> list[bytes]:
        """Take back; returns those that had been asked for."""
        known = [i for i in instruments if i in self.asked]
        for i in known:
            del self.asked[i]
            self.pending.pop(i, None)
            self.refused.pop(i, None)
            self.acknowledged.discard(i)
        return known

    def missing(self) -> list[bytes]:
        """Asked for, and neither sent nor answered on this connection."""
        return [i for i in self.asked if i not in self.pending and i not in self.acknowledged and i not in self.refused]

    def sent(self, instruments: Iterable[bytes]) -> None:
        self.pending.update(dict.fromkeys(instruments))

    def answered(self, instrument: bytes, error_id: int) -> bool:
        """Note an answer. False if the instrument is not (or no longer) asked for."""
        self.pending.pop(instrument, None)
        if instrument not in self.asked:
            return False
        if error_id == 0:
            self.acknowledged.add(instrument)
            self.refused.pop(instrument, None)
        else:
            self.acknowledged.discard(instrument)
            self.refused[instrument] = error_id
        return True

    def give_up_pending(self) -> int:
        """Treat what was not answered as not sent; returns how many."""
        count = len(self.pending)
        self.pending.clear()
        return count

    def forget_refusals(self) -> None:
        """What was refused is missing again."""
        self.refused.clear()

    @property
    def complete(self) -> bool:
        """True when every instrument asked for has been answered."""
        return not self.pending and len(self.acknowledged) + len(self.refused) >= len(self.asked)
