"""What `MdApi` and `TraderApi` have in common: how an api in this process is started, joined and released."""

from __future__ import annotations

import atexit
import inspect
import logging
import os
import sys
import threading
import time
import weakref
from typing import Any, ClassVar, TypeVar

from ._errors import ConfigError, EngineError
from ._secret import hidden
from ._signals import Latch

logger = logging.getLogger("tickengine")

Self = TypeVar("Self", bound="InProcessApi")

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


class InProcessApi(metaclass=_Starter):
    """An api of the vendor's whose callbacks are methods. A subclass sets `_signature` and fills the hooks."""

    _signature: ClassVar[inspect.Signature]
    _goes_on: ClassVar[str]
    """What an exception in a callback does not end, for the words about it."""
    _pending: inspect.BoundArguments | None = None
    _started = False
    _session: Any = None
    _threads: tuple[threading.Thread, ...] = ()
    """Those that callbacks run on, the session's first."""

    def __new__(cls: type[Self], *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        try:  # a subclass that never calls our __init__ but has our arguments
            self._pending = _hide_secrets(cls._signature.bind(*args, **kwargs))
        except TypeError:
            self._pending = None  # a subclass with arguments of its own calls our __init__
        return self

    # ---- hooks ---------------------------------------------------------------------------------

    def _start(self, **arguments: Any) -> None:
        """Check everything, make `_session`, and end with `_run`."""
        raise NotImplementedError

    def _tidy(self) -> None:
        """Give everything back, whatever there is of it."""
        raise NotImplementedError

    # ---- life ----------------------------------------------------------------------------------

    def _start_once(self) -> None:
        if self._started or self._pending is None:
            if not self._started:
                base = next(c for c in type(self).__mro__ if c.__module__.startswith("tickengine."))
                raise ConfigError(f"{type(self).__name__}.__init__ must call {base.__name__}.__init__")
            return
        self._started = True
        arguments = self._pending.arguments
        del self._pending  # it holds the password
        self._released = Latch()  # `Release` may be called in a signal handler, in the middle of `Join`
        self._releasing = threading.Lock()
        self._pid = os.getpid()
        self._reports = _Reports(self._goes_on)
        self._start(**arguments)

    def _run(self, *others: threading.Thread) -> None:
        """Begin with the session's work, on a thread of its own."""
        thread = threading.Thread(target=self._run_session, name="tickengine-session", daemon=True)
        self._threads = (thread, *others)
        thread.start()
        _running.add(self)

    def _run_session(self) -> None:
        session = self._session
        try:
            session.run()
        except Exception:
            logger.exception("the session has stopped")
            session.failure = session.failure or "the session stopped with an exception (see the log)"
        self._end()

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
        """Give the api back in the vendor's order, and end what it writes. Can be repeated.

        May be called anywhere, also in a callback (it is then done as soon as the callback returns).
        """
        session = self._session if self._started else None
        if session is None or os.getpid() != self._pid:
            return
        session.stop()
        if not self._threads or threading.current_thread() in self._threads:
            return  # the session's thread releases when the callback has returned
        self._threads[0].join()

    def _end(self) -> None:
        """On the session's thread, last."""
        with self._releasing:
            if self._released.is_set():
                return
            try:
                self._tidy()
            finally:
                self._released.set()
                _running.discard(self)

    def _running_session(self) -> Any:
        if self._started and self._session is not None:
            return self._session
        raise EngineError("the api has not been started yet; requests can be made in callbacks and after construction")

    def dispatch(self, name: str, *args: Any) -> None:
        """Call a callback; report what it raises."""
        try:
            getattr(self, name)(*args)
        except Exception:
            self._reports.exception(name)


def own_signature(api: type[InProcessApi]) -> inspect.Signature:
    """How an api's own constructor is called, without ``self``."""
    return inspect.Signature([p for p in inspect.signature(api.__init__).parameters.values() if p.name != "self"])


def _hide_secrets(bound: inspect.BoundArguments) -> inspect.BoundArguments:
    for name in ("password", "auth_code"):
        bound.arguments[name] = hidden(bound.arguments[name])
    return bound


class _Reports:
    """Tracebacks from callbacks: the first at once, then at most one a second with a count."""

    def __init__(self, goes_on: str) -> None:
        self._goes_on = goes_on
        self._last: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def exception(self, name: str) -> None:
        now = time.monotonic()
        if now - self._last.get(name, -1e9) < 1.0:
            self._held[name] = self._held.get(name, 0) + 1
            return
        held, self._last[name] = self._held.pop(name, 0), now
        more = f" ({held} more since the last report)" if held else ""
        logger.exception("exception in %s%s; %s goes on", name, more, self._goes_on)


_running: weakref.WeakSet[InProcessApi] = weakref.WeakSet()


def _release_at_exit() -> None:
    for api in list(_running):
        if api._pid != os.getpid():
            continue
        print(f"tickengine: {JOIN_HINT.format(what=type(api).__name__)}", file=sys.stderr)
        api.Release()


atexit.register(_release_at_exit)
