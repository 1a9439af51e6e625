"""Every genuine trader library that the package index offers, each in a process of its own on the loopback front:
recognised, created, connected, cut, connected again, released.

The front speaks the plain protocol. Libraries that encrypt begin with a handshake which it does not know and
says so (77): their OnFrontConnected never comes, but OnRspError does, by its slot and with its text.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import pytest
from feed_support import IDS, receive, workers
from test_td_tables import ATLAS, BEFORE
from vendor_files import Known, known_libraries

from tickengine import vendor
from tickengine._errors import TickEngineError
from tickengine.front import Front, NumberedMarket
from tickengine.trader.journal import TradeLog, TradeLogWriter
from tickengine.trader.records import Record
from tickengine.trader.vendor_td import TraderVendorApi

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(240)]

KNOWN = known_libraries("td_libraries.json")
SOPT = Known("openctp-ctpopt==3.7.3.1", "wheel", "d523fd6c", "v3.7.3", "", "encrypted")
Fetched = Callable[[Known], str]

# What comes on each connection, and the reason given when the front ends it.
BEHAVIOUR = {"plain": ("front_connected", 4097), "encrypted": ("rsp_error", 4097), "other": ("front_connected", 0)}


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def run_trader(path: str, address: str, connection: Connection) -> None:
    """The process. Sends what the library is, or why it is refused, then every record that comes; takes
    ``"release"``, answered by the threads left and the kinds in the journal, or ``"leave"``."""
    connection.send("ready")
    try:
        connection.send(vendor.probe_trader(path))
    except TickEngineError as error:
        connection.send(str(error))
        return
    threads = _threads()
    with tempfile.TemporaryDirectory() as flow, TradeLogWriter(flow) as journal:
        api = TraderVendorApi(path, flow + "/", [address], journal)
        api.init()
        while not connection.poll():
            if (record := api.next_record(0.02)) is not None:
                connection.send(record)
        if connection.recv() == "leave":
            os._exit(0)
        api.release()
        deadline = time.monotonic() + 5  # a thread that has been joined may still be listed for a moment
        while _threads() > threads and time.monotonic() < deadline:
            time.sleep(0.002)
        with TradeLog.attach(flow) as log:
            connection.send((_threads() - threads, [r.kind for r in log.read()]))


def next_record(connection: Connection, kind: str) -> Record:
    record = receive(connection, 30)
    assert isinstance(record, Record) and record.kind == kind, f"{record} came, not {kind}"
    return record


@pytest.mark.parametrize("known", KNOWN, ids=[k.name for k in KNOWN])
def test_library_is_recognised_connects_survives_a_cut_and_is_released(fetched: Fetched, known: Known) -> None:
    path = fetched(known)
    fact = ATLAS["versions"][known.version]
    arrives, reason = BEHAVIOUR[known.speaks]
    with (
        Front(NumberedMarket(IDS), rate=100) as front,
        workers([(run_trader, (path, front.address))]) as (connection,),
    ):
        found = receive(connection, 30)
        assert isinstance(found, vendor.TraderVendor), found
        assert (found.version, found.evaluation) == (known.text, known.evaluation)
        assert found.tables_of == BEFORE.get(known.version, known.version)
        assert found.api_slots == ATLAS["api"][fact["api"]]["slots"]
        assert found.spi_slots == ATLAS["spi"][fact["spi"]]["slots"]
        for round_ in (1, 2):
            record = next_record(connection, arrives)
            if arrives == "rsp_error":
                assert (record.error_id, record.error_msg) == (77, "CTP:未找到该功能")
            if round_ == 1:
                assert front.cut("fin") == 1
                assert next_record(connection, "front_disconnected").reason == reason
                front.wait_until(connections=2, timeout=20)
        if known.speaks == "other":
            connection.send("leave")  # its Release crashes now and then; nobody can help that from outside
        else:
            connection.send("release")
            left, kinds = receive(connection, 30)
            assert left == 0, "threads of the library are left after Release"
            assert kinds == ["epoch_started", arrives, "front_disconnected", arrives]
        assert front.wait_until(max_open_clients=0, timeout=20).logins == 0


def test_the_option_product_is_refused(fetched: Fetched) -> None:
    with workers([(run_trader, (fetched(SOPT), "tcp://127.0.0.1:9"))]) as (connection,):
        answer = receive(connection, 30)
    assert isinstance(answer, str)
    assert "does not export CThostFtdcTraderApi::CreateFtdcTraderApi" in answer and "option product (sopt)" in answer


def test_a_market_data_library_is_refused_and_a_trader_library_where_market_data_is_wanted(genuine: str) -> None:
    assert "it is CTP's market-data library" in vendor.describe_trader(genuine, "path").error
    assert "it is CTP's trader library" in vendor.describe(genuine.replace("mduser", "trader"), "path").error
