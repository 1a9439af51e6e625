"""An `MdApi` in a process of its own, for the genuine library under hundreds of cuts: its crash must not end pytest."""

from __future__ import annotations

import faulthandler
import re
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from feed_support import IDS, SPAWN, api_on, numbers_of, wait_for

from tickengine import TickQueue, session

REQUEST = re.compile(
    r'^Current thread .*\n  File ".*/tickengine/vendor_api\.py", line \d+ in (?:login|logout|subscription)$',
    re.MULTILINE,
)


class CrashedInRequest(Exception):
    """SIGSEGV on the thread that was in one of the vendor library's requests."""


def _serve(address: str, library: str, queue: TickQueue, options: dict[str, Any], crash: str, ours: Connection) -> None:
    session.LOGINS_CUT_AT_ONCE = 1 << 30  # the pauses that spare a front would take hours
    with open(crash, "w") as file:
        faulthandler.enable(file)
        with api_on(address, library, IDS, [queue], **options) as api:
            answers = {
                "status": api.status,
                "last numbers": lambda: numbers_of(api.log.read(max(0, api.log.head - 64))),
            }
            while (what := ours.recv()) != "release":
                ours.send(answers[what]())
    faulthandler.disable()


class ApiChild:
    """Released when the block ends. Whatever finds the process dead raises.

    Raises:
        CrashedInRequest: it died of the vendor library's request.
        AssertionError: it died of anything else; what faulthandler wrote is in the text.
    """

    def __init__(self, address: str, library: str, queue: TickQueue, crash: Path, **options: Any) -> None:
        self._crash = crash
        crash.write_text("")
        self._ours, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=_serve, args=(address, library, queue, options, str(crash), theirs))
        self.process.start()
        theirs.close()

    def __enter__(self) -> ApiChild:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._send("release")
                self.process.join(30)
                if self.process.exitcode != 0:
                    self._died()
        finally:
            self.process.kill()
            self.process.join()
            self._ours.close()

    def ask(self, what: str) -> Any:
        self._send(what)
        try:
            if not self._ours.poll(30):
                raise AssertionError(f"no {what} from the api's process within 30 s")
            return self._ours.recv()
        except (EOFError, ConnectionResetError):
            self._died()

    def check(self) -> None:
        if not self.process.is_alive():
            self._died()

    def _send(self, what: str) -> None:
        try:
            self._ours.send(what)
        except BrokenPipeError:
            self._died()

    def _died(self) -> NoReturn:
        self.process.join(20)
        text = self._crash.read_text()
        if self.process.exitcode == -signal.SIGSEGV and REQUEST.search(text):
            raise CrashedInRequest(text)
        raise AssertionError(f"the api's process ended with status {self.process.exitcode}: {text or 'no word'}")

    def wait_live(self) -> None:
        wait_for(lambda: self.ask("status")["state"] == "live", "state live")

    def wait_ticks(self, count: int) -> None:
        wait_for(lambda: self.ask("status")["ticks"] >= count, f"{count} ticks")
