"""One vendor api in a process of its own, driven over a pipe: what the tests see of a library's behaviour."""

from __future__ import annotations

import ctypes as ct
import os
import tempfile
import time
from multiprocessing.connection import Connection
from typing import Any

from feed_support import receive

from tickengine import _segments, vendor
from tickengine._errors import TickEngineError
from tickengine._shim import lib, new_handle
from tickengine.callbacks import call_of
from tickengine.config import settings
from tickengine.log import TickLog
from tickengine.vendor_api import VendorApi

BROKER, INVESTOR = "9999", "investor"


def run_api(path: str, address: str, connection: Connection) -> None:
    """The process. Sends ``("is", Vendor)`` or ``("refused", text)``, then ``("call", name, arguments)`` for
    each callback; takes ``(method, *arguments)`` of `VendorApi`, answered by ``("rc", value)``,
    ``("release",)``, answered by ``("released", threads left)``, and ``("leave",)``."""
    connection.send("ready")
    try:
        found = vendor.probe(path)
    except TickEngineError as error:
        connection.send(("refused", str(error)))
        return
    connection.send(("is", found))
    log = TickLog.create(_segments.random_name("one"), 1024)
    writer = new_handle()
    lib().writer_open(log.handle, True, ct.byref(writer))
    config = settings(
        md_server=address, broker_id=BROKER, investor_id=INVESTOR, password="pass-word-1", app_id="app",
        auth_code="auth", instrument_id_list=["rb2601"],
    )  # fmt: skip
    threads = _threads()
    with tempfile.TemporaryDirectory() as flow:
        api = VendorApi(config, path, flow + "/", writer)
        api.init()
        if not _serve(api, connection):
            log.unlink()
            os._exit(0)
        api.release()
        deadline = time.monotonic() + 30  # a thread that has been joined may still be listed for a moment
        while _threads() > threads and time.monotonic() < deadline:
            time.sleep(0.002)
        connection.send(("released", _threads() - threads))
    lib().writer_close(writer)
    log.unlink()
    log.close()


def _serve(api: VendorApi, connection: Connection) -> bool:
    """True to release, False to leave without."""
    while True:
        callback = api.next_callback(0.02)
        if callback is not None:
            connection.send(("call", *call_of(callback)))
        if connection.poll():
            method, *arguments = connection.recv()
            if method in ("release", "leave"):
                return method == "release"
            connection.send(("rc", getattr(api, method)(*arguments)))


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


class Api:
    """The test's end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        """Callbacks that nobody has asked for yet, in order."""

    def facts(self) -> vendor.Vendor | str:
        """What the library is, or why it was refused. Once, first."""
        return receive(self._connection)[1]

    def call(self) -> tuple[str, tuple[Any, ...]]:
        """The next callback: name and arguments."""
        if not self.calls:
            self._receive("call")
        return self.calls.pop(0)

    def request(self, method: str, *arguments: Any) -> Any:
        """A request of `VendorApi`; its return value."""
        self._connection.send((method, *arguments))
        return self._receive("rc")

    def release(self) -> int:
        """Release; returns how many of the library's threads are left."""
        self._connection.send(("release",))
        left: int = self._receive("released")
        return left

    def leave(self) -> None:
        """End the process without Release."""
        self._connection.send(("leave",))

    def _receive(self, what: str) -> Any:
        while True:
            kind, *content = receive(self._connection, 60)
            if kind == "call":
                self.calls.append((content[0], content[1]))
            if kind == what:
                return content[0]
