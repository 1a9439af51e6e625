"""What happens in a round, from its seed alone."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

INSTRUMENT = "rb2605"
PRICE = 3000.0
MODES = ("resume", "restart", "quick")
_SHORT_S = (0.0, 0.0, 0.001, 0.003, 0.01, 0.03)
_INSIDE = (0, 0, 1, 4, 30, 200, 600)


@dataclass(frozen=True)
class Step:
    """One thing to do, after a pause. *what*: a method of `Lane`."""

    what: str
    values: tuple[Any, ...] = ()
    pause_s: float = 0.0

    def __str__(self) -> str:
        return f"  {self.pause_s * 1e3:4.0f} ms  {self.what}{self.values}"


@dataclass(frozen=True)
class Plan:
    """A round. The same numbers give the same plan."""

    seed: int
    number: int
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed}, round {self.number}:", *map(str, self.steps)])


def make_plan(seed: int, number: int) -> Plan:
    """Orders and cancellations, with one to three faults among them."""
    dice = random.Random(f"{seed}/{number}")
    steps: list[Step] = []
    faults = sorted(dice.choices(range(1, 6), k=dice.randint(1, 3)))
    for place in range(6):
        for _ in range(faults.count(place)):
            steps += _fault(dice)
        for _ in range(dice.choice((1, 1, 2))):
            steps += _business(dice)
        if dice.random() < 0.5:  # else what comes next happens while orders are still being sent
            steps.append(Step("sync"))
    return Plan(seed, number, tuple(steps))


def _business(dice: random.Random) -> list[Step]:
    pause, patient = dice.choice(_SHORT_S), dice.random() < 0.7
    kind = dice.choices(("open", "close", "rest", "cancel", "price"), (5, 3, 3, 4, 1))[0]
    if kind == "cancel":
        return [Step("cancel", (patient, dice.randrange(8)), pause)]
    if kind == "price":
        return [Step("set_price", (PRICE + dice.randint(-4, 4),), pause)]
    direction = dice.choice("01")
    sign = 1 if direction == "0" else -1
    away = -sign * dice.randint(20, 60) if kind == "rest" else sign * 10
    offset = "3" if kind == "close" else "0"
    return [Step("insert", (patient, direction, offset, PRICE + away, dice.randint(1, 5)), pause)]


def _fault(dice: random.Random) -> list[Step]:
    pause, how = dice.choice(_SHORT_S), dice.choice(("fin", "rst"))
    cut = Step("cut", (how,), pause)
    inside = dice.choice(_INSIDE)
    kind = dice.choices(_FAULTS, _WEIGHTS)[0]
    if kind in ("order", "order_lost", "action", "action_lost"):
        return [Step("cut_at", (kind, dice.randrange(2), how, 0, 0.0), pause)]
    if kind == "return":
        return [Step("cut_at", (kind, dice.randrange(6), how, inside, 0.0), pause)]
    if kind == "resume":
        # Something is owed: the connection goes while returns are held back.
        steps = [Step("delay_returns", (0.03,), pause), *_business(dice)]
        return [*steps, Step("cut_at", (kind, dice.randrange(3), how, inside, 0.0)), cut]
    if kind in ("login", "logged_in", "query"):
        return [Step("cut_at", (kind, 0, how, 0, 0.0), pause), cut]
    if kind == "outage":
        return [Step("cut_at", ("order", 0, how, 0, dice.choice((0.02, 0.1))), pause)]
    if kind == "refuse_logins":
        return [Step(kind, (7, 1), pause), cut]
    if kind == "repeat_at_login":
        return [Step(kind, (dice.randint(1, 12),), pause), cut]
    if kind in ("refuse_orders", "reject_orders"):
        return [Step(kind, (dice.choice((31, 95)), 1), pause)]
    if kind == "silence":
        return [Step(kind, (dice.choice((0.02, 0.1)),), pause)]
    if kind == "delay_returns":
        return [Step(kind, (dice.choice((0.005, 0.05)),), pause)]
    if kind == "leave":
        return [Step("disconnect", (), pause), *_business(dice), Step("connect", (), dice.choice(_SHORT_S))]
    if kind in ("kill_strategy", "stop_strategy"):
        return [Step(kind, (dice.choices(MODES, (6, 2, 1))[0],), pause)]
    return [Step(kind, (how,) if kind == "cut" else (), pause)]


_FAULTS = (
    *("order", "order_lost", "action", "action_lost", "return", "resume", "login", "logged_in", "query"),
    *("outage", "refuse_logins", "repeat_at_login", "refuse_orders", "reject_orders", "silence", "delay_returns"),
    *("leave", "cut", "kill_trader", "kill_strategy", "stop_strategy"),
)
_WEIGHTS = (4, 4, 3, 3, 6, 4, 2, 2, 2, 1, 1, 3, 2, 2, 2, 2, 4, 4, 5, 4, 1)
