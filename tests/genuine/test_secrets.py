"""Passwords and codes are nowhere to be seen: not when all is well, and not when something fails."""

from __future__ import annotations

import glob
import io
import json
import os
import resource
import secrets
import signal
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from feed_support import IDS, wait_for

import tickengine
from tickengine import EngineError, FutureAccount, MdApi, Secret, TickEngine, TickQueue, run_tick_engine
from tickengine._engine_process import Orders
from tickengine.front import Front, FrontProcess, MarketSpec, NumberedMarket
from tickengine.vendor_api import VendorApi

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(90)]
PACKAGE = os.path.dirname(tickengine.__file__)
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern").read_text().strip()


class Hidden:
    """A password and a code that occur nowhere else, and the looking for them."""

    def __init__(self) -> None:
        self.password, self.auth_code = f"pw{secrets.token_hex(10)}", f"au{secrets.token_hex(6)}"

    def in_none_of(self, places: dict[str, Any]) -> None:
        for place, content in places.items():
            raw = content if isinstance(content, bytes) else str(content).encode("utf-8", "replace")
            assert raw, f"nothing to look at in {place}"
            for value in (self.password, self.auth_code):
                assert value.encode() not in raw, f"in {place}"


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> Hidden:
    """Also in the environment of this process, as a program has it that reads them there."""
    hidden = Hidden()
    monkeypatch.setenv("TICKENGINE_TEST_PASSWORD", hidden.password)
    monkeypatch.setenv("TICKENGINE_TEST_AUTH", hidden.auth_code)
    return hidden


@pytest.fixture
def front() -> Iterator[FrontProcess]:
    with FrontProcess(MarketSpec(IDS), rate=500) as front:
        yield front


def engine_with(hidden: Hidden, front: Any, library: str, **options: Any) -> TickEngine:
    return TickEngine(
        front.address, "9999", "investor", hidden.password, "app", hidden.auth_code, IDS, library=library, **options
    )


def shown(*things: Any) -> str:
    """As an object, its attributes and theirs are shown: in a log line, in a debugger, in a report of locals."""
    texts = []
    for thing in things:
        attributes = getattr(thing, "__dict__", {})
        texts += [repr(thing), str(thing), f"{thing}", repr(attributes)]
        texts += [repr(getattr(value, "__dict__", value)) for value in attributes.values()]
    return "\n".join(texts)


def reported(error: BaseException) -> str:
    """All that a report of *error* can have: itself, what it came from, and the locals of the package's frames."""
    parts = []
    seen: BaseException | None = error
    while seen is not None:
        parts += ["".join(traceback.format_exception(seen)), repr(seen), repr(seen.args), repr(seen.__dict__)]
        parts += _locals(seen.__traceback__)
        seen = seen.__cause__ or seen.__context__
    return "\n".join(parts)


def _locals(trace: TracebackType | None) -> list[str]:
    frames = [frame for frame, _ in traceback.walk_tb(trace) if frame.f_code.co_filename.startswith(PACKAGE)]
    return [f"{name} = {value!r}" for frame in frames for name, value in frame.f_locals.items()]


def of_process(pid: int) -> dict[str, bytes]:
    return {name: Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")}


def on_disk(flow: Path) -> dict[str, bytes]:
    files = [p for p in flow.rglob("*") if p.is_file()] + [Path(p) for p in glob.glob("/dev/shm/tickengine-*")]
    return {str(p): p.read_bytes() + b"." for p in files}


def live(engine: TickEngine, front: FrontProcess) -> None:
    engine.wait_live()


def refused(engine: TickEngine, front: FrontProcess) -> None:
    front.delay_answers(0)
    with pytest.raises(EngineError, match="login refused: 3") as caught:
        engine.join(20)
    assert "login refused" in reported(caught.value)


def crashed(engine: TickEngine, front: FrontProcess) -> None:
    engine.wait_live()
    first = engine.pid
    assert first is not None
    os.kill(first, signal.SIGSEGV)
    wait_for(lambda: engine.pid != first and engine.status()["state"] == "live", "a new engine process")


def gave_up(engine: TickEngine, front: FrontProcess) -> None:
    engine.wait_live()
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSEGV)
    with pytest.raises(EngineError, match="died with status -11") as caught:
        engine.join(20)
    assert "-11" in reported(caught.value)


@pytest.mark.parametrize("way", [live, refused, crashed, gave_up])
def test_secrets_are_nowhere_to_be_seen(
    hidden: Hidden,
    genuine: str,
    front: FrontProcess,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    way: Callable[[TickEngine, FrontProcess], None],
) -> None:
    caplog.set_level("DEBUG")
    flow = tmp_path / "flow"
    if way is refused:
        front.refuse_logins(3)
        front.delay_answers(3600)  # until its process has been looked at
    with TickQueue(events=True) as queue:
        engine = engine_with(
            hidden, front, genuine, md_queue_list=[queue], page_dir=str(flow), restart=way is not gave_up
        )
        engine.start()
        pid = engine.pid
        assert pid is not None
        while_running = of_process(pid)
        files = on_disk(flow)
        way(engine, front)
        if way in (live, crashed):
            assert engine.pid is not None
            while_running = {**while_running, **{f"{k} later": v for k, v in of_process(engine.pid).items()}}
        files |= on_disk(flow)
        status = json.dumps(engine.status())
        objects = shown(engine, engine._settings, engine._process, queue)
        engine.stop()
        events = repr([str(record) + repr(record) for record in queue])
    names = {os.path.basename(path) for path in files}
    assert "engine.log" in names and any(name.endswith(".con") for name in names), names
    assert any(path.startswith("/dev/shm") for path in files)
    stats = front.stats()
    hidden.in_none_of(
        {
            **while_running,
            **files,
            **on_disk(flow),
            "status": status,
            "objects": objects,
            "events": events,
            "front": shown(stats) + stats.summary(),
            "log": caplog.text,
            "output": "".join(capfd.readouterr()) + ".",
        }
    )


def test_objects_in_this_process_and_orders_to_another_show_none(
    hidden: Hidden, genuine: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with Front(NumberedMarket(IDS), password=hidden.password) as front:
        given = ("9999", "investor", hidden.password, "app", hidden.auth_code, IDS)
        api = MdApi(front.address, *given, None, str(tmp_path / "flow"), library=genuine)
        try:
            wait_for(lambda: api.status()["state"] == "live", "live, with the right password")
            session = api._session
            assert session is not None
            orders = Orders(
                settings=session.settings,
                library="",
                log_path=b"",
                queue_paths=(),
                temporary_flow=False,
                parent_pid=0,
                log_level=0,
                core_dumps=False,
                secret_variables=(),
            )
            objects = shown(api, session, session._api, session.settings, orders, front, front._desk, front._loop)
            other = FrontProcess(password=hidden.password)
            objects += shown(other, FutureAccount("9999", {}, "", hidden.password, "", hidden.auth_code).__repr__())
        finally:
            api.Release()
    hidden.in_none_of({"objects": objects, "log": caplog.text, **on_disk(tmp_path)})


BAD = {
    "too long": lambda text: text + "x" * 41,
    "not UTF-8": lambda text: text.encode() + b"\xff",
    "surrogates of os.environ": lambda text: text + "\udcff",
    "other surrogates": lambda text: text + "\ud800",
    "NUL": lambda text: text + "\0",
    "a list": lambda text: [text],
    "a dict": lambda text: {"password": text},
    "a number": lambda text: int.from_bytes(text.encode(), "big"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("which", ["password", "auth_code"])
def test_a_wrong_one_is_not_in_the_error(hidden: Hidden, kind: str, which: str) -> None:
    bad = BAD[kind](getattr(hidden, which))
    values = {"password": "", "auth_code": "", which: bad}
    text = str(bad) if isinstance(bad, int) else getattr(hidden, which)
    account = FutureAccount("9999", {"MDServer": "127.0.0.1:9"}, "inv", **values, instrument_id_list=IDS)
    arguments = ["127.0.0.1:9", "9999", "inv", values["password"], "app", values["auth_code"], IDS]
    for make in (
        lambda: TickEngine(*arguments, library="compatible"),
        lambda: MdApi(*arguments, library="compatible"),
        lambda: run_tick_engine(account, library="compatible"),
    ):
        with pytest.raises(
            tickengine.ConfigError, match=rf"^{which} (must be a text|must have at most|is not UTF-8)"
        ) as c:
            make()
        assert text not in reported(c.value)
    if which == "password":
        with pytest.raises(ValueError, match="password (must|is not)") as caught:
            Front(password=bad)
        assert text not in reported(caught.value)
        with pytest.raises(ValueError, match="password (must|is not)") as caught:
            FrontProcess(password=bad).start()
        assert text not in reported(caught.value)


def test_an_error_that_has_nothing_to_do_with_it_shows_it_neither(
    hidden: Hidden, genuine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames are in every traceback: of a constructor, of `start`, of a request to the vendor library."""
    arguments = ["9999", "inv", hidden.password, "app", hidden.auth_code]
    reports = {}
    for what, cls in (("TickEngine", TickEngine), ("MdApi", MdApi)):
        with pytest.raises(tickengine.ConfigError) as caught:
            cls("127.0.0.1:9", *arguments, [], library="compatible")
        reports[what] = reported(caught.value)
    engine = TickEngine("127.0.0.1:9", *arguments, IDS, library=tickengine._shim.lib().path)
    with pytest.raises(tickengine.VendorLibraryError) as caught_in_start:
        engine.start()
    reports["start"] = reported(caught_in_start.value)
    with pytest.raises(ValueError, match="rate") as caught_in_front:
        Front(password=hidden.password, rate=-1.0)
    reports["Front"] = reported(caught_in_front.value)
    monkeypatch.setattr(VendorApi, "init", lambda self: None)
    api = MdApi("127.0.0.1:9", *arguments, IDS, library=genuine)
    try:
        for name, request in (("own", None), ("given", {"Password": hidden.password})):
            with pytest.raises(tickengine.ShimError, match="not initialised") as caught_in_login:
                api.ReqUserLogin(request)
            reports[f"login, {name}"] = reported(caught_in_login.value)
        with pytest.raises(tickengine.ConfigError, match="Password must have at most 40 bytes") as caught:
            api.ReqUserLogin({"Password": hidden.password * 3})
        reports["login, too long"] = reported(caught.value)
        # What the request was made of is gone, but for the vendor library's own copy.
        assert Secret(hidden.password) == api._session.settings.password  # type: ignore[union-attr]
    finally:
        api.Release()
    hidden.in_none_of(reports)


def test_the_buffer_for_a_request_is_zeros_afterwards() -> None:
    with Secret("pass-word-1").buffer() as text:
        assert text.value == b"pass-word-1"
    assert text.raw == bytes(12)


def test_the_message_to_the_engine_process_is_zeros_afterwards(hidden: Hidden, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[io.BytesIO] = []

    class Kept(io.BytesIO):
        def __init__(self, *content: bytes) -> None:
            super().__init__(*content)
            kept.append(self)

    with Front(NumberedMarket(IDS)) as front:
        monkeypatch.setattr(io, "BytesIO", Kept)
        with engine_with(hidden, front, "compatible"):
            pass
    contents = [buffer.getvalue() for buffer in kept]
    assert any(len(content) > 500 and not any(content) for content in contents), "no message has been seen"
    hidden.in_none_of({f"message {n}": content + b"." for n, content in enumerate(contents)})


# ---- core files --------------------------------------------------------------------------------------

CORE = """
    import resource, sys
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
    from tickengine import TickEngine
    password = sys.stdin.readline().strip()
    engine = TickEngine(sys.argv[1], "9999", "inv", password, "app", "auth", ["rb2601"], library=sys.argv[2],
                        restart=False, capacity=1024, page_dir=sys.argv[3], core_dumps=sys.argv[4] == "yes")
    engine.start()
    engine.wait_live()
    print(engine.pid, flush=True)
    try:
        engine.join()
    except Exception as error:
        print(error)
"""


def crash(hidden: Hidden, address: str, library: str, where: Path, dumps: bool, raise_limit: bool) -> list[Path]:
    """The core files of an engine process that has crashed. *raise_limit*: from outside, as an operator may."""
    # The directory of the process: multiprocessing goes where the parent's interpreter was started.
    program = [sys.executable, "-c", textwrap.dedent(CORE), address, library, str(where / "flow")]
    with (
        subprocess.Popen(
            [*program, "yes" if dumps else "no"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=where
        ) as process,
        ExitStack() as stack,
    ):
        stack.callback(process.kill)  # with it goes its engine
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(hidden.password + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            pytest.skip("the kernel does not let this process raise RLIMIT_CORE")
        pid = int(line)
        limit = resource.prlimit(pid, resource.RLIMIT_CORE)
        chosen = int(Path(f"/proc/{pid}/coredump_filter").read_text(), 16)
        assert (limit[0] == 0, chosen == 0) == (not dumps, not dumps)
        if raise_limit:
            resource.prlimit(pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
        os.kill(pid, signal.SIGSEGV)
        assert "died with status -11" in process.communicate(timeout=30)[0]
    return [p for p in where.iterdir() if p.name.startswith("core")]


def test_a_core_file_has_no_secret_unless_it_is_asked_for(hidden: Hidden, genuine: str, tmp_path: Path) -> None:
    on_disk = not CORE_PATTERN.startswith(("|", "/"))  # else only the limits can be looked at
    with Front(NumberedMarket(IDS)) as front:
        found = {}
        for dumps, raise_limit in ((False, False), (False, True), (True, False)):
            where = tmp_path / f"{dumps}-{raise_limit}"
            where.mkdir()
            found[dumps, raise_limit] = crash(hidden, front.address, genuine, where, dumps, raise_limit)
    assert found[False, False] == []
    if on_disk:
        (without,), (whole,) = found[False, True], found[True, False]
        assert hidden.password.encode() not in without.read_bytes()
        assert hidden.password.encode() in whole.read_bytes(), "the looking finds nothing"


# ---- the environment ---------------------------------------------------------------------------------

TAKEN = """
    import os, subprocess, sys
    from tickengine import secret
    given = secret(env="TICKENGINE_TEST_PASSWORD")
    left = open("/proc/self/environ", "rb").read()
    child = subprocess.run([sys.executable, "-c", "import os; print(os.environb)"], capture_output=True).stdout
    again = secret(env="TICKENGINE_TEST_PASSWORD")
    assert given == again and given.reveal().encode() not in left + child, "still there"
    assert b"TICKENGINE_TEST_PASSWORD" not in child
    print(given, repr(given), len(given.reveal()))
"""


def test_a_secret_taken_from_the_environment_is_inherited_by_nobody(hidden: Hidden) -> None:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(TAKEN)], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == (f"*** *** {len(hidden.password)}\n", "")


def test_the_engine_starts_while_other_variables_stay(
    hidden: Hidden, genuine: str, front: FrontProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TICKENGINE_TEST_OTHER", "stays")
    monkeypatch.setenv("TICKENGINE_TEST_EMPTY", "")
    with engine_with(hidden, front, genuine) as engine:
        assert engine.pid is not None
        environment = of_process(engine.pid)["environ"]
        assert b"TICKENGINE_TEST_OTHER=stays\0" in environment and b"TICKENGINE_TEST_EMPTY=\0" in environment
    assert os.environ["TICKENGINE_TEST_PASSWORD"] == hidden.password  # the program's own is its own affair
