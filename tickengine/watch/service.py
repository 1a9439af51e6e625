"""What a service manager is told: systemd's notification protocol (``Type=notify``)."""

from __future__ import annotations

import logging
import os
import socket

logger = logging.getLogger("tickengine")


class ServiceManager:
    """The manager that started this process, if one did; else every method does nothing.

    The socket's name is taken out of the environment: the engine process is not the one to speak.
    """

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        ours = os.environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = os.environ.pop("WATCHDOG_USEC", "")
        self.watchdog_s: float | None = None
        """How often it wants a sign of life, in seconds: half of the time after which it acts."""
        if self._address and ours and microseconds.isdigit() and int(microseconds):
            self.watchdog_s = int(microseconds) / 2e6

    def ready(self) -> None:
        """Started, or done with reloading."""
        self._send("READY=1")

    def alive(self) -> None:
        """The sign of life."""
        self._send("WATCHDOG=1")

    def status(self, words: str) -> None:
        """One line for people: ``systemctl status`` shows it."""
        self._send("STATUS=" + " ".join(words.split()))

    def stopping(self) -> None:
        """On the way to an ordered end."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
                s.setblocking(False)  # a manager that does not read must not hold a feed up
                s.sendto(text.encode("utf-8", "replace"), self._address)
        except OSError as error:
            logger.warning("the service manager cannot be told %s: %s", text.partition("=")[0], error.strerror)
