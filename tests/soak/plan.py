"""What happens in a soak run: everything that is left to chance, drawn from one seed, as plain data.

The same seed and length give the same plan. How far a plan gets depends on the machine: a step begins when the
one before it in its lane is over and its pause has passed.
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tickengine import TickFlag

BASE_IDS = ("rb2601", "IF2512", "m2605", "SR601")
MORE_IDS = ("au2602", "TA605")
ALL_IDS = (*BASE_IDS, *MORE_IDS)

WITNESS, MORTAL = "witness", "mortal"
ONE_BY_ONE = ("get", "iterate")
STYLES = (*ONE_BY_ONE, "get_many", "slow", "doze", "nobody")
GARBAGE_KINDS = ("length", "clen", "compression", "noise")
ROUND_S = 240.0
LONG_ROUND_FROM_S = 1200.0  # a run this long has one engine that lives a third of it


@dataclass(frozen=True)
class Step:
    """One fault: *after_s* seconds after the one before it in its lane."""

    kind: str
    after_s: float
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reader:
    """A queue and how its worker reads it. Style ``doze`` takes one tick and reads on when the round ends,
    ``nobody`` has no worker till then."""

    name: str
    style: str
    ids: tuple[str, ...] | None = None
    wait: str = "adaptive"
    events: bool = False
    skip: int = 0
    batch: int = 1024
    work_s: float = 0.0
    context: str = "forkserver"


@dataclass(frozen=True)
class Round:
    """One engine and one front, from start to stop. *until_done*: it ends when all steps are done, if that is
    before its time is over."""

    seconds: float
    capacity: int
    market_seed: int
    pace: dict[str, Any]
    readers: tuple[Reader, ...]
    feed: tuple[Step, ...]
    crew: tuple[Step, ...]
    until_done: bool = False


@dataclass(frozen=True)
class Plan:
    seed: int
    rounds: tuple[Round, ...]

    @property
    def seconds(self) -> float:
        return sum(r.seconds for r in self.rounds)


# ---- the kinds of faults, and what is drawn for each ---------------------------------------------------

Draw = Callable[[random.Random], dict[str, Any]]


def _seconds(least: float, most: float) -> Draw:
    return lambda rng: {"seconds": round(rng.uniform(least, most), 2)}


def _pace(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.4:
        return {"burst": rng.choice([(500, 0.25), (2000, 0.5), (6000, 1.0)])}
    return {"rate": rng.choice([200, 1000, 3000, 6000])}


def _some_ids(rng: random.Random) -> dict[str, Any]:
    return {"ids": tuple(sorted(rng.sample(BASE_IDS, rng.randint(1, 2))))}


def _flood_cut(rng: random.Random) -> dict[str, Any]:
    return {"how": rng.choice(["fin", "rst"]), "after_bytes": rng.choice([None, rng.randrange(1, 2_000_000)])}


def _whom(rng: random.Random) -> dict[str, Any]:
    return {"whom": rng.randrange(1 << 16)}


def _visitor(rng: random.Random) -> dict[str, Any]:
    reader = _reader(rng, "visitor", rng.choice(["get", "iterate", "get_many", "slow"]))
    # A reader that spins takes a processor for itself: only for a moment.
    spin = rng.random() < 0.3
    if spin:
        reader = dataclasses.replace(reader, wait="spin", style=rng.choice(["get", "get_many"]))
    start = rng.choice(["now", "oldest"])
    return {
        "reader": dataclasses.asdict(reader),
        "start": start,
        "seconds": round(rng.uniform(0.3, 1.0 if spin else 6.0), 2),
    }


# kind: how many of it are in a deck, and what is drawn for it
FEED_KINDS: dict[str, tuple[int, Draw]] = {
    "cut_fin": (2, lambda rng: {}),
    "cut_rst": (2, lambda rng: {}),
    "cut_mid_packet": (2, lambda rng: {"how": rng.choice(["fin", "rst"]), "after_bytes": rng.randrange(1, 20_000)}),
    "outage": (1, _seconds(0.5, 7)),
    "accept_and_close": (1, lambda rng: {"times": rng.randint(1, 3)}),
    "garbage": (2, lambda rng: {"what": rng.choice(GARBAGE_KINDS)}),
    "silence": (1, _seconds(0.3, 4)),
    "login_refused": (1, lambda rng: {"error_id": rng.choice([1, 7, 8, 60]), "times": rng.randint(1, 2)}),
    "login_unanswered": (1, lambda rng: {}),
    "answers_late": (1, _seconds(0.2, 2)),
    "subscription_refused": (1, _some_ids),
    "subscription_unanswered": (1, lambda rng: {"answered": rng.randint(0, 3)}),
    "subscriptions": (3, lambda rng: {"id": rng.choice(MORE_IDS)}),
    "pace": (3, _pace),
    "flat_out": (2, _seconds(0.3, 2)),
    "cut_in_flood": (2, _flood_cut),
    "engine_stop": (2, _seconds(0.2, 4)),
    "front_stop": (1, _seconds(0.2, 4)),
    "engine_kill": (1, lambda rng: {}),
    "engine_segv": (1, lambda rng: {}),
    "engine_abort": (1, lambda rng: {}),
    "kill_in_flood": (1, lambda rng: {}),
    "worker_kill_in_flood": (2, lambda rng: {"ticks": rng.randrange(1, 5000)}),
}
CREW_KINDS: dict[str, tuple[int, Draw]] = {
    "worker_kill": (4, _whom),
    "worker_kill_twice": (1, lambda rng: {**_whom(rng), "seconds": round(rng.uniform(0, 0.3), 3)}),
    "worker_stop": (2, lambda rng: {**_whom(rng), "seconds": round(rng.uniform(0.2, 5), 2)}),
    "visit": (3, _visitor),
    "visit_kill": (1, _visitor),
    "close_outside": (2, _visitor),
}
ENGINE_DEATHS = ("engine_kill", "engine_segv", "engine_abort", "kill_in_flood")
KINDS = (*FEED_KINDS, *CREW_KINDS)


def _deck(rng: random.Random, kinds: dict[str, tuple[int, Draw]], without: Sequence[str]) -> list[str]:
    deck = [kind for kind, (copies, _) in kinds.items() for _ in range(copies) if kind not in without]
    rng.shuffle(deck)
    return deck


def _lane(
    rng: random.Random, kinds: dict[str, tuple[int, Draw]], seconds: float, without: Sequence[str]
) -> tuple[Step, ...]:
    """Whole decks, so that each kind comes in its turn, for as long as the round can last."""
    steps: list[Step] = []
    begun = 0.0
    while begun < seconds:
        for kind in _deck(rng, kinds, without):
            pause = round(rng.uniform(0.2, 3.0), 2)
            steps.append(Step(kind, pause, _plain(kinds[kind][1](rng))))
            begun += pause + 0.5
    return tuple(steps)


# ---- the crew ----------------------------------------------------------------------------------------------


def _context(rng: random.Random) -> str:
    return rng.choices(["forkserver", "fork", "spawn"], [6, 3, 1])[0]


def _filter(rng: random.Random) -> tuple[str, ...] | None:
    """One that gets ticks whatever is subscribed: a reader without any looks at no order and wakes for nothing."""
    if rng.random() < 0.4:
        return None
    return tuple(sorted({rng.choice(BASE_IDS), *rng.sample(ALL_IDS, rng.randint(0, 3))}))


def _reader(rng: random.Random, name: str, style: str) -> Reader:
    return Reader(
        name,
        style,
        ids=_filter(rng),
        wait=rng.choice(["adaptive", "block"]),
        events=rng.random() < 0.3,
        # Who iterates looks at his orders when a tick comes, so he must not skip them all.
        skip=int(TickFlag.SNAPSHOT | TickFlag.OUT_OF_SESSION) if rng.random() < 0.25 and style != "iterate" else 0,
        batch=rng.choice([1, 16, 100, 1024, 5000]),
        work_s=round(rng.uniform(0.02, 0.2), 3) if style == "slow" else 0.0,
        context=_context(rng),
    )


def _crew(rng: random.Random) -> tuple[Reader, ...]:
    # The first sees everything: the events of all faults are looked for in what it read.
    witness = Reader(WITNESS, "get_many", events=True, context=_context(rng))
    styles = ("get", "iterate", "get_many", "slow", "doze", "nobody")
    skipping = dataclasses.replace(
        _reader(rng, "skipping", "get_many"), ids=None, skip=int(TickFlag.SNAPSHOT | TickFlag.OUT_OF_SESSION)
    )
    # One for the deaths with full hands. It reads everything, so that a flood is one for it, too.
    mortal = dataclasses.replace(
        _reader(rng, MORTAL, rng.choice(["get", "iterate", "get_many"])),
        ids=None,
        skip=0,
        batch=rng.choice([100, 1024]),
    )
    return (witness, mortal, *(_reader(rng, style, style) for style in styles), skipping)


# ---- a whole plan ------------------------------------------------------------------------------------------


def _lengths(seconds: float) -> list[tuple[float, bool]]:
    """(length, engine may die) of each round."""
    lengths: list[tuple[float, bool]] = []
    if seconds >= LONG_ROUND_FROM_S:
        lengths.append((seconds / 3, False))
        seconds -= seconds / 3
    count = max(2, round(seconds / ROUND_S))
    return [*lengths, *[(seconds / count, True)] * count]


def make_plan(seed: int, minutes: float, only: Iterable[str] = ()) -> Plan:
    """The plan of this seed. *only*: kinds to keep; the others are taken out of the same plan."""
    keep = check_kinds(only)
    rng = random.Random(seed)
    rounds = []
    for seconds, deaths in _lengths(minutes * 60):
        without = () if deaths else ENGINE_DEATHS
        rounds.append(
            Round(
                seconds=round(seconds, 1),
                capacity=rng.choice([2048, 8192, 65536]),
                market_seed=rng.randrange(1 << 30),
                pace=_plain(_pace(rng)),
                readers=_crew(rng),
                feed=_lane(rng, FEED_KINDS, seconds, without),
                crew=_lane(rng, CREW_KINDS, seconds, ()),
            )
        )
    return cut_down(Plan(seed, tuple(rounds)), keep)


def check_kinds(kinds: Iterable[str]) -> frozenset[str]:
    chosen = frozenset(kinds)
    unknown = sorted(chosen - set(KINDS))
    if unknown:
        raise ValueError(f"no kind of fault is named {', '.join(unknown)}; known are {', '.join(KINDS)}")
    return chosen


def cut_down(plan: Plan, keep: Iterable[str]) -> Plan:
    """The plan with these kinds alone; nothing named: the plan as it is."""
    kinds = check_kinds(keep)
    if not kinds:
        return plan
    return dataclasses.replace(
        plan,
        rounds=tuple(
            dataclasses.replace(
                r,
                feed=tuple(s for s in r.feed if s.kind in kinds),
                crew=tuple(s for s in r.crew if s.kind in kinds),
            )
            for r in plan.rounds
        ),
    )


def only_rounds(plan: Plan, numbers: Iterable[int]) -> Plan:
    """The plan with these rounds alone, counted from 1; none named: the plan as it is."""
    chosen = sorted(set(numbers))
    wrong = [n for n in chosen if not 1 <= n <= len(plan.rounds)]
    if wrong:
        raise ValueError(f"no round {wrong[0]}: the plan has {len(plan.rounds)}")
    return dataclasses.replace(plan, rounds=tuple(plan.rounds[n - 1] for n in chosen)) if chosen else plan


def short_plan(seed: int, seconds: float, without: Sequence[str] = ()) -> Plan:
    """One round with each kind in it, close behind each other."""
    rng = random.Random(seed)

    def once(kinds: dict[str, tuple[int, Draw]]) -> tuple[Step, ...]:
        names = [kind for kind in kinds if kind not in without]
        rng.shuffle(names)
        return tuple(Step(kind, round(rng.uniform(0, 0.2), 2), _brief(_plain(kinds[kind][1](rng)))) for kind in names)

    return Plan(
        seed,
        (
            Round(
                seconds,
                capacity=2048,
                market_seed=rng.randrange(1 << 30),
                pace={"rate": 2000},
                readers=_crew(rng),
                feed=once(FEED_KINDS),
                crew=once(CREW_KINDS),
                until_done=True,
            ),
        ),
    )


def _plain(args: dict[str, Any]) -> dict[str, Any]:
    """As it comes back from a file: lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(args))
    return plain


def _brief(args: dict[str, Any]) -> dict[str, Any]:
    return {**args, "seconds": min(args["seconds"], 0.5)} if "seconds" in args else args


# ---- as text -----------------------------------------------------------------------------------------------


def to_json(plan: Plan) -> str:
    return json.dumps(dataclasses.asdict(plan), indent=1)


def from_json(text: str) -> Plan:
    """The plan of a file, which may also be a run's report. Raises `ValueError` that says what is wrong with it."""
    try:
        raw = json.loads(text)
        raw = raw.get("plan", raw)
        rounds = tuple(
            Round(
                **{
                    **r,
                    "readers": tuple(reader_of(reader) for reader in r["readers"]),
                    "feed": tuple(Step(**s) for s in r["feed"]),
                    "crew": tuple(Step(**s) for s in r["crew"]),
                }
            )
            for r in raw["rounds"]
        )
        plan = Plan(raw["seed"], rounds)
    except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"this is no plan of a soak run: {type(error).__name__}: {error}") from None
    for r in plan.rounds:
        check_kinds(step.kind for step in (*r.feed, *r.crew))
    return plan


def reader_of(raw: dict[str, Any]) -> Reader:
    reader = Reader(**{**raw, "ids": None if raw["ids"] is None else tuple(raw["ids"])})
    if reader.style not in STYLES:
        raise ValueError(f"reader {reader.name!r}: no style {reader.style!r}; known are {', '.join(STYLES)}")
    return reader
