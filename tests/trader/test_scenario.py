"""The example from the command line: an order, the connection gone before any return, every return once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from feed_support import wait_for

from tickengine.front import FrontProcess, MarketSpec
from tickengine.front.trading import TradingReport
from tickengine.trader.account import AccountState
from tickengine.trader.journal import TradeLog

EXAMPLE = Path(__file__).parents[2] / "examples" / "place_order_disconnect_reconnect.py"
OPTIONS = ["--account", "loopback", "--name", "test.s1", "--instruments", "rb2605", "--seconds", "60"]
PASSWORD = "pass-word-1"


@pytest.fixture
def fronts() -> Iterator[FrontProcess]:
    with FrontProcess(
        MarketSpec(["rb2605"], "random-walk"),
        rate=20,
        password=PASSWORD,
        trading={"fill_volume": 1, "password": PASSWORD, "require_authentication": True},
    ) as front:
        yield front


def run(
    folder: Path, fronts: FrontProcess, library: str, trader_library: str, *, password: str = PASSWORD, **more: Any
) -> subprocess.CompletedProcess[str]:
    """The example as its own program, in *folder*; *more*: into the account's table."""
    table = {
        "md_front": fronts.address,
        "td_front": fronts.trading.address,
        "broker_id": "9999",
        "investor_id": "me",
        "password_env": "EXAMPLE_PASSWORD",
        "app_id": "app",
        "library": library,
        "td_library": trader_library,
        **more,
    }
    text = "".join(f"{key} = {str(value).lower() if value is True else repr(value)}\n" for key, value in table.items())
    (folder / "tickengine.toml").write_text(f"[accounts.loopback]\n{text}")
    return subprocess.run(
        [sys.executable, str(EXAMPLE), *OPTIONS],
        cwd=folder,
        env={**os.environ, "EXAMPLE_PASSWORD": password},
        capture_output=True,
        text=True,
        timeout=90,
    )


def check(folder: Path, ended: subprocess.CompletedProcess[str], report: TradingReport) -> AccountState:
    """It has ended well, and has seen what the front has sent, each once; returns the journal's account."""
    assert ended.returncode == 0, ended.stderr
    assert report.lots == {("me", "rb2605", "2"): (2, 0)} and "position of rb2605: 2 lots" in ended.stderr
    assert list(report.inserts.values()) == [1]
    told = re.findall(r"trade (\d+): (\d+) lots", ended.stderr)
    assert told == [(t["TradeID"], str(t["Volume"])) for t in report.trades] and len(told) == 2
    account, changes, returns = AccountState(), [], 0
    with TradeLog.attach(folder / "live/test.s1/td") as journal:
        for record in journal.records():
            returns += record.kind in ("rtn_order", "rtn_trade")
            changes += account.apply(record)
    assert returns == report.private_messages
    # Taken, sent on, two pieces with a trade each; it waits first if the price has gone on meanwhile.
    assert returns - len(told) in (4, 5)
    orders = [c for c in changes if c.kind in ("order", "cancel")]
    # A front that is asked first has told it by its answer.
    ours = sum(c.record.kind == "rtn_order" for c in orders)
    assert ours == returns - len(told) or any(c.record.kind == "qry_order" for c in orders)
    assert len(re.findall(r"order +\S+: \w+, ", ended.stderr)) == len(orders)
    assert PASSWORD not in ended.stderr
    return account


def test_the_example_leaves_and_comes_back(
    fronts: FrontProcess, genuine: str, genuine_trader: str, tmp_path: Path
) -> None:
    front = fronts.trading
    front.delay_returns(600)  # none comes before it has left

    def left() -> bool:
        report = front.report()
        return report.orders_received == 1 and (report.open_clients == 0 or report.connections > 1)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run, tmp_path, fronts, genuine, genuine_trader)
        wait_for(lambda: left() or running.done(), "the example to have left", 80)
        front.delay_returns(0)
        ended = running.result()
    report = front.report()
    account = check(tmp_path, ended, report)
    assert report.logins == 2 and ended.stderr.index("coming back") < ended.stderr.index("trade ")
    assert account.state == "stopped" and not account.book.open_orders()


def test_the_example_is_cut_by_the_front(
    fronts: FrontProcess, genuine: str, genuine_trader: str, tmp_path: Path
) -> None:
    fronts.trading.cut_at("order", how="rst")
    ended = run(tmp_path, fronts, genuine, genuine_trader)
    report = fronts.trading.report()
    check(tmp_path, ended, report)
    assert report.faults_happened == 1 and report.logins >= 2


def test_the_example_on_paper(fronts: FrontProcess, genuine: str, tmp_path: Path) -> None:
    ended = run(tmp_path, fronts, genuine, "", paper=True)
    assert ended.returncode == 0, ended.stderr
    assert "position of rb2605: 2 lots" in ended.stderr
    assert len(re.findall(r"trade \d+: 2 lots", ended.stderr)) == 1
    assert fronts.trading.report().connections == 0


def test_lots_that_the_account_has_already_are_counted(genuine: str, genuine_trader: str, tmp_path: Path) -> None:
    spec = MarketSpec(["rb2605"], "random-walk")
    with FrontProcess(spec, rate=20, trading={"lots": {"rb2605": (5, 0)}}) as fronts:
        ended = run(tmp_path, fronts, genuine, genuine_trader)
        report = fronts.trading.report()
    assert ended.returncode == 0, ended.stderr
    assert report.lots == {("me", "rb2605", "2"): (0, 2)} and "from 5 to 2 lots" in ended.stderr


def test_a_wrong_password_ends_it_with_the_reason(
    fronts: FrontProcess, genuine: str, genuine_trader: str, tmp_path: Path
) -> None:
    fronts.trading.refuse_logins(3)
    ended = run(tmp_path, fronts, genuine, genuine_trader)
    assert ended.returncode == 1
    assert re.search(
        r"^tickengine: trading has ended: login refused: 3 .*not tried again", ended.stderr, re.MULTILINE
    ), ended.stderr
    assert "Traceback" not in ended.stderr
    (tmp_path / "md").mkdir()
    ended = run(tmp_path / "md", fronts, genuine, genuine_trader, password="another")
    assert ended.returncode == 1 and re.search("^tickengine: .*login refused", ended.stderr, re.MULTILINE), ended.stderr
    assert "Traceback" not in ended.stderr and "another" not in ended.stderr


ACCOUNT = """
[accounts.loopback]
md_front = "tcp://127.0.0.1:41213"
td_front = "tcp://127.0.0.1:41205"
broker_id = "9999"
investor_id = "me"
"""


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (None, "No such file"),
        (ACCOUNT + 'password = "never-shown"', "password does not belong into this file"),
        (ACCOUNT + 'password_env = "NOT_SET_AT_ALL"', "NOT_SET_AT_ALL is not set"),
        (ACCOUNT + "limits = { order_volume = 0 }", "order_volume must be a whole number above 0"),
        (ACCOUNT.replace("tcp://127.0.0.1:41213", "127.0.0.1"), "md_front: .*must be tcp://host:port"),
        (ACCOUNT + 'library = "/no/such.so"', "/no/such.so"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line(config: str | None, words: str, tmp_path: Path) -> None:
    if config is not None:
        (tmp_path / "tickengine.toml").write_text(config)
    ended = subprocess.run(
        [sys.executable, str(EXAMPLE), *OPTIONS], cwd=tmp_path, capture_output=True, text=True, timeout=90
    )
    assert ended.returncode == 1 and ended.stdout == ""
    assert re.fullmatch(f"tickengine: .*{words}.*\n", ended.stderr), ended.stderr
    assert "never-shown" not in ended.stderr
