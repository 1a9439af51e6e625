"""Faults of a trading front at exact moments of a session: between which two messages, in the middle of which.

A fault waits for its moment; the moments are counted from when it was armed, over all connections.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Moment = Literal["login", "logged_in", "order", "order_lost", "action", "action_lost", "return", "resume", "query"]
"""When a connection can be cut.

=============  ==================================================================================
login          a login request has come; it is not answered
logged_in      the answer to a login has been sent, before the flows
order          an order has come and is carried out; nothing of it is sent before the cut
order_lost     an order has come and is forgotten, as if it had been lost on the way
action         a cancellation has come and is carried out
action_lost    a cancellation has come and is forgotten
return         a private message is to be sent, whatever it is
resume         a private message that was owed at the login is to be sent
query          a query has come; it is not answered
=============  ==================================================================================
"""
MOMENTS: tuple[str, ...] = get_args(Moment)


@dataclass
class CutAt:
    """End the connection at a moment.

    Attributes:
        after: how many such moments pass before.
        inside: at `return` and `resume`: how many bytes of that message still leave; 0 none.
        outage_s: connections are refused for so long afterwards.
    """

    moment: str
    after: int = 0
    how: Literal["fin", "rst"] = "fin"
    inside: int = 0
    outage_s: float = 0.0

    def __post_init__(self) -> None:
        if self.moment not in MOMENTS:
            raise ValueError(f"moment '{self.moment}': must be one of {', '.join(MOMENTS)}")
        if self.how not in ("fin", "rst"):
            raise ValueError(f"cut '{self.how}': must be 'fin' or 'rst'")
        for name in ("after", "inside", "outage_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"cut {name} {getattr(self, name)}: must not be negative")
        if self.inside and self.moment not in ("return", "resume"):
            raise ValueError(f"a cut inside a message is possible at 'return' and 'resume', not at '{self.moment}'")


class Script:
    """The faults that wait for their moment, in the order in which they were armed."""

    def __init__(self) -> None:
        self._waiting: list[CutAt] = []
        self.happened = 0

    @property
    def waiting(self) -> int:
        """Faults that have not happened yet."""
        return len(self._waiting)

    def arm(self, cut: CutAt) -> None:
        """Have *cut* happen."""
        self._waiting.append(cut)

    def clear(self) -> None:
        """Forget all that waits."""
        self._waiting.clear()

    def due(self, *moments: Moment) -> CutAt | None:
        """It is one of *moments*: the cut that this brings, if any."""
        for cut in self._waiting:
            if cut.moment in moments:
                if cut.after > 0:
                    cut.after -= 1
                    continue
                self._waiting.remove(cut)
                self.happened += 1
                return cut
        return None
