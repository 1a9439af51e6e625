"""`Front`: a CTP market-data front in this process."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from tickengine._secret import Secret, checked, hidden
from tickengine.front import clock
from tickengine.front.controls import CALL_TIMEOUT_S, Controls
from tickengine.front.faults import Fault, parse_fault
from tickengine.front.listener import Listener
from tickengine.front.loop import FrontLoop
from tickengine.front.market import Market, PacedMarket
from tickengine.front.orders import Orders
from tickengine.front.pace import make_pace
from tickengine.front.publisher import Publisher
from tickengine.front.randomwalk import RandomWalkMarket
from tickengine.front.session import PASSWORD_BYTES, Desk

log = logging.getLogger(__name__)

DEFAULT_INSTRUMENTS = (
    "rb2605",
    "au2606",
    "sc2603",
    "i2605",
    "m2605",
    "SR605",
    "TA605",
    "IF2603",
    "T2603",
    "lc2605",
)
HEARTBEAT_S = 15.0
SEND_TIMEOUT_S = 2.0


class Front(Controls):
    """Serves the vendor library's market-data API over plain FTD.

    *market*: where ticks come from, by default a `RandomWalkMarket` of ten instruments made with *seed*.
    Without *rate*, *burst* or *flat_out* one snapshot goes out at every half second of the wall clock
    (one tick per instrument where the market has no snapshots; a `RecordedMarket` goes by its own times, once).
    *rate*: ticks a second. *burst*: (ticks, seconds). *flat_out*: as fast as the slowest subscribed client
    reads. *count*: stop after that many ticks. *prepared* (with *flat_out*): encode that many ticks at the
    start and repeat them, so that tick n has the content of tick n mod *prepared*.

    Publishing begins when *wait_clients* clients are subscribed to at least *wait_ids* ids each. After that
    it goes on as long as one client is subscribed; while there is none, and in a pause or a silence, no
    tick is made and the running number stands still.

    *require_login*: ticks and subscriptions only after a login. *password*: logins with another one are
    refused with 3; it is never logged. *faults*: `Fault` objects or their texts. *max_clients*: further
    connections are closed at once. *send_timeout_s*: while others are subscribed too, a client that takes
    nothing for so long, or needs five times as long for one batch of 4,092 ticks, is dropped.
    *heartbeat_s*: longest quiet before a heartbeat; the vendor library ends a connection after 121 s
    without a byte.

    One thread does all the work. Use as a context manager, or call `start` and `stop`. A front is started
    once.

    Raises:
        ValueError: arguments that make no sense, before anything is opened.
    """

    def __init__(
        self,
        market: Market | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        trading_day: str | None = None,
        rate: float | None = None,
        burst: tuple[int, float] | None = None,
        flat_out: bool = False,
        count: int | None = None,
        prepared: int = 0,
        wait_clients: int = 1,
        wait_ids: int = 1,
        require_login: bool = True,
        password: str | Secret | None = None,
        faults: Iterable[Fault | str] = (),
        max_clients: int = 64,
        send_timeout_s: float = SEND_TIMEOUT_S,
        heartbeat_s: float = HEARTBEAT_S,
        paused: bool = False,
        seed: int = 0,
    ) -> None:
        if password is not None:
            password = hidden(password)  # before anything can fail in a frame that has it
            password = checked(password, "password", PASSWORD_BYTES)
        self._pace = make_pace(rate, burst, flat_out, prepared)
        for name, value, least in (
            ("count", 0 if count is None else count, 0),
            ("wait_clients", wait_clients, 1),
            ("wait_ids", wait_ids, 1),
            ("max_clients", max_clients, 1),
        ):
            if value < least:
                raise ValueError(f"{name} {value}: must be at least {least}")
        for name, seconds in (("send_timeout_s", send_timeout_s), ("heartbeat_s", heartbeat_s)):
            if not seconds > 0:
                raise ValueError(f"{name} {seconds}: must be above 0")
        self.market: Market = (
            market if market is not None else RandomWalkMarket(DEFAULT_INSTRUMENTS, seed, trading_day=trading_day)
        )
        if isinstance(self.market, PacedMarket):
            count = len(self.market) if count is None else min(count, len(self.market))
            if rate is None and burst is None and not flat_out:
                self._pace = self.market.pace()
        self.trading_day = clock.checked_day(trading_day or self.market.trading_day)
        # The protocol's texts are GB18030.
        self._desk = Desk(
            self.trading_day, require_login, None if password is None else Secret(password.reveal().encode("gb18030"))
        )
        self._faults = [parse_fault(f) if isinstance(f, str) else f for f in faults]
        self._host, self._port = host, port
        self._publishing: dict[str, Any] = {
            "count": count,
            "prepared": prepared,
            "wait_clients": wait_clients,
            "wait_ids": wait_ids,
            "paused": paused,
        }
        self._serving: dict[str, Any] = {
            "max_clients": max_clients,
            "send_timeout_s": send_timeout_s,
            "heartbeat_s": heartbeat_s,
        }
        self._listener: Listener | None = None
        self._loop: FrontLoop[Orders] | None = None
        self._publisher: Publisher | None = None

    @property
    def address(self) -> str:
        """What to give to `RegisterFront`: `tcp://HOST:PORT`.

        Raises:
            RuntimeError: the front was not started.
        """
        if self._listener is None:
            raise RuntimeError("the front was not started")
        return f"tcp://{self._listener.host}:{self._listener.port}"

    def start(self) -> None:
        """Listen and serve from now on; with `prepared`, encode first.

        Raises:
            OSError: the address cannot be had; nothing is left behind.
            RuntimeError: started before.
        """
        if self._loop is not None:
            raise RuntimeError("a front can be started once only; make a new one")
        publisher = self._publisher = Publisher(self.market, self._pace, **self._publishing)
        self._listener = Listener(self._host, self._port)
        loop = FrontLoop(self._listener, publisher, self._desk, Orders, **self._serving)
        script = _Script(loop)
        for fault in self._faults:
            script.schedule(fault)
        self._loop = loop
        loop.start()
        if not ipaddress.ip_address(self._listener.host).is_loopback:
            log.warning(
                "%s: others can reach this front; it encrypts nothing, believes every login without a password of "
                "its own, and is made for tests",
                self.address,
            )

    def observe(self, observer: Callable[[NDArray[Any]], None] | None) -> None:
        """Have *observer* called with every batch of ticks before it is sent, on the front's thread, until
        another one or None is given. It must not keep the array.

        Raises:
            RuntimeError: the front was not started.
        """
        if self._publisher is None:
            raise RuntimeError("the front was not started")
        self._publisher.observer = observer

    def stop(self) -> None:
        """End all connections by FIN, give clients up to a second to close, and end the thread. May be
        repeated, and called on a front that was not started."""
        if self._loop is not None:
            self._loop.ask_stop()
            self._loop.join()

    def __enter__(self) -> Front:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _control(self, name: str, *args: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        loop = self._loop
        if loop is None:
            raise RuntimeError(f"{name}: the front was not started")
        if name == "stats":
            if loop.final is not None:
                return loop.final
            name = "snapshot"
        deadline = time.monotonic() + timeout_s
        outcome = loop.call(lambda: getattr(loop.orders, name)(*args))
        try:
            result = outcome.result(timeout_s)
            # Some work is not over when the call is: the loop then hands out a second future.
            while isinstance(result, Future):
                outcome = result
                result = outcome.result(max(0.0, deadline - time.monotonic()))
            return result
        except FutureTimeoutError:
            outcome.cancel()
            what = f"{name}{args}" if args else name
            raise TimeoutError(f"{what}: not within {timeout_s} s; {self.stats().summary()}") from None


class _Script(Controls):
    """Applies scheduled faults on the loop's own thread, where a call must not wait for the loop."""

    def __init__(self, loop: FrontLoop[Orders]) -> None:
        self._loop = loop

    def _control(self, name: str, *args: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        return getattr(self._loop.orders, name)(*args)

    def schedule(self, fault: Fault) -> None:
        """Have *fault* applied at its time; one without a time is applied now, before any client comes."""
        if fault.at_s == 0 and fault.every_s is None:
            fault.apply(self)
        else:
            self._arm(fault, time.monotonic() + fault.at_s)

    def _arm(self, fault: Fault, when: float) -> None:
        def fire() -> None:
            if fault.every_s is not None:
                self._arm(fault, when + fault.every_s)
            fault.apply(self)

        self._loop.timers.at(when, fire)
