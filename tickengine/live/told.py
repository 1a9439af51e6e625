"""How far a strategy has been told what its journal says, kept where its next run finds it."""

from __future__ import annotations

import os
import struct
from bisect import bisect_left

from .._errors import ConfigError
from ..trader.journal import TradeLog

_FORM = struct.Struct("<QQ")  # the journal's id, the first record that has not been told


class Told:
    """The first record that has not been told. This one does not outlive the process: for paper trading."""

    def __init__(self) -> None:
        self.next = 0

    def up_to(self, sequence: int) -> None:
        """Everything before the record *sequence* has been told."""
        self.next = sequence

    def close(self) -> None:
        """Nothing is told any more."""


class ToldFile(Told):
    """The same in a file. It is written after each record, so that a kill leaves at most one to be told again.

    For a journal that the file does not know, what was in it before this run is no news.

    Args:
        path: the file, made if it is not there.
        journal: the journal, whose trader has been started.

    Raises:
        ConfigError: the file cannot be used.
    """

    def __init__(self, path: str, journal: TradeLog) -> None:
        super().__init__()
        info = journal.info()
        # A loss of power can cost the newest records: this run's are news, whatever the file says.
        began = bisect_left(range(info.head), info.epoch, key=lambda n: journal.read(n, n + 1)[0].epoch)
        self._journal = info.unique_id
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            kept = os.pread(self._fd, _FORM.size, 0)
            known, told = _FORM.unpack(kept) if len(kept) == _FORM.size else (0, 0)
            self.up_to(min(told, began) if known == self._journal else began)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None

    def up_to(self, sequence: int) -> None:
        """Everything before the record *sequence* has been told."""
        self.next = sequence
        os.pwrite(self._fd, _FORM.pack(self._journal, sequence), 0)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._fd)
