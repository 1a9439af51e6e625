"""The front's port: listening, or held without listening so that connecting is refused."""

from __future__ import annotations

import socket

BACKLOG = 128


class Listener:
    """Takes the port at once and keeps it until `close`, also while connections are refused.

    Raises:
        OSError: the address cannot be had; the text names it.
    """

    def __init__(self, host: str, port: int) -> None:
        self._held: socket.socket | None = None
        try:
            self._address = (host, port)
            self._held = self._bind()
            self._address = self._held.getsockname()[:2]
            self.socket: socket.socket | None = None
            self.listen()
        except OSError as error:
            self.close()
            raise OSError(error.errno, f"cannot listen at {host}:{port}: {error.strerror or error}") from error
        except OverflowError as error:
            raise OSError(f"cannot listen at {host}:{port}: no such port") from error

    @property
    def host(self) -> str:
        """The address bound to."""
        return str(self._address[0])

    @property
    def port(self) -> int:
        """The port bound to, also where the system chose it."""
        return int(self._address[1])

    def _bind(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # Connections of the port's past, in TIME_WAIT, must not keep it from us.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(self._address)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        return sock

    def listen(self) -> None:
        """Accept connections (again)."""
        if self._held is not None:
            self._held.listen(BACKLOG)
            self.socket, self._held = self._held, None

    def refuse(self) -> None:
        """Have connections refused. The port stays taken by a socket that is bound and does not listen."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None
            self._held = self._bind()

    def close(self) -> None:
        """Give the port back. May be repeated."""
        for sock in (getattr(self, "socket", None), self._held):
            if sock is not None:
                sock.close()
        self.socket = self._held = None
