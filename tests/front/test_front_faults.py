"""The text of faults: every form, and one clear sentence for every mistake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickengine.front import Fault, FaultError, faults, parse_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("cut@5s", faults.Cut(5.0)),
        ("cut@250ms/2m:rst", faults.Cut(0.25, 120.0, "rst")),
        ("cut@1.5s:fin:4000", faults.Cut(1.5, None, "fin", 4000)),
        ("cut@1s:77", faults.Cut(1.0, after_bytes=77)),
        ("cut-after=270", faults.CutAfter(bytes=270)),
        ("cut-after=0*3:rst", faults.CutAfter(bytes=0, times=3, how="rst")),
        ("cut-after=10:received", faults.CutAfter(bytes=10, counted="received")),
        ("cut-after=10*1:fin:sent", faults.CutAfter(bytes=10, times=1)),
        ("silence@10s:30s", faults.Silence(10.0, None, 30.0)),
        ("garbage@3s:length", faults.Garbage(3.0, None, "length")),
        ("refuse-login", faults.RefuseLogins()),
        ("refuse-login=3*2", faults.RefuseLogins(error_id=3, times=2)),
        ("refuse-login=7", faults.RefuseLogins(error_id=7)),
        ("login-without=session*1", faults.IncompleteLogin(missing="session", times=1)),
        ("delay-answers=0.5s", faults.DelayAnswers(seconds=0.5)),
        ("ack-only=10", faults.AcknowledgeOnly(ids=10)),
        ("refuse-subscription=rb2601,IF*", faults.RefuseSubscription(patterns=("rb2601", "IF*"))),
        ("refuse-subscription=*:17", faults.RefuseSubscription(patterns=("*",), error_id=17)),
        ("refuse-connections@1s/20s:6s", faults.RefuseConnections(1.0, 20.0, 6.0)),
        ("accept-and-close=3", faults.AcceptAndClose(times=3)),
    ],
)
def test_fault_forms(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no fault is named ''"),
        ("cat@5s", "no fault is named 'cat'"),
        ("cut", "time '' is not a time"),
        ("cut@5", "time '5' is not a time with unit"),
        ("cut@5s/0s", "period"),
        ("cut@5s:bang", "byte count 'bang'"),
        ("cut@5s:fin:1:2", "is too much"),
        ("cut=5s", "'=5s' has no meaning"),
        ("cut-after", "byte count '' is not a whole number"),
        ("cut-after=5*0", "below 1"),
        ("cut-after=5:bang", "':bang' has no meaning"),
        ("cut-after=5:received:rst", "':rst' has no meaning"),
        ("cut-after@5s=5", "takes no time"),
        ("silence@5s", "duration '' is not a time"),
        ("garbage@3s:rubbish", "kind 'rubbish' is unknown"),
        ("refuse-login=three", "error id 'three' is not a whole number"),
        ("refuse-login=3*", "number of times ''"),
        ("refuse-login=3*0", "below 1"),
        ("refuse-login=99999999999", "not a whole number up to"),
        ("refuse-login@5s=3", "takes no time"),
        ("login-without=both", "part 'both' is unknown"),
        ("ack-only", "number of ids ''"),
        ("refuse-subscription=a,,b", "is empty"),
        ("delay-answers=-1s", "is not a time"),
        ("accept-and-close=3:4", "has no meaning"),
    ],
)
def test_mistakes_are_explained(text: str, why: str) -> None:
    with pytest.raises(FaultError) as caught:
        parse_fault(text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert f"'{text}'" in str(caught.value)


@given(st.one_of(st.text(), st.text(alphabet="cut@5s:/=*rst-fin").map(lambda t: "cut" + t)))
def test_any_text_is_a_fault_or_a_fault_error(text: str) -> None:
    try:
        parse_fault(text)
    except FaultError:
        pass
