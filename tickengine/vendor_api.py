"""The vendor's MdApi as an object: requests, callbacks, release. ctypes stops here."""

from __future__ import annotations

import ctypes as ct
import functools
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from . import _shim, placement
from ._secret import Secret
from ._shim import Callback_, VendorInfo, lib, new_handle
from .config import Settings

logger = logging.getLogger("tickengine")

RELEASE_LIMIT_S = 5.0
_SUBSCRIPTIONS = {
    _shim.SUBSCRIBE: "SubscribeMarketData",
    _shim.UNSUBSCRIBE: "UnSubscribeMarketData",
    _shim.SUBSCRIBE_QUOTE: "SubscribeForQuoteRsp",
    _shim.UNSUBSCRIBE_QUOTE: "UnSubscribeForQuoteRsp",
}
NOT_CONNECTED = -1  # the vendor's own code for a request without a connection


class VendorApi:
    """One api of a vendor library, with its fronts registered. Requests return the vendor's code.

    Args:
        writer: the shim's writer; ticks and connection events go to its log on the vendor's thread.

    Raises:
        VendorLibraryError, ConfigError: the library or the flow directory cannot be used.
        ConfigError, EngineError: ``settings.cpus`` and ``settings.realtime`` cannot be had.
    """

    def __init__(self, settings: Settings, library: str, flow_path: str, writer: ct.c_void_p) -> None:
        self._md = new_handle()
        self._released = False
        self._waking = threading.Lock()
        self.call = ""  # the library's function that a thread is in, for words about a hang
        self._descriptors = Descriptors(flow_path)
        self._placed = functools.partial(placement.inherited, settings.cpus, settings.realtime)
        with self._placed():
            lib().md_create(
                os.fsencode(library),
                settings.vendor_version.encode(),
                os.fsencode(flow_path),
                settings.using_udp,
                settings.multicast,
                settings.production,
                writer,
                ct.byref(self._md),
            )
        try:
            for front in settings.fronts:
                lib().md_register_front(self._md, front.encode())
        except BaseException:
            self.release()
            raise
        info = VendorInfo()
        lib().md_info(self._md, ct.byref(info))
        self.version: str = info.version.decode("ascii", "replace").strip()

    def init(self) -> None:
        """Connect, in the background."""
        with self._placed(), self._calling("Init"):
            lib().md_init(self._md)

    @contextmanager
    def _calling(self, function: str) -> Iterator[None]:
        self.call = function
        try:
            yield
        finally:
            self.call = ""

    def next_callback(self, timeout: float) -> Callback_ | None:
        """The next rare callback, None when *timeout* seconds are over or `wake` was called. Blocks."""
        callback = Callback_()
        return callback if lib().md_next(self._md, int(timeout * 1e9), ct.byref(callback)) else None

    def wake(self) -> None:
        """Never blocks, whatever the library does."""
        with self._waking:
            if not self._released:
                lib().md_wake(self._md)

    def login(self, broker_id: str, investor_id: str, password: Secret, request_id: int) -> int:
        rc = ct.c_int32()
        with self._calling("ReqUserLogin"), password.buffer() as text:
            lib().md_login(self._md, broker_id.encode(), investor_id.encode(), text, b"", request_id, ct.byref(rc))
        return rc.value

    def logout(self, broker_id: str, investor_id: str, request_id: int) -> int:
        rc = ct.c_int32()
        with self._calling("ReqUserLogout"):
            lib().md_logout(self._md, broker_id.encode(), investor_id.encode(), request_id, ct.byref(rc))
        return rc.value

    def subscription(self, what: int, ids: Sequence[bytes]) -> int:
        """*what*: one of ``_shim.SUBSCRIBE, UNSUBSCRIBE, SUBSCRIBE_QUOTE, UNSUBSCRIBE_QUOTE``."""
        rc = ct.c_int32()
        with self._calling(_SUBSCRIPTIONS[what]):
            lib().md_subscribe(self._md, what, _shim.id_array(list(ids)), len(ids), ct.byref(rc))
        return rc.value

    def query_multicast(self, topic_id: int, instrument_id: str, request_id: int) -> int:
        rc = ct.c_int32()
        lib().md_query_multicast(self._md, topic_id, instrument_id.encode(), request_id, ct.byref(rc))
        return rc.value

    def trading_day(self) -> str:
        buffer = ct.create_string_buffer(16)
        lib().md_trading_day(self._md, buffer, len(buffer))
        return buffer.value.decode("ascii", "replace")

    def close_on_exec(self) -> None:
        """Keep the vendor's socket and flow files from programs that this process starts."""
        self._descriptors.close_on_exec()

    def release(self) -> None:
        """Give the api back. Blocks some milliseconds; can be repeated.

        On a thread that is left behind should the library never return: that has been seen.
        """
        with self._waking:
            if self._released:
                return
            self._released = True
        if release_aside(lib().md_release, self._md):
            lib().md_free(self._md)


def release_aside(release: Callable[[ct.c_void_p], None], handle: ct.c_void_p) -> bool:
    """Release on a thread of its own. False: it has not returned in time and is left behind, with the handle."""
    thread = threading.Thread(target=release, args=(handle,), name="tickengine-release", daemon=True)
    thread.start()
    thread.join(RELEASE_LIMIT_S)
    if thread.is_alive():
        logger.error("the vendor library's Release has not returned for %g s; it is left behind", RELEASE_LIMIT_S)
    return not thread.is_alive()


class Descriptors:
    """What a vendor library opens, told from what was open before it was there."""

    def __init__(self, flow_path: str) -> None:
        self._flow_path = flow_path
        self._known = frozenset(_inheritable_descriptors())

    def close_on_exec(self) -> None:
        """Keep the vendor's socket and flow files from programs that this process starts."""
        try:
            found = _inheritable_descriptors()
        except OSError as error:  # no descriptor is left to look with; the connection stands all the same
            logger.warning("the vendor library's descriptors could not be looked at: %s", error.strerror)
            return
        for fd in found:
            if fd <= 2 or fd in self._known:
                continue
            try:
                if os.readlink(f"/proc/self/fd/{fd}").startswith(("socket:", self._flow_path)):
                    os.set_inheritable(fd, False)
            except OSError:
                continue  # closed meanwhile


def _inheritable_descriptors() -> list[int]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:
            continue  # the listing's own descriptor is closed by now
    return found
