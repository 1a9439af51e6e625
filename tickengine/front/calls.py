"""How other threads get work onto the front's own thread, and its results back."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class Calls:
    """A queue of calls with a socket that becomes readable when there is one."""

    def __init__(self) -> None:
        self.wake_socket, self._writer = socket.socketpair()
        for end in (self.wake_socket, self._writer):
            end.setblocking(False)
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._closed = False

    def call(self, work: Callable[[], Any]) -> Future[Any]:
        """Have *work* run on the front's thread; from any thread.

        Raises:
            RuntimeError: the front has stopped.
        """
        outcome: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the front has stopped")
            self._waiting.append((work, outcome))
            self._wake()
        return outcome

    def wake(self) -> None:
        """Make the front's thread look round; from any thread, also after the end."""
        with self._lock:
            if not self._closed:
                self._wake()

    def _wake(self) -> None:
        try:
            self._writer.send(b"x")
        except BlockingIOError:
            pass  # the socket is full of wake-ups, one more says nothing new

    def run_waiting(self) -> None:
        """Carry out what has come; on the front's thread."""
        self.clear_wakes()
        while True:
            with self._lock:
                if not self._waiting:
                    return
                work, outcome = self._waiting.popleft()
            if not outcome.set_running_or_notify_cancel():
                continue
            try:
                result = work()
            except Exception as error:  # belongs to the caller
                outcome.set_exception(error)
            else:
                outcome.set_result(result)

    def clear_wakes(self) -> None:
        """Make the wake socket quiet again."""
        try:
            self.wake_socket.recv(4096)
        except BlockingIOError:
            pass  # somebody was quicker; nothing waits

    def close(self) -> None:
        """Fail what still waits and whatever comes later."""
        with self._lock:
            self._closed = True
            left = [outcome for _, outcome in self._waiting]
            self._waiting.clear()
        fail_stopped(left)
        self.wake_socket.close()
        self._writer.close()


def fail_stopped(outcomes: list[Future[Any]]) -> None:
    """Tell those who wait that nothing will come any more."""
    for outcome in outcomes:
        if not outcome.done() and (outcome.running() or outcome.set_running_or_notify_cancel()):
            outcome.set_exception(RuntimeError("the front has stopped"))
