"""A plan follows from its seed, can be written, read back, and cut down."""

from __future__ import annotations

import json

import pytest

from .faults import ACTIONS
from .plan import (
    BASE_IDS,
    ENGINE_DEATHS,
    KINDS,
    cut_down,
    from_json,
    make_plan,
    only_rounds,
    short_plan,
    to_json,
)


def test_the_seed_makes_the_plan() -> None:
    assert make_plan(7, 10) == make_plan(7, 10)
    assert make_plan(7, 10) != make_plan(8, 10)
    assert make_plan(7, 10).seconds == pytest.approx(600, abs=5)


def test_a_plan_survives_its_file_and_is_found_in_a_report() -> None:
    plan = make_plan(7, 10)
    assert from_json(to_json(plan)) == plan
    assert from_json(json.dumps({"seed": 7, "plan": json.loads(to_json(plan))})) == plan


def test_every_kind_has_its_action_and_its_place_in_every_plan() -> None:
    assert set(ACTIONS) == set(KINDS)
    for plan in (make_plan(3, 5), short_plan(3, 30)):
        assert {s.kind for r in plan.rounds for s in (*r.feed, *r.crew)} == set(KINDS)


def test_the_first_third_of_a_long_run_has_one_engine_that_is_not_killed() -> None:
    first, *others = make_plan(1, 60).rounds
    assert first.seconds == 1200
    assert not {s.kind for s in first.feed} & set(ENGINE_DEATHS)
    assert all({s.kind for s in r.feed} >= set(ENGINE_DEATHS) for r in others)


def test_cutting_down_keeps_what_is_left_as_it_was() -> None:
    plan = make_plan(7, 10)
    small = cut_down(plan, ["cut_rst", "visit"])
    for whole, part in zip(plan.rounds, small.rounds):
        assert part.feed == tuple(s for s in whole.feed if s.kind == "cut_rst")
        assert part.crew == tuple(s for s in whole.crew if s.kind == "visit")
        assert part.readers == whole.readers
    assert make_plan(7, 10, ["cut_rst", "visit"]) == small
    assert only_rounds(plan, [2]).rounds == plan.rounds[1:2]


def test_a_reader_that_must_hear_its_orders_gets_ticks() -> None:
    for seed in range(30):
        for r in make_plan(seed, 5).rounds:
            guests = [s.args["reader"] for s in r.crew if "reader" in s.args]
            for ids in [reader.ids for reader in r.readers] + [g["ids"] for g in guests]:
                assert ids is None or set(ids) & set(BASE_IDS)
            assert all(not g["skip"] for g in guests if g["style"] == "iterate")


@pytest.mark.parametrize(
    ("text", "what"),
    [("{", "no plan"), ("[]", "no plan"), ('{"seed": 1}', "no plan"), ('{"seed": 1, "rounds": [{}]}', "no plan")],
)
def test_a_file_that_is_no_plan_is_refused(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        from_json(text)


def test_unknown_kinds_styles_and_rounds_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="cut_fun"):
        make_plan(1, 1, ["cut_fun"])
    raw = json.loads(to_json(make_plan(1, 1)))
    raw["rounds"][0]["feed"][0]["kind"] = "flood"
    with pytest.raises(ValueError, match="flood"):
        from_json(json.dumps(raw))
    raw = json.loads(to_json(make_plan(1, 1)))
    raw["rounds"][0]["readers"][0]["style"] = "asleep"
    with pytest.raises(ValueError, match="asleep"):
        from_json(json.dumps(raw))
    with pytest.raises(ValueError, match="no round 3"):
        only_rounds(make_plan(1, 1), [3])
