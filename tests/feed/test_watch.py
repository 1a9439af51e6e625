"""Metrics, health, hours, log lines and the service manager, each by itself."""

from __future__ import annotations

import datetime
import json
import logging
import math
import os
import socket
import sys
import urllib.request
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tickengine import ConfigError, TickLog, cli, hours
from tickengine._errors import MissingPackage, SegmentError
from tickengine.products import product_of, product_table
from tickengine.trading_calendar import covered
from tickengine.watch import health, jsonlog, metrics
from tickengine.watch.age import last_tick_age
from tickengine.watch.service import ServiceManager

QUEUE = {"name": "w1", "lag": 5, "received": 7, "lost": 2, "skipped": 1, "alive": True}
STATUS: dict[str, Any] = {
    "state": "live", "ticks": 12, "head": 15, "capacity": 64, "epoch": 2, "restarts": 1, "logins": 3, "disconnects": 2,
    "subscribed": 4, "unacknowledged": 1, "pid": 1, "queues": [QUEUE, {**QUEUE, "name": "md.events"}],
}  # fmt: skip
LATENCY = {"p50": 2_000, "p90": 3_000, "p99": 5_000, "max": 1_000_000, "count": 99}


@pytest.fixture
def server() -> Iterator[metrics.MetricsServer]:
    found = metrics.MetricsServer("127.0.0.1", 0)
    yield found
    found.close()


def scraped(server: metrics.MetricsServer) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def labels(**more: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({"engine": "md", **more}.items()))


def test_metrics_are_what_the_status_says_when_it_is_asked(server: metrics.MetricsServer) -> None:
    now = dict(STATUS)
    recorder = {"alive": True, "recorded": 5, "lost": 0, "events": 2, "blocked": False, "trading_day": "20261123"}
    server.add(metrics.FeedCollector("md", lambda: now, lambda: 0.25, lambda: recorder))
    found = scraped(server)
    assert (
        found[("tickengine_ticks_total", labels())] == 12
        and found[("tickengine_last_tick_age_seconds", labels())] == 0.25
    )
    for number in metrics.ENGINE:
        name = f"tickengine_{number.name}{'_total' if number.kind == 'counter' else ''}"
        assert found[(name, labels())] == STATUS[number.key]
    for number in metrics.QUEUE:
        name = f"tickengine_{number.name}{'_total' if number.kind == 'counter' else ''}"
        assert found[(name, labels(queue="w1"))] == QUEUE[number.key]
        assert (name, labels(queue="md.events")) not in found
    states = {dict(key[1])["state"]: value for key, value in found.items() if key[0] == "tickengine_state"}
    assert states == {state: float(state == "live") for state in metrics.STATES}
    assert not any("latency" in name for name, _ in found)  # an engine that does not measure it
    now.update(ticks=13, state="stale", queues=[{**QUEUE, "latency": LATENCY}])
    found = scraped(server)
    assert found[("tickengine_ticks_total", labels())] == 13 and found[("tickengine_state", labels(state="stale"))] == 1
    assert found[("tickengine_queue_latency_seconds", labels(queue="w1", quantile="0.99"))] == pytest.approx(5e-6)
    assert found[("tickengine_queue_latency_max_seconds", labels(queue="w1"))] == pytest.approx(1e-3)
    assert found[("tickengine_queue_latency_ticks_total", labels(queue="w1"))] == 99
    assert found[("tickengine_recorder_recorded_total", labels())] == 5
    assert {name for name, _ in found} == metrics.names()


def test_a_log_that_cannot_be_read_is_down_and_the_server_lives(server: metrics.MetricsServer) -> None:
    def damaged() -> Any:
        raise SegmentError("tk_log_info", -5, "damaged")

    server.add(metrics.FeedCollector("md", damaged, lambda: None))
    assert scraped(server) == {("tickengine_up", labels()): 0.0}


def test_an_address_in_use_is_one_error(server: metrics.MetricsServer) -> None:
    with pytest.raises(ConfigError, match=f"127.0.0.1:{server.port} cannot be listened at"):
        metrics.MetricsServer("127.0.0.1", server.port)


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingPackage, match=r"pip install 'tickengine\[metrics\]'"):
        metrics.MetricsServer("127.0.0.1", 0)


def test_every_metric_of_the_dashboard_exists() -> None:
    board = json.loads(files("tickengine").joinpath("data/grafana.json").read_text("utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    asked += [v["query"]["query"] for v in board["templating"]["list"] if v["type"] == "query"]
    named = {word for expression in asked for word in words_of(expression) if word.startswith("tickengine_")}
    assert len(asked) > 10 and named and named <= metrics.names()
    assert {"tickengine_queue_lost_total", "tickengine_state", "tickengine_queue_lag"} <= named
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids)) and all(panel["datasource"]["uid"] == "${source}" for panel in board["panels"])


def words_of(expression: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "_" else " " for c in expression).split()


# ---- health ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "running", "age", "open_s", "code", "words"),
    [
        ({}, True, 0.5, 999.0, 0, "live, last tick 0.5 s ago, 4 subscribed"),
        ({}, True, 61.0, 999.0, 1, "more than 60 s without a tick"),
        ({}, True, 7200.0, 30.0, 0, "live"),  # the session has only just begun
        ({}, True, None, 61.0, 1, "no tick yet"),
        ({}, True, 7200.0, 0.0, 0, "out of session hours"),
        ({"state": "stale"}, True, 70.0, 999.0, 1, "stale"),
        ({"state": "connecting", "front_error": "refused"}, True, 1.0, 999.0, 1, "connecting: refused"),
        ({"state": "connecting"}, True, 1.0, 30.0, 0, "connecting"),
        ({"state": "connecting"}, True, None, 0.0, 0, "connecting"),
        ({"state": "connecting"}, False, 1.0, 0.0, 2, "its process is dead"),
        ({"state": "failed", "failure": "wrong password"}, True, 1.0, 999.0, 2, "failed: wrong password"),
        ({"state": "stopped"}, False, 1.0, 0.0, 2, "stopped"),
    ],
)  # fmt: skip
def test_verdicts(
    changes: dict[str, Any], running: bool, age: float | None, open_s: float, code: int, words: str
) -> None:
    found = health.judge({**STATUS, **changes}, running, age, open_s)
    assert found[0] == code and words in found[1]


@pytest.mark.parametrize(
    ("instrument", "when", "since"),
    [
        ("rb2705", "2026-11-23 10:00:00", 3600.0), ("rb2705", "2026-11-23 10:15:00", 4500.0),
        ("rb2705", "2026-11-23 10:20:00", 0.0), ("IF2705", "2026-11-23 10:20:00", 3000.0),
        ("rb2705", "2026-11-23 08:59:59", 0.0), ("rb2705", "2026-11-23 21:30:00", 1800.0),
        ("IF2705", "2026-11-23 21:30:00", 0.0), ("rb2705", "2026-11-20 22:00:00", 3600.0),  # a Friday
        ("rb2705", "2026-11-21 10:00:00", 0.0), ("rb2705", "2026-11-22 22:00:00", 0.0),  # the weekend
        ("au2702", "2026-11-21 01:00:00", 3600.0), ("au2702", "2026-11-22 01:00:00", 0.0),  # Friday's night
        ("au2702", "2026-11-21 02:31:00", 0.0), ("rb2705", "2026-09-30 22:00:00", 0.0),  # before the holiday
        ("rb2705", "2026-10-01 10:00:00", 0.0), ("rb2705", "2031-11-24 10:00:00", 3600.0),  # beyond the calendar
        ("rb2705", "2031-11-24 22:00:00", 3600.0), ("rb2705", "2031-11-22 22:00:00", 0.0),
    ],
)  # fmt: skip
def test_session_hours(instrument: str, when: str, since: float) -> None:
    assert covered()[1] < "2031"
    product = product_of(instrument, day="20261123")
    assert product is not None
    at = datetime.datetime.fromisoformat(when + "+08:00")
    assert hours.open_for([product], at) == since
    assert hours.open_for([product], at.astimezone(datetime.timezone.utc)) == since
    assert bool(hours.open_for(product_table("20261123"), at)) >= bool(since)


def test_health_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["health", "no-such-engine"]) == 2
    assert capsys.readouterr().err == "no-such-engine: not running\n"
    assert cli.main(["health", "no name"]) == 2 and "cannot be used" in capsys.readouterr().err


def test_an_empty_log_has_no_tick() -> None:
    log = TickLog.create(f"test-age-{os.getpid()}", 64)
    try:
        assert last_tick_age(log) is None and list(health.products_seen(log)) == list(product_table())
    finally:
        log.unlink()
        log.close()


# ---- log lines -------------------------------------------------------------------------------------


def line_of(level: int, message: str, *args: Any, **more: Any) -> dict[str, Any]:
    record = logging.getLogger("tickengine.test").makeRecord(
        "tickengine.test", level, "f", 1, message, args, more.get("exc_info"), extra=more.get("extra")
    )
    text = jsonlog.JsonFormatter("md").format(record)
    assert "\n" not in text and text.isascii()
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_line_is_one_json_object() -> None:
    line = line_of(logging.WARNING, "前置 %s\n\u2028 \udcff", "x", extra={jsonlog.FIELDS: {"reason": 4097, "time": 1}})
    assert line["message"] == "前置 x\n\u2028 \udcff" and line["level"] == "warning" and line["engine"] == "md"
    at = datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00"))  # not the field of that name
    assert math.isclose(at.timestamp(), datetime.datetime.now().timestamp(), abs_tol=60) and line["reason"] == 4097
    try:
        raise ValueError("two\nlines")
    except ValueError:
        line = line_of(logging.ERROR, "oh", exc_info=sys.exc_info())
    assert line["exception"].endswith("ValueError: two\nlines")


# ---- the service manager ---------------------------------------------------------------------------


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_hears_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    path = f"@tickengine-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + path[1:] if abstract else path)
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        service = ServiceManager()
        assert service.watchdog_s == 15.0
        assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)  # not for the engine process
        service.ready()
        service.alive()
        service.status("two\nlines")
        service.stopping()
        found = [manager.recv(4096) for _ in range(4)]
        assert found == [b"READY=1", b"WATCHDOG=1", b"STATUS=two lines", b"STOPPING=1"]


def test_no_manager_and_one_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    service = ServiceManager()
    service.ready()
    assert service.watchdog_s is None and not caplog.records
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    ServiceManager().ready()
    assert "the service manager cannot be told READY: No such file" in caplog.text
