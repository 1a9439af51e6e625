"""`MdApi`: the CTP market-data api in this process, shaped as AlgoPlus's users know it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import _segments, vendor
from ._checks import check_instruments
from ._errors import Closed
from ._inprocess import InProcessApi, own_signature
from ._secret import Secret, checked, hidden
from .config import MAX_PASSWORD, settings
from .flow import FlowDirectory
from .forward import check_queue_list, place_for, start_forwarder
from .log import DEFAULT_CAPACITY, TickLog
from .products import OwnHours
from .queue import TickQueue
from .session import Session


class MdApi(InProcessApi):
    """Market data in this process: connects, logs in and subscribes by itself, again after every cut.

    Subclass it and override callbacks. They run on threads of Python's own, never on the vendor's:
    ticks on one (read from the log), the others on another. A subclass that does not override
    `OnRtnDepthMarketData` pays no Python per tick. An exception in a callback is reported with its
    traceback and the feed goes on.

    Args:
        md_server: ``tcp://host:port`` or ``host:port``; several: a list, or separated by commas.
        broker_id, investor_id, password: for the login.
        app_id, auth_code: kept for AlgoPlus's order of arguments; the market-data login has no use for them.
        instrument_id_list: what to subscribe, ``str`` or ``bytes``.
        md_queue_list: any mix of `TickQueue`, ``faster_fifo.Queue`` and what has ``put_nowait``.
        page_dir: the vendor library's flow directory, for this api alone; ``""``: a private one.
        using_udp, multicast: passed to the vendor library.
        library: vendor library: path, package name, ``"compatible"``, or None to look for one.
        name: name of the log, for others to attach; default random.
        capacity: ticks kept in the log.
        production: for libraries from 6.7.11 on: production (True) or evaluation front.
        stale_after: seconds without a tick, in trading hours, after which the state becomes ``stale``; None never.
        any_hour: silence counts at any hour: for fronts that send ticks at any hour, in tests.
        hours: sessions in place of the product table's, by ProductID: ``{"rb": product.Sessions}``.

    Raises:
        ConfigError: an argument is wrong; nothing has been started.
        VendorLibraryError: no usable vendor library.
        NameTakenError: an engine of that name is running.
    """

    _goes_on = "the feed"
    _session: Session | None = None
    _tick_thread: threading.Thread | None = None

    def __init__(
        self,
        md_server: str | bytes | Sequence[str | bytes],
        broker_id: str | bytes | int,
        investor_id: str | bytes,
        password: str | bytes | Secret,
        app_id: str | bytes,
        auth_code: str | bytes | Secret,
        instrument_id_list: Iterable[str | bytes],
        md_queue_list: Iterable[Any] | None = None,
        page_dir: str | bytes = "",
        using_udp: bool = False,
        multicast: bool = False,
        *,
        library: str | None = None,
        name: str | None = None,
        capacity: int = DEFAULT_CAPACITY,
        production: bool = True,
        vendor_version: str = "",
        stale_after: float | None = None,
        any_hour: bool = False,
        hours: OwnHours | None = None,
    ) -> None:
        password, auth_code = hidden(password), hidden(auth_code)
        given = locals()
        self._pending = self._signature.bind(**{name: given[name] for name in self._signature.parameters})

    # ---- life ----------------------------------------------------------------------------------

    def _start(
        self,
        md_queue_list: Iterable[Any] | None = None,
        library: str | None = None,
        name: str | None = None,
        capacity: int = DEFAULT_CAPACITY,
        **others: Any,
    ) -> None:
        config = settings(**others)
        queues = check_queue_list(md_queue_list)
        library_path, _ = vendor.resolve(library)
        found = vendor.probe(library_path, override_version=config.vendor_version)
        vendor.warn_of_doubts(found, config.production, config.vendor_version)
        self._places: list[TickQueue] = []
        self._forwarders: list[Any] = []
        self._flow = FlowDirectory(config.page_dir)
        self._log: TickLog | None = None
        try:
            self._log = log = TickLog.create(_segments.random_name("md") if name is None else name, capacity)
            for position, queue in enumerate(queues):
                if isinstance(queue, TickQueue):
                    queue.bind(log)
                else:
                    place = place_for(queue, position)
                    self._places.append(place)
                    place.bind(log)
                    self._forwarders.append(start_forwarder(place, queue, log))
            self._queues = [q for q in queues if isinstance(q, TickQueue)]
            self._session = Session(config, library_path, self._flow.path, log, listener=self)
            if type(self).OnRtnDepthMarketData is not MdApi.OnRtnDepthMarketData:
                place = TickQueue(name=_segments.random_name("callback"))
                self._places.append(place)
                place.bind(log)
                self._tick_thread = threading.Thread(
                    target=self._run_ticks, args=(place,), name="tickengine-ticks", daemon=True
                )
                self._tick_thread.start()
            self._session.start()
        except BaseException:
            self._tidy()
            raise
        self._run(*([] if self._tick_thread is None else [self._tick_thread]))

    def _run_ticks(self, place: TickQueue) -> None:
        callback = self.OnRtnDepthMarketData
        try:
            while True:
                tick = place.get()
                try:
                    callback(tick.to_dict())
                except Exception:
                    self._reports.exception("OnRtnDepthMarketData")
        except Closed:
            return

    def _tidy(self) -> None:
        log = self._log
        if self._session is not None:
            self._session.release()
        if log is not None:
            log.end()
        for forwarder in self._forwarders:
            forwarder.stop(drain=True)
        if self._session is not None and self._tick_thread is not None:
            self._tick_thread.join(5.0)
        for place in self._places:
            place.close()
        if log is not None:
            finish_log(log, getattr(self, "_queues", []))
        self._flow.close()

    # ---- what the session tells ----------------------------------------------------------------

    def OnFrontConnected(self) -> None:
        """The connection stands. The login follows by itself unless this calls `ReqUserLogin`."""

    def OnFrontDisconnected(self, nReason: int) -> None:
        """The connection is lost; the library reconnects, and the session logs in and subscribes again."""

    def OnHeartBeatWarning(self, nTimeLapse: int) -> None:
        """Nothing has been received for so many seconds."""

    def OnRspUserLogin(
        self,
        pRspUserLogin: dict[str, Any] | None,
        pRspInfo: dict[str, Any] | None,
        nRequestID: int,
        bIsLast: bool,
    ) -> None:
        """The answer to a login. Subscribing follows by itself."""

    def OnRspUserLogout(
        self, pUserLogout: dict[str, Any] | None, pRspInfo: dict[str, Any] | None, nRequestID: int, bIsLast: bool
    ) -> None:
        """The answer to a logout."""

    def OnRspQryMulticastInstrument(
        self,
        pMulticastInstrument: dict[str, Any] | None,
        pRspInfo: dict[str, Any] | None,
        nRequestID: int,
        bIsLast: bool,
    ) -> None:
        """The answer to `ReqQryMulticastInstrument`."""

    def OnRspError(self, pRspInfo: dict[str, Any] | None, nRequestID: int, bIsLast: bool) -> None:
        """An error that belongs to no other answer."""

    def OnRspSubMarketData(
        self,
        pSpecificInstrument: dict[str, Any] | None,
        pRspInfo: dict[str, Any] | None,
        nRequestID: int,
        bIsLast: bool,
    ) -> None:
        """One instrument's subscription was acknowledged or refused."""

    def OnRspUnSubMarketData(
        self,
        pSpecificInstrument: dict[str, Any] | None,
        pRspInfo: dict[str, Any] | None,
        nRequestID: int,
        bIsLast: bool,
    ) -> None:
        """One instrument's subscription was taken back."""

    def OnRspSubForQuoteRsp(
        self,
        pSpecificInstrument: dict[str, Any] | None,
        pRspInfo: dict[str, Any] | None,
        nRequestID: int,
        bIsLast: bool,
    ) -> None:
        """One instrument's for-quote subscription was answered."""

    def OnRspUnSubForQuoteRsp(
        self,
        pSpecificInstrument: dict[str, Any] | None,
        pRspInfo: dict[str, Any] | None,
        nRequestID: int,
        bIsLast: bool,
    ) -> None:
        """One instrument's for-quote subscription was taken back."""

    def OnRtnDepthMarketData(self, pDepthMarketData: dict[str, Any]) -> None:
        """A tick, as AlgoPlus's dict: vendor field names, texts as ``bytes``, absent prices NaN."""

    def OnRtnForQuoteRsp(self, pForQuoteRsp: dict[str, Any] | None) -> None:
        """Somebody asks for a quote."""

    # ---- requests ------------------------------------------------------------------------------

    def _running_session(self) -> Session:
        session: Session = super()._running_session()
        return session

    def ReqUserLogin(self, pReqUserLogin: Mapping[str, Any] | None = None, nRequestID: int | None = None) -> int:
        """Log in; None: with the credentials given to the constructor. Returns the vendor's code.

        A mapping may give ``BrokerID, UserID, Password``. *nRequestID* is chosen by the session.
        """
        session = self._running_session()
        own = session.settings
        fields = dict(pReqUserLogin or {})
        del pReqUserLogin  # out of the frame that a traceback shows
        password = checked(fields.pop("Password", own.password), "Password", MAX_PASSWORD)

        def text(name: str, default: str) -> str:
            value = fields.get(name, default)
            return value.decode() if isinstance(value, bytes) else str(value)

        return session.login(text("BrokerID", own.broker_id), text("UserID", own.investor_id), password)

    def ReqUserLogout(self, pUserLogout: Mapping[str, Any] | None = None, nRequestID: int | None = None) -> int:
        """Log out. Returns the vendor's code."""
        own = self._running_session().settings
        return self._running_session().logout(own.broker_id, own.investor_id)

    def SubscribeMarketData(self, pSubscribe: Iterable[str | bytes]) -> int:
        """Subscribe more instruments, now and after every reconnect. Returns the vendor's code, 0 if sent."""
        return self._running_session().subscribe(check_instruments(pSubscribe))

    def UnSubscribeMarketData(self, pUnSubscribe: Iterable[str | bytes]) -> int:
        """Take subscriptions back, for good. Returns the vendor's code, 0 if sent."""
        return self._running_session().unsubscribe(check_instruments(pUnSubscribe))

    def SubscribeForQuoteRsp(self, pSubscribe: Iterable[str | bytes]) -> int:
        """Subscribe requests for quotes, on this connection. Returns the vendor's code."""
        return self._running_session().subscribe_quote(check_instruments(pSubscribe), True)

    def UnSubscribeForQuoteRsp(self, pUnSubscribe: Iterable[str | bytes]) -> int:
        """Take for-quote subscriptions back. Returns the vendor's code."""
        return self._running_session().subscribe_quote(check_instruments(pUnSubscribe), False)

    def ReqQryMulticastInstrument(self, pQryMulticastInstrument: Mapping[str, Any], nRequestID: int = 0) -> int:
        """Query multicast instruments (libraries from 6.3.15_P2 on). Returns the vendor's code."""
        instrument = pQryMulticastInstrument.get("InstrumentID", b"")
        text = instrument.decode() if isinstance(instrument, bytes) else str(instrument)
        return self._running_session().query_multicast(int(pQryMulticastInstrument.get("TopicID", 0)), text, nRequestID)

    def GetTradingDay(self) -> str:
        """``YYYYMMDD``; ``19800100`` before the first login. May be empty with some fronts."""
        return self._running_session().vendor_trading_day()

    def GetApiVersion(self) -> str:
        """The vendor library's version text."""
        version: str = self._running_session().api_version
        return version

    def status(self) -> dict[str, Any]:
        """As `TickEngine.status`."""
        session = self._running_session()
        assert self._log is not None
        return {**self._log.status(), **session.status()}

    @property
    def log(self) -> TickLog:
        """The log this api writes."""
        assert self._log is not None
        return self._log


MdApi._signature = own_signature(MdApi)


def finish_log(log: TickLog, queues: Iterable[TickQueue]) -> None:
    """Remove an ended log's name, unless a queue still has to be read by a worker not attached yet.

    Such a queue keeps the log object; with the queue it goes.
    """
    waiting = {q["name"] for q in log.queues() if q["pid"] is None and q["lag"] > 0}
    late = [queue for queue in queues if queue.name in waiting and not queue._closed]
    for queue in queues:
        queue._keeps = None
    if not late:
        log.unlink()
        return
    keeper = _Keeper(log)
    for queue in late:
        queue._keeps = keeper


class _Keeper:
    """Removes a log's name when the last queue that needs it is gone, at interpreter exit at the latest."""

    def __init__(self, log: TickLog) -> None:
        self.log = log
        weakref.finalize(self, _unlink_quietly, log, os.getpid())


def _unlink_quietly(log: TickLog, pid: int) -> None:
    if log._close.alive and os.getpid() == pid:  # a forked child that ends leaves it to its parent
        log.unlink()
