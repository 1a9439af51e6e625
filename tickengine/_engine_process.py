"""The engine process: one market-data api, its session, and nothing else."""

from __future__ import annotations

import functools
import logging
import shutil
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from . import _segments, placement, vendor
from ._child import Child, ChildOrders, Reporter, child_main, redirect_output
from ._errors import ConfigError
from ._watchdog import Pulse
from .config import Settings
from .flow import FlowDirectory
from .log import TickLog
from .session import Session

logger = logging.getLogger("tickengine")


@dataclass(frozen=True, kw_only=True)
class Orders(ChildOrders):
    """What the supervisor hands over."""

    settings: Settings
    library: str
    log_path: bytes
    queue_paths: tuple[bytes, ...]
    temporary_flow: bool


def engine_main(connection: Connection, beats: Connection, orders: Orders) -> None:
    """Runs in the spawned process, and ends it."""
    child_main(functools.partial(_Engine, orders), connection, beats, orders)


class _Engine(Child):
    def __init__(self, orders: Orders, connection: Connection, reporter: Reporter, pulse: Pulse) -> None:
        super().__init__(connection, reporter, pulse)
        self._orders = orders

    def begin(self) -> tuple[Session, str]:
        config = self._orders.settings
        placement.keep_off(config.cpus, config.realtime)
        self._flow = flow = FlowDirectory(config.page_dir)
        redirect_output(flow.path)
        self._log = log = TickLog(_segments.attach_log_handle(self._orders.log_path), self._orders.log_path)
        found = vendor.probe(self._orders.library, override_version=config.vendor_version)
        vendor.warn_of_doubts(found, config.production, config.vendor_version)
        session = Session(config, self._orders.library, flow.path, log)
        session.start()
        return session, session.api_version

    def command(self, session: Session, name: str, argument: Any) -> None:
        if name == "subscribe":
            session.post(functools.partial(self._subscribe, session, argument))
        elif name == "unsubscribe":
            session.post(functools.partial(session.unsubscribe, argument))

    def _subscribe(self, session: Session, ids: list[bytes]) -> None:
        try:
            session.subscribe(ids)
        except ConfigError as error:
            self.reporter.send("unfit", ids)
            logger.error("subscribe: %s; none of its %d instruments is subscribed", error, len(ids))

    def end(self, _session: Session) -> None:
        self._log.end()
        self._flow.close()

    def tidy(self) -> None:
        self._log.unlink()
        for path in self._orders.queue_paths:
            _segments.unlink(path)
        if self._orders.temporary_flow:
            shutil.rmtree(self._orders.settings.page_dir, ignore_errors=True)
