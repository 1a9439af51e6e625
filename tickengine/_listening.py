"""Ways to read a `TickQueue` that do not stand in a call: an event loop's descriptor, asyncio, callbacks.

The descriptor is the shim's *bell*: one thread of this process that waits in the program's place and makes an
eventfd readable. Reader and memory belong to one of the two at a time: to the bell from the moment that the
program has found nothing (`_nothing_there`) until the program calls again (`_settle`). A queue that is not asked
for its descriptor has no such thread.
"""

from __future__ import annotations

import ctypes as ct
import os
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from queue import Empty
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _segments
from ._errors import BusyError, Closed, ConfigError, ShimError
from ._shim import TAKE_EMPTY, TAKE_INTERRUPTED, TAKE_ORPHANED, Take, lib, new_handle
from ._taking import BATCH, Rebound, Taking, nothing_yet
from .log import TickLog
from .tick import KIND_TICK, Event, Tick

if TYPE_CHECKING:
    import asyncio  # imported where it is used: most workers do without

_UNBOUND_LOOK_S = 0.1  # how often `run` looks for `stop` while no engine feeds the queue


class Interrupted(Empty):
    """Nothing is there, because of `TickQueue.interrupt`: a wait for the descriptor is over."""


class _Waiting:
    """Who waits for the descriptor in an asyncio loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        self.loop = loop
        self._fd = fd
        self._futures: list[asyncio.Future[None]] = []

    def __bool__(self) -> bool:
        return bool(self._futures) and not self.loop.is_closed()

    def add(self) -> asyncio.Future[None]:
        """One more who waits; for `until`."""
        future = self.loop.create_future()
        if not self._futures:
            self.loop.add_reader(self._fd, self._wake)
        self._futures.append(future)
        return future

    async def until(self, future: asyncio.Future[None]) -> None:
        try:
            await future
        finally:
            if future in self._futures:  # cancelled
                self._futures.remove(future)
                if not self._futures:
                    self.loop.remove_reader(self._fd)

    def _wake(self) -> None:
        # Not again before somebody waits again: the descriptor stays readable while a tick is being worked on.
        self.loop.remove_reader(self._fd)
        woken, self._futures = self._futures, []
        for future in woken:
            if not future.done():
                future.set_result(None)


class Listening(Taking):
    """The part of `TickQueue` for programs that have more to do than to wait for one queue."""

    _mapped: ct.c_void_p

    __slots__ = ("_bells", "_claim", "_interrupted", "_running", "_stopping", "_waiting")

    def _begin_listening(self) -> None:
        self._bell = None
        self._bells: list[ct.c_void_p] = []  # the same, for who closes the reader
        self._interrupted = False
        self._claim = threading.Lock()  # of `_waiting`
        self._waiting: _Waiting | None = None
        self._running: int | None = None
        self._stopping = False

    # ---- a descriptor --------------------------------------------------------------------------

    def fileno(self) -> int:
        """A descriptor for ``select``, ``poll``, ``epoll`` or any event loop: readable when `get` would not wait.

        Readable, it stays so until a call has found the queue empty: take until `queue.Empty`, then wait. It may
        be readable with nothing there (at first, when an engine takes the queue, after a call that did not find it
        empty). It becomes readable at the end of the log, too, and when the queue is closed or `interrupt` is
        called; after the end it stays so. Do not read from it or close it: it goes with the queue object.

        The first call starts a thread that waits without the GIL and without Python. All other ways of reading
        work as before. A child made by fork has to ask for a descriptor of its own.

        Raises:
            Closed: the queue has been closed and never had one.
            OSError: as the shim's error, when the process has no descriptors left.
        """
        if self._bell is None:
            if self._closed:
                raise Closed(f"queue {self.name!r} is closed")
            self._hang_bell()
        return int(lib().bell_fd(self._bell))

    def _hang_bell(self) -> None:
        bell, shim = new_handle(), lib()
        bells = self._bells
        try:
            shim.bell_open(self._mapped, ct.byref(bell))
            _segments.at_collection(self, _free_bells, bells, os.getpid())
            weakref.finalize(self, _stop_bells, bells, os.getpid())
            bells.append(bell)
        except BaseException:
            if bell and bell not in bells:  # a signal's handler raised
                shim.bell_free(bell)
            raise
        # From now on no look goes past `_await`. The two stand last: the reader is still the program's.
        self._poll = self._first_look = nothing_yet
        self._bell = bell

    def _settle(self, take: Take, block: bool) -> int:
        """The reader back from the bell. Returns how many ticks came into *take* meanwhile.

        Raises `Rebound` for `get_many` when there are some: they are in `get`'s hand.
        """
        hand = self._hand
        try:
            lib().bell_recall(self._bell)
        except ShimError:
            if self._closed:  # in another thread, just now
                raise Closed(f"queue {self.name!r} is closed") from None
            raise
        state, hand.state = hand.state, TAKE_EMPTY
        came: int = hand.used - self._count
        if came > 0:
            if take is hand:
                return came
            self._keep_taken()
            raise Rebound
        if state == TAKE_ORPHANED:
            hand.state = state  # no later look will find that out again
            self._at_end(orphaned=True)
        if state == TAKE_INTERRUPTED:
            if block:
                lib().reader_interrupt(self._reader)  # for the wait that begins now
            else:
                self._interrupted = True
        return 0

    def _nothing_there(self, bind_version: int | None = None) -> Empty:
        """What to raise when nothing is there. The bell waits from now on."""
        if self._bell is None:
            return Empty()
        interrupted, self._interrupted = self._interrupted, False
        if bind_version is not None:
            lib().bell_arm_unbound(self._bell, bind_version)
        elif not self._closed:
            if self._count >= BATCH:
                self._recycle()
            self._hand.state = TAKE_EMPTY
            lib().bell_arm(self._bell, self._arg)
        return Interrupted() if interrupted else Empty()

    def _stop_bell(self) -> None:
        """For `close`, from any thread. Who waits for the descriptor hears of it."""
        _stop_bells(self._bells, os.getpid())

    # ---- asyncio -------------------------------------------------------------------------------

    async def __aiter__(self) -> AsyncIterator[Tick]:
        """``async for tick in queue``: ticks until the engine has stopped and the queue is drained.

        As iteration, in an asyncio loop: between batches other tasks run. A task that is cancelled while it waits
        has taken nothing. Tasks of one loop may share a queue: each tick goes to one of them.

        Raises:
            queue.Empty: `interrupt` was called.
            BusyError: another loop, process or thread is waiting for this queue.
        """
        import asyncio

        while True:
            while (i := self._next) < self._count:
                self._next = i + 1
                self._handed[0] = self._given + i
                yield self._ticks[i]
            try:
                self._refill(False, None)
            except Interrupted:
                raise Empty from None
            except Empty:
                await self._readable()
            except Closed:
                return
            else:
                if self._count >= BATCH:  # a flood: others want to run, too
                    await asyncio.sleep(0)

    async def get_async(self) -> Tick:
        """`get` for asyncio. For a limit of time: ``asyncio.wait_for(queue.get_async(), seconds)``.

        Cancelled, it has taken nothing. Raises: as `get`; `queue.Empty` only after `interrupt`.
        """
        while True:
            try:
                return self.get(False)
            except Interrupted:
                raise Empty from None
            except Empty:
                await self._readable()

    async def get_many_async(self, max_ticks: int | None = None) -> npt.NDArray[np.void]:
        """`get_many` for asyncio, as `get_async` is `get`."""
        while True:
            try:
                return self.get_many(max_ticks, False)
            except Interrupted:
                raise Empty from None
            except Empty:
                await self._readable()

    async def _readable(self) -> None:
        """Until there may be something. Takes nothing, so that it can be cancelled."""
        import asyncio

        loop = asyncio.get_running_loop()
        with self._claim:  # another thread's loop may ask at the same moment
            waiting = self._waiting
            if waiting is None or waiting.loop is not loop:
                if waiting:
                    raise BusyError(
                        "get_async",
                        -7,
                        f"queue {self.name!r} is awaited in another event loop; make one queue for each",
                    )
                waiting = self._waiting = _Waiting(loop, self.fileno())
            future = waiting.add()
        await waiting.until(future)

    # ---- callbacks -----------------------------------------------------------------------------

    def run(
        self,
        on_tick: Callable[[Tick], object] | None = None,
        *,
        on_event: Callable[[Event], object] | None = None,
        on_ticks: Callable[[npt.NDArray[np.void]], object] | None = None,
    ) -> bool:
        """Call back for everything that comes, in order, in this thread, until the log has ended or `stop` is called.

        What a callback returns is not looked at. What it raises ends the call and passes through; the tick counts
        as read, the next call goes on behind it. `interrupt` alone does not end it.

        Args:
            on_tick: is given each tick, or
            on_ticks: an array of `TICK_DTYPE` of what is there, at least one tick, at most 1,024; its own.
            on_event: is given each `Event` in its place; for a queue with ``events=True``, without it they are
                passed over.

        Returns:
            True at the end, False after `stop`.

        Raises:
            ConfigError: not exactly one of *on_tick* and *on_ticks*, or *on_event* of a queue without events.
            BusyError: as `get`.
        """
        if (on_tick is None) == (on_ticks is None):
            raise ConfigError("run needs on_tick=, for one tick at a time, or on_ticks=, for arrays")
        if on_event is not None and not self.events:
            raise ConfigError(f"queue {self.name!r} has no events for on_event=: make it with events=True")
        self._running = threading.get_ident()
        try:
            while not self._stopping:
                wait = _UNBOUND_LOOK_S if self._reader is None else None
                try:
                    if on_ticks is not None:
                        _give(self.get_many(timeout=wait), on_ticks, on_event)
                        continue
                    record: Any = self.get(timeout=wait)
                except Empty:
                    continue
                except Closed:
                    return True
                if on_tick is not None and (not self.events or record.Kind == KIND_TICK):
                    on_tick(record)
                elif on_event is not None:
                    on_event(record)
            return False
        finally:
            self._running = None
            self._stopping = False

    def stop(self) -> None:
        """End `run` after the callback that is at work; not yet running, the next `run` ends at once.

        From a callback or any thread; does not block. From another thread it interrupts the wait: the first call
        for a tick after `run` may then raise `queue.Empty` once, as after `interrupt`.
        """
        self._stopping = True
        if self._running not in (None, threading.get_ident()):
            self.interrupt()

    def interrupt(self) -> None:
        raise NotImplementedError


def _give(
    rows: npt.NDArray[np.void],
    on_ticks: Callable[[npt.NDArray[np.void]], object],
    on_event: Callable[[Event], object] | None,
) -> None:
    """Ticks in arrays, as long as no event stands between them."""
    events = np.flatnonzero(rows["Kind"] != KIND_TICK)
    start = 0
    for at in [*events.tolist(), len(rows)]:
        if at > start:
            on_ticks(rows[start:at])
        if at < len(rows) and on_event is not None:
            on_event(Event.from_buffer_copy(rows[at].tobytes()))
        start = at + 1


def release_reader(reader: ct.c_void_p, log: TickLog, pid: int, bells: list[ct.c_void_p]) -> None:
    """Give a reader's place back and free it."""
    if os.getpid() == pid:  # a forked child shares the object, not the place
        for bell in bells:
            lib().bell_recall(bell)
        lib().reader_close(reader)
        lib().reader_free(reader)
    del log  # kept alive until here: the reader points into it


def _stop_bells(bells: list[ct.c_void_p], pid: int) -> None:
    """Also at interpreter exit: the thread writes into memory that Python is about to free."""
    if os.getpid() == pid:
        for bell in bells:
            lib().bell_stop(bell)


def _free_bells(bells: list[ct.c_void_p], pid: int) -> None:
    while bells and os.getpid() == pid:
        lib().bell_free(bells.pop())


def forget_bell(queue: Listening) -> None:
    """In a forked child: the thread has stayed with the parent, and so has what the descriptor says."""
    if queue._bell is not None:
        os.close(int(lib().bell_fd(queue._bell)))
    queue._begin_listening()
