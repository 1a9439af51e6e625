"""The password and the authentication code are nowhere: not when all is well, and not when something fails."""

from __future__ import annotations

import glob
import json
import os
import secrets
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from feed_support import wait_for

sys.path.insert(0, str(Path(__file__).parents[1] / "genuine"))
from test_secrets import Hidden, hidden, of_process, reported, shown  # noqa: F401  (a fixture among them)

from tickengine import EngineError, ShimError, TickEngineError
from tickengine.front.trading import TradingFront
from tickengine.trader import _process
from tickengine.trader.engine import TraderEngine
from tickengine.trader.journal import TradeLogWriter

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(90)]


def on_disk(flow: Path) -> dict[str, bytes]:
    places = {str(p): p.read_bytes() + b"." for p in flow.rglob("*") if p.is_file()}
    for path in glob.glob("/dev/shm/tickengine-*"):
        with suppress(FileNotFoundError):  # an engine that gave up takes its ring away
            places[path] = Path(path).read_bytes() + b"."
    return places


@pytest.mark.parametrize("way", ["ready", "refused", "authentication refused", "killed"])
def test_nowhere(
    hidden: Hidden,  # noqa: F811
    genuine_trader: str,
    tmp_path: Path,
    way: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    flow = tmp_path / "flow"
    errors = ""
    with TradingFront({"rb2605": 3000.0}, password=hidden.password) as front:
        if way == "refused":
            front.refuse_logins(3)
        elif way == "authentication refused":
            front.refuse_authentications(63)
        engine = TraderEngine(
            front.address, "9999", "me", hidden.password, "app", hidden.auth_code, str(flow), library=genuine_trader
        )
        front.silence(600)  # what is refused ends its process, which is to be looked at before
        engine.start()
        assert engine.pid is not None
        places: dict[str, Any] = {**of_process(engine.pid), **on_disk(flow)}
        front.silence(0)
        if "refused" in way:
            with pytest.raises(EngineError, match="refused") as caught:
                engine.wait_ready()
            errors = reported(caught.value)
        else:
            engine.wait_ready(20, reconciled=True)
            if way == "killed":
                os.kill(engine.pid, signal.SIGSEGV)
                wait_for(lambda: engine.status()["restarts"] == 1 and engine.connected, "another process")
            with pytest.raises(EngineError) as caught:
                engine.query("ReqQryOrder", InstrumentID="x" * 60)
            errors = reported(caught.value)
            places |= {f"{name}, later": content for name, content in of_process(engine.pid).items()}
        places |= on_disk(flow)
        names = {os.path.basename(path) for path in places}
        assert {"trade.journal", "engine.log"} <= names and any(name.endswith(".con") for name in names), names
        assert "refused" in way or any(path.endswith(".ring") for path in places)
        places["status"] = json.dumps(engine.status())
        orders = engine._work()[1]
        places["objects"] = shown(engine, engine._settings, engine._process, orders, engine.account, front)
        engine.stop()
    hidden.in_none_of(
        {
            **places,
            **{f"{path}, at the end": content for path, content in on_disk(flow).items()},
            "errors": errors,
            "log": caplog.text,
            "output": "".join(capfd.readouterr()) + ".",
        }
    )


def test_errors_show_none(
    hidden: Hidden,  # noqa: F811
    genuine_trader: str,
    tmp_path: Path,
) -> None:
    given = ("9999", "me", hidden.password, "app", hidden.auth_code)
    reports = {}
    for name, wrong in (
        ("flow_dir", {}),
        ("limits", {"limits": {}}),
        ("wait", {"wait": "x"}),
        ("library", {"library": "x"}),
    ):
        place = "" if name == "flow_dir" else str(tmp_path)
        with pytest.raises(TickEngineError, match=name if name != "library" else "package 'x'") as caught:
            TraderEngine("127.0.0.1:9", *given, place, **{"library": genuine_trader, **wrong})  # type: ignore[arg-type]
        reports[name] = reported(caught.value)
    for which in ("password", "auth_code"):
        with pytest.raises(TickEngineError, match=f"^{which} must have at most") as caught:
            values = {"password": hidden.password, "auth_code": hidden.auth_code}
            values[which] += "x" * 60
            TraderEngine("127.0.0.1:9", "9999", "me", values["password"], "app", values["auth_code"], str(tmp_path))
        reports[f"{which} too long"] = reported(caught.value)
    engine = TraderEngine("127.0.0.1:9", *given, str(tmp_path / "flow"), library=genuine_trader)
    with TradeLogWriter(os.makedirs(tmp_path / "flow", 0o700) or str(tmp_path / "flow")):
        with pytest.raises(ShimError, match="journal") as caught:
            engine.start()
        reports["start"] = reported(caught.value)
    assert _process.Orders is type(engine._work()[1])
    reports["orders"] = repr(engine._work()[1])
    assert secrets.compare_digest(engine._settings.password.reveal(), hidden.password)
    hidden.in_none_of(reports)
