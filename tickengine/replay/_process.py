"""The replay process: opens the files, plays them into the log, and takes commands."""

from __future__ import annotations

import ctypes as ct
import functools
import logging
import shutil
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from .. import _segments
from .._child import Child, ChildOrders, Reporter, child_main, redirect_output
from .._shim import lib, new_handle
from .._watchdog import Pulse
from ..log import TickLog
from .days import Selection, open_days
from .player import Manner, Player

logger = logging.getLogger("tickengine")


@dataclass(frozen=True, kw_only=True)
class Orders(ChildOrders):
    """What the supervisor hands over."""

    files: tuple[str, ...]
    wanted: Selection
    manner: Manner
    log_path: bytes
    queue_paths: tuple[bytes, ...]
    directory: str


def replay_main(connection: Connection, beats: Connection, orders: Orders) -> None:
    """Runs in the spawned process, and ends it."""
    child_main(functools.partial(_ReplayChild, orders), connection, beats, orders)


class _Playing(Player):
    """Says when it has played everything: nobody else would end the process then."""

    def __init__(self, child: _ReplayChild, *args: Any) -> None:
        super().__init__(*args)
        self._child = child

    def run(self) -> None:
        super().run()
        self._child.played()


class _ReplayChild(Child):
    def __init__(self, orders: Orders, connection: Connection, reporter: Reporter, pulse: Pulse) -> None:
        super().__init__(connection, reporter, pulse)
        self._orders = orders

    def begin(self) -> tuple[Player, str]:
        orders = self._orders
        redirect_output(orders.directory + "/")
        self._log = log = TickLog(_segments.attach_log_handle(orders.log_path), orders.log_path)
        days = open_days(orders.files, orders.wanted, lambda size: self.reporter.send("read", size))
        own = []
        for path in orders.queue_paths:
            handle = new_handle()
            lib().queue_attach(path, ct.byref(handle))
            own.append(handle)
        player = _Playing(self, days, orders.manner, log, own)
        signal.signal(signal.SIGUSR1, lambda *_: player.pause())
        signal.signal(signal.SIGUSR2, lambda *_: player.resume())
        return player, "replay"

    def played(self) -> None:
        """From the session's thread, which wakes the main thread behind it."""
        self._stop = True

    def command(self, session: Player, name: str, argument: Any) -> None:
        if name == "pause":
            session.pause()
        elif name == "resume":
            session.resume()
        elif name == "seek":
            session.seek(argument)
        elif name == "step":
            session.step(argument)
        elif name == "speed":
            session.set_speed(argument)

    def end(self, _session: Player) -> None:
        self._log.end()

    def tidy(self) -> None:
        self._log.unlink()
        for path in self._orders.queue_paths:
            _segments.unlink(path)
        shutil.rmtree(self._orders.directory, ignore_errors=True)
