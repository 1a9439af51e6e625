"""``tickengine orders``: what a journal says, for people and for programs, while it is written and afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from returns import Journal, input_order, order_return, trade_return

from tickengine.cli import main
from tickengine.trader.journal import TradeLogWriter
from tickengine.trader.records import Record

DATA = {"sending_order": "InputOrder", "rtn_order": "Order", "rtn_trade": "Trade", "rsp_user_login": "RspUserLogin"}


def write(writer: TradeLogWriter, journal: Journal) -> None:
    for r in journal.records:
        struct = DATA.get(r.kind, "")
        fields = (r.error_id, r.error_msg, r.reason, r.client_id, r.value, r.data, struct)
        writer.append(Record(-1, r.kind, 0, 0, 0, r.request_id, r.is_last, *fields))


def history() -> Journal:
    journal = Journal()
    journal.login()
    journal.add("session_state", error_msg="ready")
    filled = input_order(1, volume=2, price=123456.789)
    journal.sending(1, filled)
    journal.add("sent_order", client_id=1)
    journal.add("rtn_order", data=order_return(filled, "3", system="11"))
    journal.add("rtn_order", data=order_return(filled, "0", traded=2, system="11"))
    journal.add("rtn_trade", data=trade_return(filled, "7", 2, system="11"))
    journal.sending(2, input_order(2, direction="1", offset="4", instrument="SR605P6000", exchange="CZCE"))
    refused = input_order(3, price=1e7)
    journal.sending(3, refused)
    journal.add("order_not_sent", client_id=3, error_msg="there is no room on the disk")
    return journal


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    return tmp_path


def test_for_people(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with TradeLogWriter(str(flow)) as writer:
        write(writer, history())
        before = (flow / "trade.journal").read_bytes()
        assert main(["orders", str(flow)]) == 0
        assert (flow / "trade.journal").read_bytes() == before
        running = capsys.readouterr().out
    path, *lines = running.splitlines()
    assert path == str(flow / "trade.journal")
    assert all(len(line) <= 80 for line in lines), [line for line in lines if len(line) > 80]
    assert lines[0].startswith("11 records, written by process ") and lines[1] == "state ready, trading day 20261123"
    assert "3 orders" in lines and "1 trades" in lines and "1 positions" in lines
    words = [line.split() for line in lines]
    assert ["1", "rb2605", "buy", "open", "123456.789", "2", "2", "filled"] in words
    assert ["2", "SR605P6000", "sell", "close", "yesterday", "3000", "1", "0", "sending"] in words
    assert ["3", "rb2605", "buy", "open", "10000000", "1", "0", "not_sent"] in words
    assert "         there is no room on the disk" in lines
    assert ["7", "rb2605", "buy", "open", "123456.789", "2", "10:00:00"] in words
    assert "         rb2605      long       2 lots: 2 of today, 0 of before (a guess)" in lines
    # Its writer is gone, and has not said that it stopped.
    assert main(["orders", str(flow / "trade.journal")]) == 0
    assert "no process writes it\nstate lost, trading day 20261123" in capsys.readouterr().out


def test_for_programs(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with TradeLogWriter(str(flow)) as writer:
        write(writer, history())
        writer.note("session_state", "login refused: 3", value=1)
    assert main(["orders", str(flow), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["failure"], told["writer"], told["records"]) == ("failed", "login refused: 3", None, 12)
    assert [o["state"] for o in told["orders"]] == ["filled", "sending", "not_sent"]
    assert told["orders"][0]["trades"] == [told["trades"][0]["TradeID"]] == ["7"]
    (held,) = told["positions"]
    assert (held["InstrumentID"], held["PosiDirection"], held["total"], held["known"]) == ("rb2605", "2", 2, False)


def test_without_a_journal(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["orders", str(flow)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("tickengine: ") and str(flow / "trade.journal") in err
    (flow / "trade.journal").write_bytes(b"\xa5" * 9000)
    assert main(["orders", str(flow)]) == 1
    assert "trade.journal" in capsys.readouterr().err


@pytest.mark.parametrize("offset", [0, 8, 16, 32, 40, 48, 56, 191])
def test_a_damaged_record_is_one_line(flow: Path, capsys: pytest.CaptureFixture[str], offset: int) -> None:
    with TradeLogWriter(str(flow)) as writer:
        write(writer, history())
    path = flow / "trade.journal"
    with open(path, "r+b") as file:
        file.seek(4096 + 1024 + offset)
        file.write(b"\xff")
    before = path.read_bytes()
    assert main(["orders", str(flow), "--json"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith(f"tickengine: '{path}' is damaged: record 1 is not what was written; move it away")
    assert path.read_bytes() == before


def test_a_header_with_an_impossible_number_is_one_line(flow: Path) -> None:
    """In a process of its own: it ended with SIGBUS."""
    TradeLogWriter(str(flow)).close()
    with open(flow / "trade.journal", "r+b") as file:
        file.seek(128)
        file.write(((1 << 54) + 3).to_bytes(8, "little"))
    command = [sys.executable, "-m", "tickengine", "orders", str(flow)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "is damaged" in done.stderr and f"not {(1 << 54) + 3}; move it away" in done.stderr


def test_help() -> None:
    run = [sys.executable, "-m", "tickengine"]
    everything = subprocess.run([*run, "--help"], capture_output=True, text=True, check=True, timeout=30).stdout
    assert "orders" in everything and "journal" in everything
    own = subprocess.run([*run, "orders", "--help"], capture_output=True, text=True, check=True, timeout=30).stdout
    assert "flow_dir" in own and "--json" in own and all(len(line) <= 80 for line in own.splitlines())
