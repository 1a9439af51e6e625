"""`TraderApi`: the CTP trading api in this process, shaped as AlgoPlus's users know it."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from .. import vendor
from .._errors import ConfigError, EngineError, ShimError
from .._inprocess import InProcessApi, own_signature
from .._secret import Secret, checked, hidden
from ..config import MAX_PASSWORD, SIZES, credential
from ..flow import FlowDirectory
from ..vendor_api import NOT_CONNECTED
from ._process import SessionApi
from .calls import answers_of, call_of
from .comfort import OrderCalls
from .inputs import check_input_order
from .journal import TradeLogWriter, journal_path
from .ledger import Ledger
from .limits import Gatekeeper, Limits
from .queries import Query
from .records import Record, encode_struct, struct_fields
from .session import ASKING_STATES, TradingSession
from .settings import RESUME_MODES, TradingSettings, trading_settings
from .vendor_td import FIRST_ORDER_REQUEST

RESUME = RESUME_MODES["resume"]
_NO_SESSION = -9  # the shim's code for an order that finds no session that is ready
_LOOK_S = 0.1


class TraderApi(OrderCalls, InProcessApi):
    """Trading in this process: connects, authenticates, logs in and confirms by itself, again after every cut.

    Subclass it and override callbacks. They run on a thread of Python's own, never on the vendor's, one after
    the other; while one runs, returns wait (they are in the journal already). An exception in a callback is
    reported with its traceback and the connection goes on. A callback may make any of the requests; of
    `ReqAuthenticate`, `ReqUserLogin` and `ReqSettlementInfoConfirm` none is made by itself that a callback
    has made. Orders can be sent from `OnRspSettlementInfoConfirm` on.

    Every order is in the journal (``trade.journal`` in *flow_path*) before it leaves, and gets its OrderRef and
    its RequestID there: what the program gives for them is not used, so that a reference is never given out
    twice, whatever was killed when. `order_ref` has the reference.

    `buy_open`, `sell_open`, `buy_close`, `sell_close` and `cancel_order` are AlgoPlus's short forms.

    Orders must keep to limits. Some go by the instrument's price: give `gate` the ticks (``gate.take_price``) or
    prices (``gate.set_price``). The one on positions lets nothing be opened before what is held is known, about two
    seconds after a trading day's first login: `positions_known`. For a connection in a process of its
    own, with a book of orders, see `TraderEngine`.

    Args:
        broker_id, td_server, investor_id, password: the account and its front; ``tcp://host:port`` or
            ``host:port``, several: a list, or separated by commas. The order is AlgoPlus 3.1's.
        app_id, auth_code: for ReqAuthenticate; both empty: it is left out.
        md_queue: kept as `md_queue` for the program's own use.
        flow_path: this account's own directory, which must stay: the journal and the vendor library's counts.
        private_resume_type, public_resume_type: how the flows of returns begin: 0 RESTART with the whole day,
            1 RESUME behind what came (AlgoPlus has 2), 2 QUICK with what is new. Only 0 and 1 tell what
            happened while away.
        library: vendor library: path, package name, ``"compatible"``, or None to look for one.
        limits: what an order must keep to, default `Limits()`; ``tickengine.trader.NO_LIMITS``: nothing.
        production: for libraries from 6.7.11 on: production (True) or evaluation front.
        vendor_version, cpus, realtime: as in `TickEngine`.

    Raises:
        ConfigError: an argument is wrong, or the flow directory is in use; nothing has been started.
        VendorLibraryError: no usable vendor library.
    """

    _goes_on = "the connection"
    _session: TradingSession | None = None
    _topics: dict[str, int] | None = None

    def __init__(
        self,
        broker_id: str | bytes | int,
        td_server: str | bytes | Sequence[str | bytes],
        investor_id: str | bytes,
        password: str | bytes | Secret,
        app_id: str | bytes,
        auth_code: str | bytes | Secret,
        md_queue: Any = None,
        flow_path: str | bytes = "",
        private_resume_type: int = RESUME,
        public_resume_type: int = RESUME,
        *,
        library: str | None = None,
        limits: Limits | None = None,
        production: bool = True,
        vendor_version: str = "",
        cpus: int | str | Iterable[int] | None = None,
        realtime: int | None = None,
    ) -> None:
        password, auth_code = hidden(password), hidden(auth_code)
        given = locals()
        self._pending = self._signature.bind(**{name: given[name] for name in self._signature.parameters})

    # ---- life ----------------------------------------------------------------------------------

    def _start(
        self,
        md_queue: Any = None,
        flow_path: str | bytes = "",
        private_resume_type: int = RESUME,
        public_resume_type: int = RESUME,
        library: str | None = None,
        limits: Limits | None = None,
        **others: Any,
    ) -> None:
        if not flow_path:
            raise ConfigError(
                "flow_path is empty: the journal of orders and the flows' counts need a directory that stays"
            )
        if limits is not None and not isinstance(limits, Limits):
            raise ConfigError(f"limits must be a Limits, or None for the defaults, not {type(limits).__name__}")
        topics = {
            "private": _resume_mode(private_resume_type, "private_resume_type"),
            "public": _resume_mode(public_resume_type, "public_resume_type"),
            **(self._topics or {}),
        }
        words = {number: word for word, number in RESUME_MODES.items()}
        config = trading_settings(
            flow_dir=flow_path, private=words[topics["private"]], public=words[topics["public"]], **others
        )
        self._library, _ = vendor.resolve(library, vendor.TRADER)
        found = vendor.probe_trader(self._library, override_version=config.vendor_version)
        vendor.warn_of_doubts(found, config.production, config.vendor_version)
        self.md_queue = md_queue
        self.order_ref = 0
        """The OrderRef of the newest order, whichever thread has sent it."""
        self._config = config
        self._orders = threading.RLock()
        self._api: SessionApi | None = None
        self._numbers: dict[int, int] = {}
        self._number = 0
        self._journal: TradeLogWriter | None = None
        self._ledger: Ledger | None = None
        self._flow = FlowDirectory(config.flow_dir)
        try:
            self._journal = TradeLogWriter(self._flow.path)
            self._ledger = Ledger(self._flow.path, limits if limits is not None else Limits())
            self._session = TradingSession(config, self._make_api, self._journal, self._ledger.highest, self._tell)
            self._session.dial()
        except BaseException:
            self._tidy()
            raise
        self._run()

    def _make_api(self) -> SessionApi:
        assert self._journal is not None
        self._api = api = _GuardedApi(self._orders, self._config, self._library, self._flow.path, self._journal)
        return api

    def _tidy(self) -> None:
        if self._session is not None:
            self._session.release()
        with self._orders:
            self._api = None
            if self._ledger is not None:
                self._ledger.close()
            if self._journal is not None:
                self._journal.close()
        self._flow.close()

    def SubscribePrivateTopic(self, nResumeType: int) -> None:
        """How the private flow begins, in place of *private_resume_type*. In a subclass's ``__init__`` only."""
        self._subscribe("private", nResumeType)

    def SubscribePublicTopic(self, nResumeType: int) -> None:
        """How the public flow begins, in place of *public_resume_type*. In a subclass's ``__init__`` only."""
        self._subscribe("public", nResumeType)

    def _subscribe(self, flow: str, mode: int) -> None:
        if self._started:
            raise EngineError("a flow's mode is chosen before the api connects: in __init__, or as an argument")
        self._topics = {**(self._topics or {}), flow: _resume_mode(mode, "nResumeType")}

    # ---- what the session tells ----------------------------------------------------------------

    def _tell(self, record: Record) -> None:
        call = call_of(record, self._number_of(record.request_id))
        if call is not None:
            self.dispatch(call[0], *call[1])

    def _number_of(self, request_id: int) -> int:
        """The program's number of a request; the session's own requests have the session's."""
        if request_id < FIRST_ORDER_REQUEST:
            return self._numbers.pop(request_id, request_id)
        with self._orders:
            assert self._ledger is not None
            return self._ledger.number_of(request_id)

    def OnFrontConnected(self) -> None:
        """The connection stands. What follows is done by itself unless this does it."""

    def OnFrontDisconnected(self, nReason: int) -> None:
        """The connection is lost; the library reconnects, and the session logs in again."""

    def OnHeartBeatWarning(self, nTimeLapse: int) -> None:
        """Nothing has been received for so many seconds."""

    def OnRspAuthenticate(
        self, pRspAuthenticate: dict[str, Any] | None, pRspInfo: dict[str, Any], nRequestID: int, bIsLast: bool
    ) -> None:
        """The answer to `ReqAuthenticate`. The login follows by itself."""

    def OnRspUserLogin(
        self, pRspUserLogin: dict[str, Any] | None, pRspInfo: dict[str, Any], nRequestID: int, bIsLast: bool
    ) -> None:
        """The answer to a login. Confirming the settlement follows by itself."""

    def OnRspUserLogout(
        self, pUserLogout: dict[str, Any] | None, pRspInfo: dict[str, Any], nRequestID: int, bIsLast: bool
    ) -> None:
        """The answer to a logout."""

    def OnRspSettlementInfoConfirm(
        self, pSettlementInfoConfirm: dict[str, Any] | None, pRspInfo: dict[str, Any], nRequestID: int, bIsLast: bool
    ) -> None:
        """The settlement is confirmed: orders can be sent from now on."""

    def OnRspError(self, pRspInfo: dict[str, Any], nRequestID: int, bIsLast: bool) -> None:
        """An error that belongs to no other answer."""

    def OnRtnOrder(self, pOrder: dict[str, Any]) -> None:
        """What has become of an order: of this account, also another program's. At least once, in the flow's order."""

    def OnRtnTrade(self, pTrade: dict[str, Any]) -> None:
        """A trade. At least once: the library repeats after a crash what this process was not done with."""

    def OnRspOrderInsert(
        self, pInputOrder: dict[str, Any] | None, pRspInfo: dict[str, Any], nRequestID: int, bIsLast: bool
    ) -> None:
        """An order was refused by the front."""

    def OnErrRtnOrderInsert(self, pInputOrder: dict[str, Any] | None, pRspInfo: dict[str, Any]) -> None:
        """An order was refused, told to all sessions of the account."""

    def OnRspOrderAction(
        self, pInputOrderAction: dict[str, Any] | None, pRspInfo: dict[str, Any], nRequestID: int, bIsLast: bool
    ) -> None:
        """A cancellation was refused by the front."""

    def OnErrRtnOrderAction(self, pOrderAction: dict[str, Any] | None, pRspInfo: dict[str, Any]) -> None:
        """A cancellation was refused, told to all sessions of the account."""

    def OnRtnInstrumentStatus(self, pInstrumentStatus: dict[str, Any]) -> None:
        """An instrument's trading phase has changed."""

    def OnRspQryOrder(
        self, pOrder: dict[str, Any] | None, pRspInfo: dict[str, Any], nRequestID: int, bIsLast: bool
    ) -> None:
        """A row of the answer to `ReqQryOrder`; None: there is none. As for all queries, the rows come together
        when the answer is complete; one that cannot be had comes as None with an error, -1 without connection."""

    def OnRspQryTrade(
        self, pTrade: dict[str, Any] | None, pRspInfo: dict[str, Any], nRequestID: int, bIsLast: bool
    ) -> None:
        """A row of the answer to `ReqQryTrade`."""

    def OnRspQryInvestorPosition(
        self, pInvestorPosition: dict[str, Any] | None, pRspInfo: dict[str, Any], nRequestID: int, bIsLast: bool
    ) -> None:
        """A row of the answer to `ReqQryInvestorPosition`."""

    def OnRspQryTradingAccount(
        self, pTradingAccount: dict[str, Any] | None, pRspInfo: dict[str, Any], nRequestID: int, bIsLast: bool
    ) -> None:
        """A row of the answer to `ReqQryTradingAccount`."""

    def OnRspQryInstrument(
        self, pInstrument: dict[str, Any] | None, pRspInfo: dict[str, Any], nRequestID: int, bIsLast: bool
    ) -> None:
        """A row of the answer to `ReqQryInstrument`."""

    def OnRspQryDepthMarketData(
        self, pDepthMarketData: dict[str, Any] | None, pRspInfo: dict[str, Any], nRequestID: int, bIsLast: bool
    ) -> None:
        """A row of the answer to `ReqQryDepthMarketData`. Prices that there are none of are as the vendor has them,
        the largest double."""

    # ---- requests ------------------------------------------------------------------------------

    def _running_session(self) -> TradingSession:
        session: TradingSession = super()._running_session()
        return session

    def _carry_out(self, request: Callable[[], int], number: int | None) -> int:
        """Make a request of the session's, on its thread; -1 when that has ended."""
        session = self._running_session()

        def numbered() -> int:
            before = session.request_id
            rc = request()
            if number is not None and session.request_id > before:
                self._numbers[session.request_id] = number
            return rc

        if threading.current_thread() in self._threads:
            return numbered()
        outcome: Future[int] = Future()

        def posted() -> None:
            try:
                outcome.set_result(numbered())
            except Exception as error:
                outcome.set_exception(error)

        session.post(posted)
        while not self._released.is_set():
            try:
                return outcome.result(_LOOK_S)
            except FutureTimeoutError:
                continue  # a callback is running, or the session is on its way out
        return NOT_CONNECTED

    def ReqAuthenticate(self, pReqAuthenticate: Any = None, nRequestID: int | None = None) -> int:
        """Authenticate; None: with what was given to the constructor. Returns the vendor's code.

        A mapping may give ``BrokerID, UserID, AppID, AuthCode``.
        """
        session = self._running_session()
        fields = _fields_of(pReqAuthenticate, "pReqAuthenticate")
        del pReqAuthenticate  # out of the frame that a traceback shows
        code = hidden(fields.pop("AuthCode", session.settings.auth_code))
        settings = dataclasses.replace(
            _with_account(session.settings, fields),
            app_id=credential(fields.get("AppID", session.settings.app_id), "app_id"),
            auth_code=checked(code, "AuthCode", SIZES["auth_code"]),
        )
        return self._carry_out(lambda: session.authenticate(settings), nRequestID)

    def ReqUserLogin(self, pReqUserLogin: Any = None, nRequestID: int | None = None) -> int:
        """Log in; None: with what was given to the constructor. Returns the vendor's code.

        A mapping may give ``BrokerID, UserID, Password``.
        """
        session = self._running_session()
        fields = _fields_of(pReqUserLogin, "pReqUserLogin")
        del pReqUserLogin
        password = hidden(fields.pop("Password", session.settings.password))
        settings = dataclasses.replace(
            _with_account(session.settings, fields), password=checked(password, "Password", MAX_PASSWORD)
        )
        return self._carry_out(lambda: session.log_in(settings), nRequestID)

    def ReqUserLogout(self, pUserLogout: Any = None, nRequestID: int | None = None) -> int:
        """Log out. Returns the vendor's code. To stay away, `Release`: after a new connection comes a new login."""
        session = self._running_session()
        return self._carry_out(session.log_out, nRequestID)

    def ReqSettlementInfoConfirm(self, pSettlementInfoConfirm: Any = None, nRequestID: int | None = None) -> int:
        """Confirm the settlement, without which no order is taken. Returns the vendor's code."""
        session = self._running_session()
        fields = _fields_of(pSettlementInfoConfirm, "pSettlementInfoConfirm")
        encode_struct("SettlementInfoConfirm", fields)
        return self._carry_out(lambda: session.confirm(**fields), nRequestID)

    def ReqOrderInsert(self, pInputOrder: Any, nRequestID: int | None = None) -> int:
        """Send an order. Returns the vendor's code: 0 sent, -1 no session that is ready; not 0: it did not leave.

        Args:
            pInputOrder: fields of ``InputOrder``, texts as ``str`` or ``bytes``. The account's own are filled in
                where they are missing; OrderRef and RequestID are given to it here, see `order_ref`.
            nRequestID: comes back with `OnRspOrderInsert`.

        Raises:
            ConfigError: a field is wrong, or one that every order needs is missing; nothing was sent.
            LimitRefused: it does not keep a limit; nothing was sent.
            ShimError: the journal cannot take it; nothing was sent.
        """
        self._running_session()
        fields = self._completed("InputOrder", _fields_of(pInputOrder, "pInputOrder"))
        fields.pop("OrderRef", None)
        fields.pop("RequestID", None)
        check_input_order(fields)
        with self._orders:
            api, ledger = self._api, self._ledger
            if api is None or ledger is None or self._released.is_set():
                return NOT_CONNECTED
            ledger.check_order(fields)
            client_id = ledger.next_client_id()
            try:
                rc, reference = api.vendor.insert(fields, client_id)
            except ShimError as error:
                return _not_sent(error)
            ledger.call(client_id, self._own_number(nRequestID))
            self.order_ref = reference
            return rc

    def ReqOrderAction(self, pInputOrderAction: Any, nRequestID: int | None = None) -> int:
        """Ask for an order to be cancelled. Returns the vendor's code, as `ReqOrderInsert` does.

        Args:
            pInputOrderAction: fields of ``InputOrderAction``: ExchangeID and OrderSysID, or FrontID, SessionID
                and OrderRef of the order. ActionFlag is "0" (delete) where it is missing.
            nRequestID: comes back with `OnRspOrderAction`.

        Raises: as `ReqOrderInsert`.
        """
        self._running_session()
        fields = self._completed("InputOrderAction", _fields_of(pInputOrderAction, "pInputOrderAction"))
        fields.pop("RequestID", None)
        fields.setdefault("ActionFlag", "0")
        encode_struct("InputOrderAction", fields)
        with self._orders:
            api, ledger = self._api, self._ledger
            if api is None or ledger is None or self._released.is_set():
                return NOT_CONNECTED
            ledger.check_cancel()
            client_id = ledger.next_client_id()
            try:
                rc = api.vendor.action(fields, client_id)
            except ShimError as error:
                return _not_sent(error)
            ledger.call(client_id, self._own_number(nRequestID))
            return rc

    def ReqQryOrder(self, pQryOrder: Any = None, nRequestID: int | None = None) -> int:
        """Ask for the day's orders. As all queries: fields as the vendor's struct has them, the account's own are
        filled in. They are asked one at a time, one a second, in the order of the calls, behind those that the
        session makes after a login. Returns 0, or -1 without a login."""
        return self._query("ReqQryOrder", pQryOrder, nRequestID)

    def ReqQryTrade(self, pQryTrade: Any = None, nRequestID: int | None = None) -> int:
        """Ask for the day's trades. See `ReqQryOrder`."""
        return self._query("ReqQryTrade", pQryTrade, nRequestID)

    def ReqQryInvestorPosition(self, pQryInvestorPosition: Any = None, nRequestID: int | None = None) -> int:
        """Ask for positions. See `ReqQryOrder`."""
        return self._query("ReqQryInvestorPosition", pQryInvestorPosition, nRequestID)

    def ReqQryTradingAccount(self, pQryTradingAccount: Any = None, nRequestID: int | None = None) -> int:
        """Ask for the account's money. See `ReqQryOrder`."""
        return self._query("ReqQryTradingAccount", pQryTradingAccount, nRequestID)

    def ReqQryInstrument(self, pQryInstrument: Any = None, nRequestID: int | None = None) -> int:
        """Ask for instruments. See `ReqQryOrder`."""
        return self._query("ReqQryInstrument", pQryInstrument, nRequestID)

    def ReqQryDepthMarketData(self, pQryDepthMarketData: Any = None, nRequestID: int | None = None) -> int:
        """Ask for prices. See `ReqQryOrder`."""
        return self._query("ReqQryDepthMarketData", pQryDepthMarketData, nRequestID)

    def _query(self, method: str, given: Any, number: int | None) -> int:
        session = self._running_session()
        struct = method.removeprefix("Req")
        fields = self._completed(struct, _fields_of(given, f"p{struct}"))
        encode_struct(struct, fields)
        if session.state not in ASKING_STATES:
            return NOT_CONNECTED
        own = self._own_number(number)

        def answer(rows: list[Record], error: str) -> None:
            if session.state == "stopped":  # no callback comes after a release
                return
            for name, arguments in answers_of(method, rows, error, own):
                self.dispatch(name, *arguments)

        session.post(functools.partial(session.ask, Query(method, fields, answer)))
        return 0

    def _session_of(self, order_ref: int) -> tuple[int, int]:
        self._running_session()
        with self._orders:
            order = None if self._ledger is None else self._ledger.order(order_ref)
        if order is None:
            raise ConfigError(f"order_ref {order_ref}: no order of this journal has it; give order_sysid=")
        return order.FrontID, order.SessionID

    def _completed(self, struct: str, fields: dict[str, Any]) -> dict[str, Any]:
        config, known = self._config, struct_fields(struct)
        own = {"BrokerID": config.broker_id, "InvestorID": config.investor_id}
        if struct.startswith("Input"):
            own["UserID"] = config.investor_id
        return {**{name: value for name, value in own.items() if name in known}, **fields}

    def _own_number(self, number: int | None) -> int:
        if number is None:
            self._number += 1
            return self._number
        return number

    # ---- looking -------------------------------------------------------------------------------

    def GetTradingDay(self) -> str:
        """``YYYYMMDD``, as the vendor's library says; empty or 19800100 before the first login."""
        self._running_session()
        with self._orders:
            return "" if self._api is None else self._api.vendor.trading_day()

    def GetApiVersion(self) -> str:
        """The vendor library's version text."""
        return self._running_session().api_version

    @property
    def gate(self) -> Gatekeeper | None:
        """The limits at work, to be given prices (`Gatekeeper.take_price`, `Gatekeeper.set_price`); None before the
        api is started."""
        return None if self._ledger is None else self._ledger.gate

    @property
    def positions_known(self) -> bool:
        """Whether what is held is known this trading day: before that the position limit lets nothing be opened.
        Waits for an order that is in the library."""
        self._running_session()
        with self._orders:
            return self._api is not None and self._ledger is not None and self._ledger.positions_known()

    @property
    def journal_path(self) -> str:
        """The journal's file, for `TradeLog.attach`."""
        return journal_path(self._flow.path)

    def status(self) -> dict[str, Any]:
        """What is going on: ``state`` (as in `TraderEngine.status`), ``failure``, ``trading_day``, ``logins``,
        ``disconnects``, ``reconciled`` (how often the account has been asked for after a login)."""
        session = self._running_session()
        names = ("state", "failure", "trading_day", "logins", "disconnects", "reconciled")
        return {name: getattr(session, name) for name in names}

    def __repr__(self) -> str:
        if self._session is None:
            return f"{type(self).__name__}(not started)"
        return f"{type(self).__name__}({','.join(self._config.fronts)!r}, {self._session.state})"


TraderApi._signature = own_signature(TraderApi)


class _GuardedApi(SessionApi):
    """Not released while an order is in the library."""

    def __init__(self, orders: threading.RLock, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._orders = orders

    def release(self) -> None:
        with self._orders:
            super().release()


def _not_sent(error: ShimError) -> int:
    """The vendor's code where there is one for it; the journal has the reason."""
    if error.code != _NO_SESSION:
        raise error
    return NOT_CONNECTED


def _with_account(settings: TradingSettings, fields: Mapping[str, Any]) -> TradingSettings:
    return dataclasses.replace(
        settings,
        broker_id=credential(fields.get("BrokerID", settings.broker_id), "broker_id"),
        investor_id=credential(fields.get("UserID", settings.investor_id), "investor_id"),
    )


def _fields_of(given: Any, name: str) -> dict[str, Any]:
    """A struct's fields from a mapping, or from an object of AlgoPlus's ``ApiStruct``."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) and hasattr(given, "to_dict"):
        given = given.to_dict()
        given = {field: value for field, value in given.items() if not field.startswith("reserve")}
    if not isinstance(given, Mapping):
        kind = type(given).__name__
        del given  # it may be a password
        raise ConfigError(f"{name} must be a mapping of the vendor's field names, not {kind}")
    return dict(given)


def _resume_mode(value: Any, name: str) -> int:
    if isinstance(value, bool) or value not in RESUME_MODES.values():
        raise ConfigError(f"{name} {value!r} must be 0 (RESTART), 1 (RESUME) or 2 (QUICK)")
    return int(value)
