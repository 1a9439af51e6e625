"""Any history of an account, cut and repeated anywhere: the fold of what arrives equals the front's own book."""

from __future__ import annotations

from random import Random
from typing import Any

import hypothesis.strategies as st
from hypothesis import given
from returns import SESSION_ID, Journal, input_order, order_return, trade_return

from tickengine.trader.account import AccountState
from tickengine.trader.book import PHASES

# How an order may end: fills before the end, then how.
FATES = st.tuples(st.lists(st.integers(1, 3), max_size=3), st.sampled_from(["filled", "cancelled", "rejected", "open"]))
SIDES = st.sampled_from([("0", "0"), ("1", "0"), ("0", "1"), ("1", "3")])


def life(number: int, fills: list[int], fate: str, side: tuple[str, str]) -> tuple[dict[str, Any], list[Any], str, int]:
    """What was asked for, the private messages that follow, the final state and the lots traded."""
    rest = 0 if fate == "filled" and fills else 2
    asked = input_order(number, direction=side[0], offset=side[1], volume=sum(fills) + rest)
    system = str(1000 + number)
    if fate == "rejected":
        returns: list[Any] = [
            ("rtn_order", order_return(asked, "a")),
            ("rtn_order", order_return(asked, "5", submit="4", system=system)),
            ("err_rtn_order_insert", asked),
        ]
        return asked, returns, "rejected", 0
    returns = [("rtn_order", order_return(asked, "a")), ("rtn_order", order_return(asked, "3", system=system))]
    traded = 0
    for fill in fills:
        traded += fill
        status = "0" if traded == asked["VolumeTotalOriginal"] else "1"
        returns.append(("rtn_order", order_return(asked, status, traded=traded, system=system)))
        returns.append(("rtn_trade", trade_return(asked, f"{number}-{traded}", fill, system=system)))
    state = "filled" if not rest else "queueing"
    if fate == "cancelled" and rest:
        returns.append(("rtn_order", order_return(asked, "5", traded=traded, system=system)))
        state = "cancelled"
    return asked, returns, state, traded


CUTS = st.tuples(st.floats(0, 1), st.floats(0, 1), st.sampled_from(["front_disconnected", "epoch_started"]))


@given(
    st.lists(st.tuples(FATES, SIDES), max_size=5),
    st.lists(CUTS, max_size=4),
    st.randoms(use_true_random=False),
)
def test_the_fold_of_any_repetition_equals_the_truth(
    drawn: list[Any], cuts: list[tuple[float, float, str]], random: Random
) -> None:
    lives = [life(number, *fate, side) for number, (fate, side) in enumerate(drawn, 1)]
    journal, state = Journal(), AccountState()
    state.apply(journal.login())
    for number, (asked, *_rest) in enumerate(lives, 1):
        state.apply(journal.sending(number, asked))
        if random.random() < 0.5:
            state.apply(journal.add("sent_order", client_id=number))
    # The front interleaves the orders' messages as it likes: one flow.
    flow: list[Any] = []
    queues = [list(returns) for _asked, returns, _state, _traded in lives]
    while any(queues):
        flow.append(random.choice([q for q in queues if q]).pop(0))
    phases: dict[int, int] = {}

    def arrive(start: int, stop: int) -> None:
        for kind, body in flow[start:stop]:
            state.apply(journal.add(kind, data=body, error_id=31 * (kind == "err_rtn_order_insert")))
            for order in state.book:
                known = phases.get(order.ClientID, 0)
                assert PHASES[order.state] >= known
                phases[order.ClientID] = PHASES[order.state]

    # It arrives in pieces; after each cut some of what had arrived comes again.
    at = 0
    for number, (how_far, how_far_back, kind) in enumerate(cuts, 1):
        stop = at + round(how_far * (len(flow) - at))
        arrive(at, stop)
        state.apply(journal.add(kind))
        state.apply(journal.login(session=SESSION_ID + number))
        at = round(how_far_back * stop)
    arrive(at, len(flow))
    for number, (asked, _returns, expected, traded) in enumerate(lives, 1):
        order = state.book.order(number)
        assert (order.state, order.VolumeTraded, order.filled) == (expected, traded, traded)
        assert order.VolumeTotalOriginal == asked["VolumeTotalOriginal"]
        assert (order in state.book.open_orders()) == (expected == "queueing")
    assert state.book.open_count == len(state.book.open_orders())
    bought = sum(t * (1 if a["Direction"] == "0" else -1) for a, _r, _s, t in lives)
    assert state.positions.net("rb2605") == bought
    # The journal alone gives the same once more.
    again = AccountState()
    for record in journal.records:
        again.apply(record)
    assert [(o.key, o.state, o.filled) for o in again.book] == [(o.key, o.state, o.filled) for o in state.book]
    assert list(again.positions) == list(state.positions)
