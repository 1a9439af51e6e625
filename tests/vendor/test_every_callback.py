"""Every request and every callback that a plain front can provoke, by its slot and with its content: through the
genuine libraries that speak the plain protocol and through the compatible library in each variant."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from feed_support import workers
from one_api import BROKER, INVESTOR, Api, run_api
from vendor_files import COMPATIBLE_VARIANTS, Known, known_libraries

from tickengine._secret import Secret
from tickengine._shim import SUBSCRIBE, SUBSCRIBE_QUOTE, UNSUBSCRIBE, UNSUBSCRIBE_QUOTE
from tickengine.front import Front, NumberedMarket

pytestmark = pytest.mark.timeout(120)

ID = "m2605-C-3000"
PLAIN = {k.name: k for k in known_libraries() if k.speaks == "plain"}


@pytest.fixture(params=[*COMPATIBLE_VARIANTS, *PLAIN])
def library(request: pytest.FixtureRequest, compatible: Callable[[str], str], fetched: Callable[[Known], str]) -> str:
    name: str = request.param
    return compatible(name) if name in COMPATIBLE_VARIANTS else fetched(PLAIN[name])


def test_every_callback_comes_through_its_slot_with_its_content(library: str) -> None:
    with (
        Front(NumberedMarket([ID]), rate=100, paused=True) as front,
        workers([(run_api, (library, front.address))]) as (connection,),
    ):
        api = Api(connection)
        api.facts()
        assert api.call() == ("OnFrontConnected", ())

        assert api.request("login", BROKER, INVESTOR, Secret("pass-word-1"), 41) == 0
        name, (data, info, request_id, is_last) = api.call()
        assert (name, request_id, is_last, info["ErrorID"]) == ("OnRspUserLogin", 41, True, 0)
        wanted = {"TradingDay": b"20260105", "BrokerID": BROKER.encode(), "UserID": INVESTOR.encode()}
        assert {k: data[k] for k in wanted} == wanted
        assert api.request("trading_day") == "20260105"

        for what, callback in (
            (SUBSCRIBE, "OnRspSubMarketData"),
            (UNSUBSCRIBE, "OnRspUnSubMarketData"),
            (SUBSCRIBE_QUOTE, "OnRspSubForQuoteRsp"),
        ):
            assert api.request("subscription", what, [ID.encode()]) == 0
            name, (data, info, _, is_last) = api.call()
            assert (name, data, info["ErrorID"], is_last) == (callback, {"InstrumentID": ID.encode()}, 0, True)

        assert front.for_quote(ID) == 1
        name, (data,) = api.call()
        assert (name, data["InstrumentID"], data["TradingDay"]) == ("OnRtnForQuoteRsp", ID.encode(), b"20260105")
        assert data["ForQuoteSysID"] and data["ForQuoteTime"] and data["ActionDay"] and data["ExchangeID"]

        assert api.request("subscription", UNSUBSCRIBE_QUOTE, [ID.encode()]) == 0
        assert api.call()[0] == "OnRspUnSubForQuoteRsp"

        front.refuse_subscription(["*"], 16)
        assert api.request("subscription", SUBSCRIBE, [ID.encode()]) == 0
        name, (data, info, _, _) = api.call()
        assert (name, data["InstrumentID"], info["ErrorID"]) == ("OnRspSubMarketData", ID.encode(), 16)

        front.refuse_logins(3)
        assert api.request("login", BROKER, INVESTOR, Secret("pass-word-1"), 42) == 0
        name, (_, info, request_id, _) = api.call()
        assert (name, request_id, info["ErrorID"]) == ("OnRspUserLogin", 42, 3)
        assert "CTP" in info["ErrorMsg"].decode("gb18030")

        assert api.request("logout", BROKER, INVESTOR, 43) == 0
        name, (data, _, request_id, is_last) = api.call()
        assert (name, request_id, is_last) == ("OnRspUserLogout", 43, True)
        assert data == {"BrokerID": BROKER.encode(), "UserID": INVESTOR.encode()}

        # A message of an error and nothing else, as a front answers what it does not know.
        assert front.send_raw(ERROR_MESSAGE) == 1
        assert api.call() == ("OnRspError", ({"ErrorID": 77, "ErrorMsg": b"no such function"}, 9, True))

        front.cut("rst")
        assert api.call() == ("OnFrontDisconnected", (4097,))
        assert api.call() == ("OnFrontConnected", ())
        assert api.release() == 0
        assert api.calls == []


def _error_message(error_id: int, text: bytes, request_id: int) -> bytes:
    field = (0).to_bytes(2, "big") + (85).to_bytes(2, "big") + error_id.to_bytes(4, "big") + text.ljust(81, b"\0")
    content = b"\x01\x00\x0cL" + b"\0\0" + (1).to_bytes(4, "big") + bytes(4) + (1).to_bytes(2, "big")
    content += len(field).to_bytes(2, "big") + request_id.to_bytes(4, "big") + field
    return b"\x02\x00" + len(content).to_bytes(2, "big") + content


ERROR_MESSAGE = _error_message(77, b"no such function", 9)
