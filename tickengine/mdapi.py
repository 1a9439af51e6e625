"""`MdApi`: the CTP market-data api in this process, shaped as AlgoPlus's users know it."""

from __future__ import annotations

import atexit
import inspect
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import _segments, vendor
from ._checks import check_instruments
from ._errors import Closed, ConfigError, EngineError
from ._secret import Secret, checked, hidden
from .config import MAX_PASSWORD, settings
from .flow import FlowDirectory
from .forward import check_queue_list, place_for, start_forwarder
from .log import DEFAULT_CAPACITY, TickLog
from .queue import TickQueue
from .session import Session

logger = logging.getLogger("tickengine")

JOIN_HINT = (
    "the main thread ended while {what} was running, so it was released. Call Join() (join() for a "
    "TickEngine) to keep it running; a program that ends without it looks to the front and to its log "
    "like a lost network (4097)."
)


class _Starter(type):
    """Starts an api after its whole constructor chain has run, so that no callback comes before.

    AlgoPlus starts in ``__cinit__``, and programs written for it override ``__init__`` without calling
    the base class; this gives them the same.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        given = _Given(args, kwargs)
        del args, kwargs  # the password is in there, and a traceback may show what a frame has
        self = super().__call__(*given.args, **given.kwargs)
        self._start_once()
        return self


class _Given:
    """Arguments, without a repr that shows them."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args, self.kwargs = args, kwargs


class MdApi(metaclass=_Starter):
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
        stale_after: seconds without a tick after which the state becomes ``stale``; None never.

    Raises:
        ConfigError: an argument is wrong; nothing has been started.
        VendorLibraryError: no usable vendor library.
        NameTakenError: an engine of that name is running.
    """

    _pending: inspect.BoundArguments | None = None
    _started = False

    def __new__(cls, *args: Any, **kwargs: Any) -> MdApi:
        self = super().__new__(cls)
        try:  # a subclass that never calls our __init__ but has our arguments
            self._pending = _hide_secrets(_SIGNATURE.bind(*args, **kwargs))
        except TypeError:
            self._pending = None  # a subclass with arguments of its own calls our __init__
        return self

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
    ) -> None:
        password, auth_code = hidden(password), hidden(auth_code)
        given = locals()
        self._pending = _SIGNATURE.bind(**{name: given[name] for name in _SIGNATURE.parameters})

    # ---- life ----------------------------------------------------------------------------------

    def _start_once(self) -> None:
        if self._started or self._pending is None:
            if not self._started:
                raise ConfigError(f"{type(self).__name__}.__init__ must call MdApi.__init__")
            return
        self._started = True
        arguments = self._pending.arguments
        del self._pending  # it holds the password
        self._start(**arguments)

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
        self._released = threading.Event()
        self._releasing = threading.Lock()
        self._pid = os.getpid()
        self._session: Session | None = None
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
            self._reports = _Reports()
            self._tick_thread: threading.Thread | None = None
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
        self._session_thread = threading.Thread(target=self._run_session, name="tickengine-session", daemon=True)
        self._session_thread.start()
        _running.add(self)

    def _run_session(self) -> None:
        session = self._session
        assert session is not None
        try:
            session.run()
        except Exception:
            logger.exception("the session has stopped")
            session.failure = session.failure or "the session stopped with an exception (see the log)"
        self._end()

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

    def Join(self) -> int:
        """Block until the api is released (by `Release`, Ctrl-C, or a login refused for good). Returns 0.

        This is what keeps a program running: the vendor's threads and ours do not.

        Raises:
            EngineError: the session gave up; the text says why.
            KeyboardInterrupt: after releasing.
        """
        self._start_once()
        try:
            while not self._released.wait(3600):
                pass
        except KeyboardInterrupt:
            self.Release()
            raise
        if self._session is not None and self._session.failure:
            raise EngineError(self._session.failure)
        return 0

    def Release(self) -> None:
        """Give the api back in the vendor's order, end the log, and let readers drain. Can be repeated.

        May be called anywhere, also in a callback (it is then done as soon as the callback returns).
        """
        session = self._session if self._started else None
        if session is None or os.getpid() != self._pid:
            return
        session.stop()
        if threading.current_thread() in (self._session_thread, self._tick_thread):
            return  # the session's thread releases when the callback has returned
        self._session_thread.join()

    def _end(self) -> None:
        """On the session's thread, last."""
        with self._releasing:
            if self._released.is_set():
                return
            self._tidy()
            self._released.set()
        _running.discard(self)

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

    def dispatch(self, name: str, *args: Any) -> None:
        """Call a callback; report what it raises."""
        try:
            getattr(self, name)(*args)
        except Exception:
            self._reports.exception(name)

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
        if self._started and self._session is not None:
            return self._session
        raise EngineError("the api has not been started yet; requests can be made in callbacks and after construction")

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


def _hide_secrets(bound: inspect.BoundArguments) -> inspect.BoundArguments:
    for name in ("password", "auth_code"):
        bound.arguments[name] = hidden(bound.arguments[name])
    return bound


_SIGNATURE = inspect.Signature([p for p in inspect.signature(MdApi.__init__).parameters.values() if p.name != "self"])


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


class _Reports:
    """Tracebacks from callbacks: the first at once, then at most one a second with a count."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def exception(self, name: str) -> None:
        now = time.monotonic()
        if now - self._last.get(name, -1e9) < 1.0:
            self._held[name] = self._held.get(name, 0) + 1
            return
        held, self._last[name] = self._held.pop(name, 0), now
        more = f" ({held} more since the last report)" if held else ""
        logger.exception("exception in %s%s; the feed goes on", name, more)


_running: weakref.WeakSet[MdApi] = weakref.WeakSet()


def _release_at_exit() -> None:
    for api in list(_running):
        if api._pid != os.getpid():
            continue
        print(f"tickengine: {JOIN_HINT.format(what=type(api).__name__)}", file=sys.stderr)
        api.Release()


atexit.register(_release_at_exit)
