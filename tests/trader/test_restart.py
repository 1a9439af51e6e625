"""A strategy killed or ended at any moment and started again: it knows its orders and is told what it missed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from feed_support import wait_for

from tickengine.front import FrontProcess, MarketSpec
from tickengine.trader.journal import TradeLog

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(240)]

OPTIONS = ["--account", "a", "--name", "s", "--instruments", "rb2605", "--seconds", "60"]
STRATEGY = """
    import os, signal, time
    from tickengine.live import AbstractStrategy, get_command_line_parser, run_live

    END = os.environ["END"]

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    class Mine(AbstractStrategy):
        def on_start(self):
            self.set_local_bookkeep(os.environ["BOOKS"] == "local")

        def on_tick(self, instrument_id, tick):
            if self.is_trading_connected():
                if self.change_position_to(2, instrument_id) and END == "leaves":
                    self.set_should_exit(True)
            if self.has_traded and not self.has_pending_order():
                self.set_should_exit(True)

        def on_order(self, order):
            if END == "before the trades":
                while self.trader.status()["trades"] < 2:  # all in the journal, none told
                    time.sleep(0.005)
                die()

        def on_trade(self, trade):
            print("trade", trade.TradeID, trade.Volume, flush=True)
            if END == "at a trade":
                die()

        def on_exit(self):
            print("wants to end:", self.should_exit, "position:", self.single_sided_position(), flush=True)

    if __name__ == "__main__":
        run_live(Mine, {}, options=get_command_line_parser(Mine))
"""


@pytest.fixture
def fronts() -> Iterator[FrontProcess]:
    with FrontProcess(MarketSpec(["rb2605"], "random-walk"), rate=20, trading={"fill_volume": 1}) as front:
        yield front


class Runs:
    """Runs of one strategy, one after the other, in the same directory."""

    def __init__(self, folder: Path, fronts: FrontProcess, books: str) -> None:
        self.folder, self.fronts, self.books = folder, fronts, books
        (folder / "strategy.py").write_text(textwrap.dedent(STRATEGY))

    def start(self, end: str) -> tuple[subprocess.Popen[str], Path]:
        """Its output goes to a file: what it has started may hold a pipe for longer than it lives."""
        output = self.folder / "output"
        with open(output, "w") as file:
            process = subprocess.Popen(
                [sys.executable, "strategy.py", *OPTIONS],
                cwd=self.folder,
                env={**os.environ, "END": end, "BOOKS": self.books},
                stdout=file,
                stderr=file,
                text=True,
            )
        return process, output

    def run(self, end: str = "") -> tuple[int, str]:
        """To its end, and that of its trader process; exit status and output."""
        process, output = self.start(end)
        try:
            status = process.wait(90)
        finally:
            process.kill()
            process.wait()
        assert (self.folder / "live/s/td/trade.journal").exists(), output.read_text()
        self.wait_until_gone()
        return status, output.read_text()

    def wait_until_gone(self) -> None:
        with TradeLog.attach(self.folder / "live/s/td") as journal:
            wait_for(lambda: not journal.info().writer_alive, "the trader process of a killed strategy to end")


@pytest.fixture(params=["account", "local"])
def runs(
    request: pytest.FixtureRequest, fronts: FrontProcess, genuine: str, genuine_trader: str, tmp_path: Path
) -> Runs:
    (tmp_path / "tickengine.toml").write_text(
        f"""
        [accounts.a]
        md_front = "{fronts.address}"
        td_front = "{fronts.trading.address}"
        broker_id = "9999"
        investor_id = "me"
        library = "{genuine}"
        td_library = "{genuine_trader}"
        """
    )
    return Runs(tmp_path, fronts, request.param)


def trades(output: str) -> list[str]:
    return re.findall(r"^trade (\d+) 1$", output, re.MULTILINE)


def check_the_end(runs: Runs, status: int, output: str) -> None:
    """It has ended of itself, with what it wanted, and the front knows of one order only. So does one more run."""
    for again in (False, True):
        if again:
            status, output = runs.run()
            assert trades(output) == [], output
        assert status == 0 and "wants to end: True position: 2" in output, output
        report = runs.fronts.trading.report()
        assert list(report.inserts.values()) == [1] and report.lots == {("me", "rb2605", "2"): (2, 0)}, output


def told_by_the_front(runs: Runs) -> list[str]:
    return [trade["TradeID"] for trade in runs.fronts.trading.report().trades]


def test_killed_with_its_order_in_flight(runs: Runs) -> None:
    front = runs.fronts.trading
    front.delay_returns(600)
    process, _output = runs.start("")
    try:
        wait_for(lambda: front.report().orders_received or process.poll() is not None, "the order", 60)
    finally:
        process.kill()
        process.wait()
    runs.wait_until_gone()
    front.delay_returns(0)
    status, output = runs.run()
    assert trades(output) == told_by_the_front(runs) and len(trades(output)) == 2
    check_the_end(runs, status, output)


def test_ended_in_order_with_its_order_in_flight(runs: Runs) -> None:
    front = runs.fronts.trading
    front.delay_returns(600)
    status, output = runs.run("leaves")
    assert status == 0 and "of rb2605 is still" in output and trades(output) == []
    front.delay_returns(0)
    status, output = runs.run()
    assert trades(output) == told_by_the_front(runs) and len(trades(output)) == 2
    check_the_end(runs, status, output)


@pytest.mark.parametrize(("end", "told"), [("before the trades", 0), ("at a trade", 1)])
def test_killed_with_trades_that_it_was_not_told(runs: Runs, end: str, told: int) -> None:
    status, before = runs.run(end)
    assert status < 0 and len(trades(before)) == told
    status, output = runs.run()
    # The one that was being told when it was killed comes again.
    assert trades(output) == told_by_the_front(runs) and trades(before) == trades(output)[:told]
    check_the_end(runs, status, output)
