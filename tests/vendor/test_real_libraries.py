"""Every genuine market-data library that the package index offers, each in a process of its own on the loopback
front: recognised, created, connected, cut, connected again, released.

The front speaks the plain protocol. Libraries that encrypt begin with a handshake which it does not know and
says so (77): their OnFrontConnected never comes, but OnRspError does, by its slot and with its text. One other
maker's library connects and then says nothing the front understands.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from feed_support import IDS, check_ticks, engine_on, numbers_of, wait_for, workers
from one_api import Api, run_api
from test_tables import ATLAS, row_of
from vendor_files import Known, known_libraries

from tickengine import Closed, TickQueue, VendorLibraryError, vendor
from tickengine.front import Front, FrontProcess, MarketSpec, NumberedMarket

pytestmark = [pytest.mark.genuine, pytest.mark.timeout(240)]

KNOWN = known_libraries()
SOPT = Known("openctp-ctpopt==3.7.3.1", "wheel", "686f0d82", "v3.7.3", "", "encrypted")
Fetched = Callable[[Known], str]

UNKNOWN_FUNCTION = ("OnRspError", ({"ErrorID": 77, "ErrorMsg": "CTP:未找到该功能".encode("gb18030")}, 0, True))
CONNECTED = ("OnFrontConnected", ())
# What comes on each connection, and the reason given when the front ends it.
BEHAVIOUR = {
    "plain": (CONNECTED, 4097),
    "encrypted": (UNKNOWN_FUNCTION, 4097),
    "other": (CONNECTED, 0),
}


@pytest.mark.parametrize("known", KNOWN, ids=[k.name for k in KNOWN])
def test_library_is_recognised_connects_survives_a_cut_and_is_released(fetched: Fetched, known: Known) -> None:
    path = fetched(known)
    row, fact = row_of(known.version), ATLAS["versions"][known.version]
    arrives, reason = BEHAVIOUR[known.speaks]
    with Front(NumberedMarket(IDS), rate=100) as front, workers([(run_api, (path, front.address))]) as (connection,):
        api = Api(connection)
        found = api.facts()
        assert isinstance(found, vendor.Vendor), found
        assert (found.version, found.evaluation) == (known.text, known.evaluation)
        assert (found.generation, found.layouts_of) == (fact["generation"], row["first"])
        assert f"L{found.layout}" == fact["structs"]["DepthMarketData"]
        assert found.api_slots == len(ATLAS["api"][fact["generation"]])
        assert api.call() == arrives
        assert front.cut("fin") == 1
        assert api.call() == ("OnFrontDisconnected", (reason,))
        front.wait_until(connections=2, timeout=60)
        assert api.call() == arrives
        if known.speaks == "other":
            api.leave()  # its Release crashes now and then; nobody can help that from outside
        else:
            assert api.release() == 0, "threads of the library are left after Release"
        assert api.calls == []
        assert front.wait_until(max_open_clients=0, timeout=60).logins == 0


def test_the_option_product_is_refused(fetched: Fetched) -> None:
    with workers([(run_api, (fetched(SOPT), "tcp://127.0.0.1:9"))]) as (connection,):
        answer = Api(connection).facts()
    assert isinstance(answer, str)
    assert "does not export CThostFtdcMdApi::CreateFtdcMdApi" in answer and "option product (sopt)" in answer


PLAIN = [k for k in KNOWN if k.speaks == "plain"]


@pytest.mark.parametrize("known", PLAIN, ids=[k.name for k in PLAIN])
def test_plain_library_runs_whole_sessions_with_every_field_right(fetched: Fetched, known: Known) -> None:
    path, count = fetched(known), 50_000
    with TickQueue() as queue:
        with (
            FrontProcess(MarketSpec(IDS), rate=2_000, count=count, wait_ids=len(IDS)) as front,
            engine_on(front.address, path, IDS, [queue], capacity=1 << 16) as engine,
        ):
            for cut in (1, 2):
                engine.wait_live()
                front.wait_until(next_number=front.stats().next_number + 500, timeout=60)
                front.cut("fin")
                front.wait_until(logins=cut + 1, subscribers=1, subscriber_ids=len(IDS), timeout=60)
            front.pace(rate=20_000)
            front.wait_until(finished=True, timeout=60)
            sent = front.stats().sent_ranges
            expected = sum(1 for r in sent for n in range(r.first, r.stop) if IDS[n % len(IDS)] in r.instruments)
            wait_for(lambda: engine.status()["ticks"] >= expected, f"{expected} ticks in the log")
            status = engine.status()
        records = []
        with pytest.raises(Closed):
            while True:
                records.append(queue.get_many())
    assert (status["api_version"], status["logins"], status["disconnects"]) == (known.text, 3, 2)
    numbers = [n for r in records for n in check_ticks(r, NumberedMarket(IDS)).tolist()]
    assert len(numbers) == expected
    assert numbers == sorted(set(numbers)) and numbers[-1] == count - 1
    assert numbers_of(records[0])[0] == 0


ENCRYPTED = [k for k in KNOWN if k.package in ("openctp-ctp==6.3.15.7", "openctp-ctp==6.7.2.8", "ctp-python==6.7.13")]


@pytest.mark.parametrize("known", ENCRYPTED, ids=[k.name for k in ENCRYPTED])
def test_an_engine_with_an_encrypting_library_says_why_there_is_no_feed_and_stops_in_order(
    fetched: Fetched, known: Known
) -> None:
    path = fetched(known)
    with TickQueue() as queue, Front(NumberedMarket(IDS), rate=100) as front:
        with engine_on(front.address, path, IDS, [queue]) as engine:
            why = wait_for(lambda: engine.status()["front_error"], "a reason in the status")
            assert "77" in why and "does not know" in why
            status = engine.status()
            assert (status["state"], status["api_version"], status["logins"]) == ("connecting", known.text, 0)
            front.cut("rst")
            front.wait_until(connections=2, timeout=60)
        assert front.wait_until(max_open_clients=0, timeout=60).logins == 0
        with pytest.raises(Closed):
            queue.get(timeout=10)


@pytest.mark.parametrize("production", [True, False])
def test_an_evaluation_build_for_a_production_front_is_warned_of(
    fetched: Fetched, production: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = fetched(next(k for k in KNOWN if k.evaluation))
    with TickQueue() as queue, engine_on("tcp://127.0.0.1:9", path, IDS, [queue], production=production):
        pass
    assert ("is an evaluation build" in caplog.text) is production


def test_an_override_of_a_genuine_library_is_checked_against_its_slots_and_logged(
    genuine: str, caplog: pytest.LogCaptureFixture
) -> None:
    with TickQueue() as queue:
        for wrong in ("6.3.15_P2", "6.7.2", "6.7.13"):
            with pytest.raises(VendorLibraryError, match="should have 15 api slots, this library has 14"):
                engine_on("tcp://127.0.0.1:9", genuine, IDS, [queue], vendor_version=wrong).start()
    with TickQueue() as queue, engine_on("tcp://127.0.0.1:9", genuine, IDS, [queue], vendor_version="6.3.11"):
        pass
    assert "version 6.3.11 is believed instead" in caplog.text
