"""`TraderEngine`: the trading connection in a dedicated, supervised process."""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from .. import _segments, vendor
from .._errors import ConfigError, EngineError, NotFoundError, ShimError
from .._secret import Secret, hidden, variables_with
from .._shim import WAIT_MODES
from .._shim_td import RING_ACTION, RING_INSERT
from .._supervisor import Supervised
from .._watchdog import Watchdog
from ..config import path_text
from ._process import Orders, trader_main
from .book import Order
from .journal import TradeLog, TradeLogWriter
from .limits import Limits
from .records import Record, encode_struct, struct_fields
from .ring import CommandRing
from .settings import trading_settings
from .trader import Terms, Trader
from .vendor_td import REQUESTS

logger = logging.getLogger("tickengine")

_QUERY_PATIENCE_S = 60.0
_WATCH_SLICE_S = 0.5


class TraderEngine(Supervised, Trader):
    """Orders and their returns, from a process of its own: it survives cuts, crashes and restarts.

    What is sent is in the journal before it leaves, what comes back before the library goes on; `poll` reads
    it, whoever was killed when. ``with engine:`` starts and stops it. Use it from one thread.

    Args:
        td_server: the trading front or fronts, ``tcp://host:port``.
        broker_id, investor_id, password: the account.
        app_id, auth_code: for ReqAuthenticate; both empty: it is left out.
        flow_dir: this account's own directory, which must stay: the journal (``trade.journal``) and the vendor
            library's counts are in it.
        library: vendor library: path, package name, ``"compatible"``, or None to look for one.
        name: default random.
        limits: what an order must keep to, default `Limits()`.
        private, public: how the flows of returns begin: ``"resume"`` behind what came, ``"restart"`` with the
            whole day, ``"quick"`` with what is new. Only resume and restart tell what happened while away;
            the book is right with all three, by its queries.
        production: for libraries from 6.7.11 on: production (True) or evaluation front.
        restart, watchdog, core_dumps, vendor_version, cpus, realtime: as in `TickEngine`.
        wait: how the sending thread waits for orders: ``"adaptive"``, ``"block"``, or ``"spin"`` with a CPU of
            its own.

    Raises:
        ConfigError: an argument is wrong.
        VendorLibraryError: no vendor library was found.
    """

    _kind = "trader engine"
    _class_words = "a TraderEngine"

    def __init__(
        self,
        td_server: str | bytes | Sequence[str | bytes],
        broker_id: str | bytes | int,
        investor_id: str | bytes,
        password: str | bytes | Secret,
        app_id: str | bytes,
        auth_code: str | bytes | Secret,
        flow_dir: str | bytes,
        *,
        library: str | None = None,
        name: str | None = None,
        limits: Limits | None = None,
        private: str = "resume",
        public: str = "resume",
        production: bool = True,
        restart: bool = True,
        vendor_version: str = "",
        wait: str = "adaptive",
        watchdog: float | None = 30.0,
        core_dumps: bool = False,
        cpus: int | str | Iterable[int] | None = None,
        realtime: int | None = None,
    ) -> None:
        password, auth_code = hidden(password), hidden(auth_code)
        self._settings = trading_settings(
            td_server,
            broker_id,
            investor_id,
            password,
            app_id,
            auth_code,
            flow_dir,
            private=private,
            public=public,
            production=production,
            vendor_version=vendor_version,
            cpus=cpus,
            realtime=realtime,
        )
        if not isinstance(wait, str) or wait not in WAIT_MODES:
            raise ConfigError(f"wait must be one of {', '.join(WAIT_MODES)}, not {wait!r}")
        if limits is not None and not isinstance(limits, Limits):
            raise ConfigError(f"limits must be a Limits, or None for the defaults, not {type(limits).__name__}")
        Supervised.__init__(
            self, _segments.random_name("td") if name is None else _segments.check_name(name), restart, watchdog
        )
        Trader.__init__(
            self, self._settings.broker_id, self._settings.investor_id, limits if limits is not None else Limits()
        )
        if library is not None:
            library = path_text(library, "library")
        self._library, self._library_source = vendor.resolve(library, vendor.TRADER)
        self._core_dumps = core_dumps
        self._wait = wait
        self._ring: CommandRing | None = None
        self._journal: TradeLog | None = None
        self._up = False
        self._wanted = True
        self._questions: dict[int, Future[list[dict[str, Any]]]] = {}
        self._asked = 0
        self._watcher: threading.Thread | None = None
        self._watching = threading.Event()

    # ---- starting ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process, and wait until its api is running. Blocks for about half a second.

        Does not wait for the front; see `wait_ready`. What the journal already has is in the book then.

        Raises:
            ConfigError, VendorLibraryError: the flow directory or the library cannot be used.
            BusyError: another engine of this account is running; its pid is in the text.
            EngineError: the process did not start.
        """
        super().start()
        try:
            self._catch_up()
        except BaseException:  # a journal that this version cannot read; KeyboardInterrupt too
            self.stop()
            raise

    def _prepare(self) -> None:
        self._ring = CommandRing(self.name)

    def _work(self) -> tuple[Callable[..., None], Any]:
        return trader_main, Orders(
            settings=self._settings,
            library=self._library,
            ring=self.name,
            wait=self._wait,
            connect=self._wanted,
            parent_pid=os.getpid(),
            log_level=logger.getEffectiveLevel(),
            core_dumps=self._core_dumps,
            secret_variables=variables_with(self._settings.password, self._settings.auth_code),
        )

    def _directory(self) -> str:
        return self._settings.flow_dir

    def _epoch(self) -> int:
        try:
            with TradeLog.attach(self._settings.flow_dir) as journal:
                return int(journal.info().epoch)
        except NotFoundError:
            return 0
        except ShimError as error:  # the next process is refused, with the same words
            logger.debug("the journal cannot be read: %s", error)
            return 0

    def _came_up(self) -> None:
        journal = TradeLog.attach(self._settings.flow_dir)
        if self._journal is None:
            self._journal = journal
        else:
            same = journal.info().unique_id == self._journal.info().unique_id
            journal.close()
            if not same:
                raise EngineError(
                    f"{self.journal_path} was taken away or replaced while the engine was running: stop it, put the "
                    "journal back, and start a new one"
                )
        self._up = True
        self._tell_wanted()  # it may have changed since the orders were made, and nobody was there to be told

    def _say(self, why: str) -> None:
        """The account's state is in the journal; why there is no process is in the log alone."""

    def _report_lost(self, status: int | None, hung: Watchdog | None) -> None:
        self._up = False
        self._fail_questions("the trader process was lost")
        try:
            # Opening it is enough: a new epoch tells every reader that what had no return is uncertain.
            TradeLogWriter(self._settings.flow_dir).close()
        except ShimError as error:
            logger.error("the loss could not be written to the journal: %s", error)

    def _finish(self) -> None:
        self._up = False
        self._fail_questions("the trader engine has stopped")
        if self._ring is not None:
            self._ring.close()

    def _take_message(self, kind: str, content: Any) -> None:
        if kind == "answer":
            number, rows, error = content
            outcome = self._questions.pop(number, None)
            if outcome is not None and error:
                outcome.set_exception(EngineError(error))
            elif outcome is not None:
                outcome.set_result(rows)

    def _fail_questions(self, why: str) -> None:
        with self._lock:  # two threads may have the same to say
            questions, self._questions = self._questions, {}
        for outcome in questions.values():
            outcome.set_exception(EngineError(why))

    def stop(self, timeout: float = 10.0) -> None:
        """End the process, the api released. Orders at the exchange stay there. Can be repeated.

        What has happened until then can still be had by `poll`. After *timeout* seconds the process is killed.
        """
        self.watch(None)
        super().stop(timeout)
        if self._journal is not None and os.getpid() == self._pid:
            try:
                self._catch_up()
            finally:
                self._journal.close()
                self._journal = None

    def __enter__(self) -> TraderEngine:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        if not hasattr(self, "_up"):  # a traceback of the constructor's
            return "TraderEngine(not made)"
        return f"TraderEngine({self.name!r}, fronts={','.join(self._settings.fronts)!r}, {self.account.state})"

    # ---- looking -------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether orders can be sent now, as of the last `poll`. If that was too long ago, an order is `not_sent`."""
        return self._up and self._wanted and self.account.state == "ready"

    @property
    def failure(self) -> str:
        """Why there will be no connection any more, as of the last `poll`; "" as long as there may be one."""
        if self.account.state == "failed" and not self._failure:
            self._ended.wait(5.0)  # its process has more to say than has room in the journal
        return self._failure or (self.account.failure if self.account.state == "failed" else "")

    @property
    def journal_path(self) -> str:
        """The journal's file, for `TradeLog.attach`."""
        return os.path.join(self._settings.flow_dir, "trade.journal")

    def status(self) -> dict[str, Any]:
        """What is going on, as of now.

        Keys: ``state`` (``connecting connected authenticated logged_in ready disconnected failed stopped``, or
        ``lost`` while there is no process), ``failure``, ``trading_day``, ``pid``, ``restarts``, ``orders``,
        ``open_orders``, ``uncertain`` (orders whose fate is not known), ``trades``, ``differences`` (positions
        that the front sees otherwise), ``refused`` (by limit), ``reconciled`` (whether the last login's queries
        are answered), ``sequence`` (records of the journal folded in).
        """
        self._catch_up()
        book = self.book
        return {
            "state": self.account.state if self._up or self.account.state in ("failed", "stopped") else "lost",
            "failure": self.failure,
            "trading_day": book.trading_day,
            "pid": self.pid if self.is_alive() else None,
            "restarts": self._restarts,
            "orders": len(book),
            "open_orders": len(book.open_orders()),
            "uncertain": sum(order.is_uncertain for order in book.open_orders()),
            "trades": book.counts.trades,
            "differences": [(d.InstrumentID, d.PosiDirection, d.ours, d.theirs) for d in self.account.differences],
            "refused": dict(self.gate.refused),
            "reconciled": self.account.reconciled,
            "sequence": self.account.next_sequence,
        }

    def wait_ready(self, timeout: float = 30.0, *, reconciled: bool = False) -> None:
        """Block until orders can be sent; with *reconciled* until the account has been asked for as well.

        With a limit on positions, opening orders can be sent when what is held is known: about two seconds after a
        trading day's first login.

        Raises `EngineError` when the time is over or the engine has ended, with what is known of the reason.
        """
        if self._supervisor is None:
            raise EngineError("this trader engine has not been started")
        deadline = time.monotonic() + timeout
        while True:
            self._catch_up()
            held = self.positions.complete or self.gate.limits.position is None
            if self.connected and held and (self.account.reconciled or not reconciled):
                return
            if self._ended.is_set() or self.account.state == "failed":
                raise EngineError(self.failure or "the trader engine has stopped")
            left = deadline - time.monotonic()
            if left <= 0:
                what = f"state {self.account.state}" + ("" if held else ", what is held is not known")
                raise EngineError(f"not ready within {timeout:g} s: {what}")
            self._await_record(min(left, 0.1))

    def wait(self, timeout: float) -> bool:
        """Block until there is something for `poll`, at most *timeout* seconds. True if there is."""
        return bool(self._changes) or self._await_record(timeout)

    def _await_record(self, timeout: float) -> bool:
        """As `wait`, whatever is left for `poll`."""
        journal = self._journal
        return journal is not None and journal.wait(self.account.next_sequence, timeout)

    def watch(self, news: Callable[[], None] | None) -> None:
        """Have *news* called, on a thread of its own, whenever there is something for `poll`; None ends it."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            self._watching.clear()
            watcher.join()
        if news is not None and self._journal is not None:
            self._watching.set()
            self._watcher = threading.Thread(
                target=self._watch, args=(self._journal, news), name="tickengine-journal", daemon=True
            )
            self._watcher.start()

    def _watch(self, journal: TradeLog, news: Callable[[], None]) -> None:
        sequence = journal.head
        while self._watching.is_set():
            if journal.wait(sequence, _WATCH_SLICE_S):
                sequence = journal.head
                news()

    def _read(self) -> Iterable[Record]:
        journal, sequence = self._journal, self.account.next_sequence
        if journal is None or not journal.has(sequence):
            return ()
        return journal.records(sequence)

    # ---- asking --------------------------------------------------------------------------------

    def query(self, method: str, timeout: float = _QUERY_PATIENCE_S, **fields: str) -> list[dict[str, Any]]:
        """Ask the front, and wait for the answer: the vendor's structs, by the vendor's names.

        Queries are asked one at a time, one a second, as the library allows, in the order of the calls.

        Args:
            method: ``ReqQryOrder``, ``ReqQryTrade``, ``ReqQryInvestorPosition``, ``ReqQryTradingAccount``,
                ``ReqQryInstrument`` or ``ReqQryDepthMarketData``.
            fields: of the vendor's struct, such as ``InstrumentID="rb2605"``; the account's own are filled in.

        Raises:
            ConfigError: no such method or field.
            EngineError: no connection, an error of the front, or no answer in time.
        """
        if not isinstance(method, str):
            raise ConfigError(f"method must be a text, not {type(method).__name__}")
        struct = method.removeprefix("Req")
        known = set(_fields_of(method, struct))
        identity = {"BrokerID": self._settings.broker_id, "InvestorID": self._settings.investor_id}
        asked = {**{name: value for name, value in identity.items() if name in known}, **fields}
        encode_struct(struct, asked)
        outcome: Future[list[dict[str, Any]]] = Future()
        with self._lock:
            self._asked += 1
            number = self._asked
            self._questions[number] = outcome
        if not self._up:
            self._fail_questions("there is no trader process just now")
        self._send("query", (number, method, asked))
        try:
            return outcome.result(timeout)
        except FutureTimeoutError:
            self._questions.pop(number, None)
            raise EngineError(f"{method} was not answered within {timeout:g} s") from None

    # ---- doing ---------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect again after `disconnect`. Returns at once; see `wait_ready`."""
        self._wanted = True
        self._tell_wanted()

    def disconnect(self) -> None:
        """End the connection on purpose, until `connect`: a process that is started meanwhile makes none. Orders at
        the exchange stay there, and their returns come when the connection is back.

        Returns when the connection has ended, at once if there is no process.

        Raises:
            EngineError: it has not ended within 10 s. No order is sent all the same.
        """
        self._wanted = False
        self._tell_wanted()
        deadline = time.monotonic() + 10.0
        while self._up and self.account.state not in ("disconnected", "failed", "stopped"):
            if time.monotonic() > deadline:
                raise EngineError("the connection has not ended within 10 s")
            self._await_record(0.1)
            self._catch_up()

    def _tell_wanted(self) -> None:
        with self._lock:  # the supervisor tells it too: what is told last must be what was wanted last
            self._send("connect" if self._wanted else "disconnect", None)

    def _send_order(self, order: Order, terms: Terms, min_volume: int) -> None:
        number = order.ClientID
        self._put(
            RING_INSERT,
            number,
            self._form(terms).filled(order.LimitPrice, order.VolumeTotalOriginal, min_volume, number),
        )

    def _send_action(self, order: Order, fields: dict[str, Any]) -> None:
        self._put(RING_ACTION, fields["OrderActionRef"], encode_struct("InputOrderAction", fields))

    def _put(self, kind: int, client_id: int, payload: bytes) -> None:
        if os.getpid() != self._pid:
            raise EngineError(f"this trader engine belongs to process {self._pid}; a forked child cannot send orders")
        if self._ring is None or not self.connected:
            state = "lost" if not self._up else self.account.state if self._wanted else "disconnected"
            raise EngineError(f"trading is {state}: nothing was sent")
        self._ring.put(kind, client_id, payload)


@functools.cache
def _fields_of(method: str, struct: str) -> tuple[str, ...]:
    if not method.startswith("ReqQry") or method not in REQUESTS:
        queries = ", ".join(name for name in REQUESTS if name.startswith("ReqQry"))
        raise ConfigError(f"{method!r} is no query; known are {queries}")
    return tuple(struct_fields(struct))
