"""Whatever a client sends, its session answers with packets that can be read, or ends with a `FrameError`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tickengine._secret import Secret
from tickengine.front import fields, wire
from tickengine.front.session import Desk, Session

TIDS = st.sampled_from([wire.TID_LOGIN, wire.TID_LOGOUT, wire.TID_SUBSCRIBE, wire.TID_UNSUBSCRIBE,
                        wire.TID_QUOTE_SUBSCRIBE, wire.TID_QUOTE_UNSUBSCRIBE]) | st.integers(0, 2**32 - 1)  # fmt: skip
FIDS = st.sampled_from([fields.FID_LOGIN, fields.FID_LOGOUT, fields.FID_INSTRUMENT]) | st.integers(0, 0xFFFF)
PARTS = st.lists(st.builds(wire.field, FIDS, st.binary(max_size=240)), max_size=8)
MESSAGES = st.builds(wire.message, TIDS, PARTS, rid=st.integers(0, 2**32 - 1), compress=st.booleans())
DESKS = st.builds(
    Desk,
    st.just("20260105"),
    require_login=st.booleans(),
    password=st.none() | st.binary(max_size=41).map(Secret),
    acknowledge_limit=st.none() | st.integers(0, 5),
    refused_patterns=st.lists(st.text(max_size=5), max_size=2).map(tuple),
)


@given(DESKS, st.lists(MESSAGES | st.binary(max_size=200), max_size=6))
def test_any_request_is_answered_or_ends_the_connection(desk: Desk, sent: list[bytes]) -> None:
    session, framer = Session(desk), wire.Framer()
    try:
        answers = [answer for data in sent for packet in framer.feed(data) for answer in session.handle(packet)]
    except wire.FrameError:
        return
    for packet in wire.Framer().feed(b"".join(answers)):
        assert wire.parse_message(packet.content) is not None
