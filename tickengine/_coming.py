"""An engine that is not there yet: it is looked for again and again."""

from __future__ import annotations

from ._errors import NotFoundError, SegmentError
from .log import TickLog

_MOST_DAMAGED = 10


class Coming:
    """Looks for the log of that name; call `look` now and then."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._damaged = 0

    def look(self) -> TickLog | None:
        """None: it is not there. Raises `SegmentError` for one that has been damaged for ten looks."""
        try:
            log = TickLog.attach(self._name)
        except NotFoundError:
            log = None
        except SegmentError:  # or one that is just being made
            self._damaged += 1
            if self._damaged > _MOST_DAMAGED:
                raise
            return None
        self._damaged = 0
        return log
