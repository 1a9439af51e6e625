"""The strategy layer on paper: what a strategy sees, in which order, and what its calls do."""

from __future__ import annotations

import logging
import queue as stdlib_queue
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from live_support import Ticks, tick

from tickengine import ConfigError
from tickengine.bars import BarBuilder, seconds_of
from tickengine.live import AbstractStrategy, Bar, get_command_line_parser
from tickengine.live import runner as runner_module
from tickengine.live.runner import Runner
from tickengine.live.told import Told, ToldFile
from tickengine.trader.journal import TradeLog, TradeLogWriter
from tickengine.trader.limits import LimitRefused, Limits
from tickengine.trader.paper import _POSITIONS, PaperTrader


class Recorder(AbstractStrategy):
    """Writes down what it is told."""

    def __init__(self, instrument_ids: Any, parameters: Any, base_folder: str, **more: Any) -> None:
        AbstractStrategy.__init__(self, instrument_ids, parameters, base_folder, **more)
        self.story: list[Any] = []

    def on_start(self) -> None:
        self.story.append("start")

    def on_tick(self, instrument_id: str, tick: Any) -> None:
        self.story.append(("tick", tick.LastPrice))
        self.act(tick)

    def act(self, tick: Any) -> None:
        """For subclasses."""

    def on_order(self, order: Any) -> None:
        self.story.append(order.state)

    def on_trade(self, trade: Any) -> None:
        self.story.append(("trade", trade.Price, trade.Volume))

    def on_connection(self, connected: bool) -> None:
        self.story.append("connected" if connected else "disconnected")

    def on_bar(self, instrument_id: str, period: str, bar: Bar) -> None:
        self.story.append((period, bar.OpenPrice, bar.HighestPrice, bar.LowestPrice, bar.ClosePrice, bar.Volume))

    def on_exit(self) -> None:
        self.story.append("exit")


def run(strategy: AbstractStrategy, ticks: list[Any], **paper: Any) -> PaperTrader:
    trader = PaperTrader(**paper)
    run_on(trader, strategy, ticks)
    return trader


def run_on(trader: PaperTrader, strategy: AbstractStrategy, ticks: list[Any], told: Told | None = None) -> None:
    runner = Runner(strategy, Ticks(ticks), trader, told=told)  # type: ignore[arg-type]
    try:
        runner.run()
    finally:
        runner.finish(cancel=False)


def make(cls: type[Recorder] = Recorder, **more: Any) -> Recorder:
    return cls(["rb2605"], None, ".", **more)


def test_what_a_strategy_is_told_in_order() -> None:
    class Buyer(Recorder):
        def act(self, tick: Any) -> None:
            if tick.LastPrice == 3000.0:
                self.change_position_to(2)

    strategy = make(Buyer)
    run(strategy, [tick(2999.0), tick(3000.0), tick(3001.0)])
    # One object tells them all: at the time of the first it is where the last has brought it.
    assert strategy.story == [
        "start", "connected", ("tick", 2999.0), ("tick", 3000.0), *["filled"] * 5, ("trade", 3001.0, 2),
        ("tick", 3001.0), "exit",
    ]  # fmt: skip
    assert strategy.has_traded and not strategy.has_pending_order() and strategy.single_sided_position() == 2


def test_the_scenario_disconnects_with_an_order_under_way_and_gets_its_returns_once() -> None:
    class PlaceOrderDisconnectAndReconnect(Recorder):
        """Sends an order, goes away before any return, comes back."""

        placed = False
        away = 0

        def on_tick(self, instrument_id: str, tick: Any) -> None:
            if self.is_trading_connected():
                if not self.placed:
                    assert self.single_sided_position(instrument_id=instrument_id) == 0
                    self.change_position_to(2, instrument_id=instrument_id, tick_delta=None, price=2995.0)
                    self.disconnect_trading()
                    self.placed = True
            else:
                self.away += 1
                if self.away == 3:
                    self.connect_trading()
            if self.has_traded and not self.has_pending_order():
                self.set_should_exit(True)

    strategy = make(PlaceOrderDisconnectAndReconnect)
    ticks = [tick(price) for price in (3000.0, 2993.0, 2993.0, 2993.0, 2993.0, 2993.0)]
    trader = run(strategy, ticks)
    assert [entry for entry in strategy.story if isinstance(entry, tuple)] == [("trade", 2994.0, 2)]
    assert strategy.should_exit and trader.positions.net("rb2605") == 2
    assert strategy.story.index("disconnected") < strategy.story.index(("trade", 2994.0, 2))


def test_target_positions_count_what_is_under_way() -> None:
    class Steady(Recorder):
        sent = 0

        def act(self, tick: Any) -> None:
            self.sent += len(self.change_position_to(3, price=2990.0))

    strategy = make(Steady)
    trader = run(strategy, [tick(3000.0)] * 5)
    assert strategy.sent == 1 and strategy.has_pending_order() and len(trader.book.open_orders()) == 1


def test_from_long_to_short_closes_first() -> None:
    class Turner(Recorder):
        def act(self, tick: Any) -> None:
            self.orders = self.change_position_to(-2) or self.orders

        orders: list[Any] = []

    strategy = make(Turner)
    trader = run(strategy, [tick(3000.0), tick(3000.0)], lots={"rb2605": (3, 0)})
    assert [(o.Offset, o.Direction, o.VolumeTotalOriginal) for o in strategy.orders] == [("4", "1", 3), ("0", "1", 2)]
    assert trader.positions.net("rb2605") == -2


@pytest.mark.parametrize(("delta", "price"), [(None, 3001.0), (0, 3001.0), (3, 3004.0), (-2, 2999.0)])
def test_the_limit_price_of_a_target(delta: int | None, price: float) -> None:
    class Buyer(Recorder):
        def act(self, tick: Any) -> None:
            (self.order,) = self.change_position_to(1, tick_delta=delta)
            self.set_should_exit(True)

        order: Any = None

    strategy = make(Buyer)
    run(strategy, [tick(3000.0)])
    assert strategy.order.LimitPrice == price


def test_without_a_price_nothing_is_sent() -> None:
    class Buyer(Recorder):
        def act(self, tick: Any) -> None:
            assert self.change_position_to(1) == []

    run(make(Buyer), [tick(3000.0, AskPrice1=float("nan"))])


def test_own_books_leave_out_what_others_did() -> None:
    class Own(Recorder):
        def act(self, tick: Any) -> None:
            self.set_local_bookkeep(True)
            assert self.single_sided_position() == 0
            self.change_position_to(1)
            self.set_should_exit(True)

    strategy = make(Own)
    trader = run(strategy, [tick(3000.0)], lots={"rb2605": (5, 0)})
    assert strategy.single_sided_position() == 1 and trader.positions.net("rb2605") == 6


def test_own_books_are_as_new_as_the_orders() -> None:
    class Hasty(Recorder):
        def act(self, tick: Any) -> None:
            self.set_local_bookkeep(True)
            # Before the second is sent the first one's end is seen.
            self.sent = [len(self.change_position_to(target)) for target in (1, 2, 2)]
            self.set_should_exit(True)

        def on_order(self, order: Any) -> None:
            assert self.change_position_to(2) == []  # before it is told of the trades

        sent: list[int] = []

    strategy = make(Hasty)
    trader = run(strategy, [tick(3000.0)])
    assert strategy.sent == [1, 1, 0] and trader.positions.net("rb2605") == strategy.single_sided_position() == 2


class Buyer(Recorder):
    def act(self, tick: Any) -> None:
        self.set_local_bookkeep(True)
        if self.is_trading_connected():
            self.change_position_to(2)
        if self.has_traded and not self.has_pending_order():
            self.set_should_exit(True)


def told_trades(strategy: Recorder) -> list[Any]:
    return [entry for entry in strategy.story if entry[0] == "trade"]


def test_what_earlier_runs_did_is_the_strategys_own() -> None:
    trader, told = PaperTrader(), Told()
    first, second = make(Buyer), make(Buyer)
    run_on(trader, first, [tick(3000.0), tick(3000.0)], told)
    assert first.should_exit and len(told_trades(first)) == 1
    run_on(trader, second, [tick(3000.0), tick(3000.0)], told)
    assert second.should_exit and second.has_traded and second.single_sided_position() == 2
    assert len(trader.book) == 1 and told_trades(second) == []


def test_an_order_of_an_earlier_run_is_under_way() -> None:
    class Patient(Buyer):
        def act(self, tick: Any) -> None:
            self.set_local_bookkeep(True)
            self.change_position_to(2, price=2990.0)

    trader, told = PaperTrader(), Told()
    run_on(trader, make(Patient), [tick(3000.0)], told)
    strategy = make(Patient)
    run_on(trader, strategy, [tick(3000.0), tick(2980.0)], told)
    assert len(trader.book) == 1 and len(told_trades(strategy)) == 1 and not strategy.has_pending_order()
    assert strategy.cancel_orders() == 0 and strategy.single_sided_position() == 2


def test_the_own_position_stays_overnight_and_having_traded_does_not() -> None:
    trader = PaperTrader(trading_day="20261123")
    run_on(trader, make(Buyer), [tick(3000.0), tick(3000.0)])
    trader._add("rsp_user_login", data={"TradingDay": "20261124", "FrontID": 1, "SessionID": 2})
    trader._answer("qry_position", _POSITIONS)
    strategy = make(Buyer)
    run_on(trader, strategy, [tick(3000.0)])
    assert "connected" in strategy.story and trader.book.trading_day == "20261124"
    assert not strategy.has_traded and not strategy.should_exit and strategy.single_sided_position() == 2
    assert len(trader.book) == 1


def test_what_was_told_before_a_callback_raised_is_not_told_again() -> None:
    class Fails(Buyer):
        def on_trade(self, trade: Any) -> None:
            super().on_trade(trade)
            raise RuntimeError("a mistake")

    trader, told = PaperTrader(fill_volume=1), Told()
    first, second = make(Fails), make(Buyer)
    with pytest.raises(RuntimeError, match="a mistake"):
        run_on(trader, first, [tick(3000.0)], told)
    run_on(trader, second, [tick(3000.0)] * 4, told)
    assert len(told_trades(first) + told_trades(second)) == len(trader.book.trades) == 2


def test_a_traders_news_end_the_wait_for_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere(PaperTrader):
        """Its news come from somewhere else."""

        news: Any = None

        def watch(self, news: Any) -> None:
            self.news = news

    class Quiet(Ticks):
        """No tick ever comes: a disconnect does, while the strategy waits."""

        rung = threading.Event()

        def get(self, timeout: float | None = None) -> Any:
            trader.disconnect()
            if trader.news is not None:
                threading.Thread(target=trader.news).start()
            assert self.rung.wait(timeout), "nobody has ended the wait"
            raise stdlib_queue.Empty

        def interrupt(self) -> None:
            self.rung.set()

    class Leaver(Recorder):
        def on_connection(self, connected: bool) -> None:
            super().on_connection(connected)
            self.set_should_exit(not connected)

    monkeypatch.setattr(runner_module, "_LONGEST_WAIT_S", 20.0)
    strategy, trader = make(Leaver), Elsewhere()
    runner = Runner(strategy, Quiet([]), trader)  # type: ignore[arg-type]
    runner.run()
    assert strategy.story == ["start", "connected", "disconnected"] and trader.news is not None
    runner.finish(cancel=False)
    assert trader.news is None


def test_how_far_a_strategy_was_told_outlives_it(tmp_path: Path) -> None:
    def write(*notes: str, place: Path = tmp_path) -> None:
        with TradeLogWriter(place) as writer:
            for note in notes:
                writer.note("note", note)

    def told(place: Path = tmp_path) -> ToldFile:
        with TradeLog.attach(place) as journal:
            return ToldFile(str(tmp_path / "trade.told"), journal)

    def next_of(place: Path = tmp_path) -> int:
        with closing(told(place)) as found:
            return found.next

    write("a", "b")
    write("c")
    assert next_of() == 3  # behind what was there before: epoch, a, b
    with closing(told()) as found:
        found.up_to(4)
    write("d")
    assert next_of() == 4  # c, which nobody was told
    with closing(told()) as found:
        found.up_to(1000)
    write("e")
    assert next_of() == 7  # records that the disk has lost: what is new has their numbers
    (tmp_path / "other").mkdir()
    write("f", "g", place=tmp_path / "other")
    write("h", place=tmp_path / "other")
    assert next_of(tmp_path / "other") == 3
    (tmp_path / "trade.told").unlink()
    (tmp_path / "trade.told").mkdir()
    with pytest.raises(ConfigError, match="trade.told: Is a directory"):
        told()


def test_cancelling() -> None:
    class Shy(Recorder):
        def act(self, tick: Any) -> None:
            if tick.LastPrice == 3000.0:
                self.change_position_to(1, price=2990.0)
            else:
                self.cancelled = self.cancel_orders()

        cancelled = 0

    strategy = make(Shy)
    trader = run(strategy, [tick(3000.0), tick(3001.0)])
    assert strategy.cancelled == 1 and not trader.book.open_orders()


@pytest.mark.parametrize(("before", "asked"), [("unknown", 1), ("refused", 1), ("not_sent", 1), ("sent", 0)])
def test_a_cancellation_whose_fate_is_not_known_is_asked_for_again(before: str, asked: int) -> None:
    class Shy(Recorder):
        def act(self, tick: Any) -> None:
            if tick.LastPrice == 3000.0:
                (self.order,) = self.change_position_to(1, price=2990.0)
            else:
                self.order.cancel = before
                self.cancelled = self.cancel_orders()

    strategy = make(Shy)
    run(strategy, [tick(3000.0), tick(3001.0)])
    assert strategy.cancelled == asked


def test_orders_left_at_the_end_are_named(caplog: pytest.LogCaptureFixture) -> None:
    class Leaver(Recorder):
        def act(self, tick: Any) -> None:
            self.change_position_to(1, price=2990.0)

    with caplog.at_level(logging.WARNING):
        run(make(Leaver), [tick(3000.0)])
    assert "of rb2605 is still queueing" in caplog.text


def test_limits_reach_the_strategy_and_what_it_raises_reaches_the_caller() -> None:
    class Greedy(Recorder):
        def act(self, tick: Any) -> None:
            self.change_position_to(99)

    strategy = make(Greedy)
    with pytest.raises(LimitRefused, match="99 lots of rb2605"):
        run(strategy, [tick(3000.0)], limits=Limits())
    assert strategy.story[-1] == "exit"


def test_bars_reach_the_strategy() -> None:
    strategy = make(periods=["1m"])
    prices = [(3000.0, 0, 10), (3005.0, 20, 12), (2998.0, 59, 15), (3001.0, 61, 16)]
    run(strategy, [tick(price, at=at, volume=volume) for price, at, volume in prices])
    assert ("1m", 3000.0, 3005.0, 2998.0, 2998.0, 5) in strategy.story


# ---- bars --------------------------------------------------------------------------------------


def test_bars_by_hand() -> None:
    builder = BarBuilder(["30s", 60])
    seen = [
        builder.take(tick(p, at=at, volume=v)) for p, at, v in ((1.0, 0, 5), (3.0, 29, 6), (2.0, 31, 9), (4.0, 60, 9))
    ]
    assert [[(b.period, b.Volume, b.ClosePrice, b.ticks) for b in ended] for ended in seen] == [
        [], [], [("30s", 1, 3.0, 2)], [("30s", 3, 2.0, 1), ("1m", 4, 2.0, 3)],
    ]  # fmt: skip


def test_a_bar_ends_without_a_later_tick_and_late_ticks_are_left_out() -> None:
    builder = BarBuilder(["1m"])
    first = tick(1.0, volume=1)
    builder.take(first)
    builder.take(tick(2.0, at=1, volume=2))
    assert builder.advance(first.RecvTime + 61 * 10**9) == []
    (bar,) = builder.advance(first.RecvTime + 62 * 10**9)
    assert bar.start == first.ExchangeTime
    assert builder.take(tick(9.0, at=30, volume=3)) == [] and builder.advance(2**62) == []
    assert bar.HighestPrice == 2.0 and builder.left_out["late"] == 1


def test_ticks_without_time_or_price_make_no_bars() -> None:
    builder = BarBuilder(["1m"])
    builder.take(tick(1.0, volume=1, ExchangeTime=0))
    builder.take(tick(float("nan"), volume=2))
    assert builder.advance(2**62) == [] and builder.finish() == []
    assert (builder.left_out["no_time"], builder.left_out["no_price"]) == (1, 1)


def test_periods_reach_the_strategy_as_they_were_given() -> None:
    strategy = make(periods=[60, "30s"])
    run(strategy, [tick(3000.0, at=at, volume=at) for at in (0, 20, 70)])
    assert [line[0] for line in strategy.story if line[0] in ("60", "30s", "1m")] == ["60", "30s"]


@pytest.mark.parametrize("wrong", ["", "0m", "7m", "1w", "m", -5, 1.5, "2d"])
def test_wrong_periods(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="period"):
        seconds_of(wrong)


# ---- options -----------------------------------------------------------------------------------


def test_options_of_the_scenario(tmp_path: Any) -> None:
    text = f"--account simnow_future4 --name test.s1 --instruments cu1610 --base-folder {tmp_path}/a/b"
    options = get_command_line_parser(Recorder, text)
    assert (options.account, options.name, options.get_instruments()) == ("simnow_future4", "test.s1", ["cu1610"])
    assert options.get_base_folder() == f"{tmp_path}/a/b" and (tmp_path / "a/b").is_dir()
    assert options.get_logger().name == "tickengine.live.test.s1" and options.parse_args() is options


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("--instruments a", "--account"),
        ("--account a", "--instruments"),
        ("--account a --instruments ,", "ids separated by commas"),
        ("--account a --instruments b --name ../x", "--name"),
        ("--account a --instruments b --seconds 0", "seconds above 0"),
        ("--account a --instruments b --sec 3", "unrecognized"),
    ],
)
def test_wrong_options_are_named(wrong: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        get_command_line_parser(Recorder, wrong)
    assert ended.value.code == 2 and words in capsys.readouterr().err


def test_a_strategy_that_does_not_run_says_so() -> None:
    with pytest.raises(ConfigError, match="not running"):
        make().is_trading_connected()
    with pytest.raises(ConfigError, match="2 instruments"):
        Recorder(["a", "b"], None, ".")._instrument(None)
