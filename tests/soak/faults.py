"""How each kind of fault is done, and when the feed or the worker counts as mended."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .lanes import Until, Waits, pause
from .plan import MORE_IDS, reader_of

if TYPE_CHECKING:
    from .scene import Scene

LIVE_S = 60.0
"""A feed must be live again in this time after a front is there for it; with busy neighbours, too."""
RESTART_S = LIVE_S + 30.0  # the engine's longest pause before it starts a process again


# ---- what the feed is waited for ---------------------------------------------------------------------------


def ticks_flow(scene: Scene) -> Waits:
    """A condition, not a sleep: more ticks in the log than now."""
    now = scene.ticks()
    yield Until(lambda: scene.ticks() > now, "ticks flow again", LIVE_S)


def live_again(scene: Scene, disconnects: int, bound_s: float = LIVE_S) -> Waits:
    """The session has seen a disconnect more than *disconnects*, is live, and ticks flow."""

    def mended() -> bool:
        status = scene.status()
        return status["state"] == "live" and status["disconnects"] > disconnects

    yield Until(mended, "the feed live after a disconnect", bound_s)
    yield from ticks_flow(scene)


def cut(scene: Scene, how: str = "fin", bound_s: float = LIVE_S, **options: Any) -> Waits:
    """End the connection and wait for the next. Of one ended by FIN everything promised must arrive."""
    disconnects = scene.status()["disconnects"]
    open_ = scene.connections()
    scene.disconnects += 1
    scene.front.cut(how, **options)  # type: ignore[arg-type]
    yield from live_again(scene, disconnects, bound_s)
    if how == "fin":
        scene.graceful.update(open_)


# ---- the front ---------------------------------------------------------------------------------------------


def cut_fin(scene: Scene, args: dict[str, Any]) -> Waits:
    yield from cut(scene)


def cut_rst(scene: Scene, args: dict[str, Any]) -> Waits:
    yield from cut(scene, "rst")


def cut_mid_packet(scene: Scene, args: dict[str, Any]) -> Waits:
    yield from cut(scene, args["how"], after_bytes=args["after_bytes"])


def outage(scene: Scene, args: dict[str, Any]) -> Waits:
    scene.front.refuse_connections(args["seconds"])
    yield from cut(scene, bound_s=LIVE_S + args["seconds"])


def accept_and_close(scene: Scene, args: dict[str, Any]) -> Waits:
    scene.front.accept_and_close(args["times"])
    scene.disconnects += args["times"]
    yield from cut(scene, bound_s=LIVE_S + 10 * args["times"])


def garbage(scene: Scene, args: dict[str, Any]) -> Waits:
    disconnects = scene.status()["disconnects"]
    scene.front.send_garbage(args["what"])
    if args["what"] == "noise":  # must be ignored
        yield from ticks_flow(scene)
    else:
        scene.disconnects += 1
        yield from live_again(scene, disconnects)


def silence(scene: Scene, args: dict[str, Any]) -> Waits:
    scene.front.silence(args["seconds"])
    yield pause(args["seconds"])
    yield from ticks_flow(scene)


def login_refused(scene: Scene, args: dict[str, Any]) -> Waits:
    scene.front.refuse_logins(args["error_id"], args["times"])
    yield from cut(scene, bound_s=LIVE_S + 2 ** args["times"])


def login_unanswered(scene: Scene, args: dict[str, Any]) -> Waits:
    scene.front.login_without_answer(1)
    yield from cut(scene, bound_s=LIVE_S + 15)


def answers_late(scene: Scene, args: dict[str, Any]) -> Waits:
    scene.front.delay_answers(args["seconds"])
    try:
        yield from cut(scene)
    finally:
        scene.front.delay_answers(0)


def subscription_refused(scene: Scene, args: dict[str, Any]) -> Waits:
    refused = sorted(args["ids"])
    scene.front.refuse_subscription(refused)
    try:
        yield from cut(scene)
        yield Until(lambda: scene.status()["refused"] == refused, f"{refused} in the status as refused", LIVE_S)
    finally:
        scene.front.refuse_subscription([])
    yield Until(scene.all_acknowledged, "the refused ones acknowledged", LIVE_S)


def subscription_unanswered(scene: Scene, args: dict[str, Any]) -> Waits:
    disconnects = scene.status()["disconnects"]
    open_ = scene.connections()
    scene.front.acknowledge_only(args["answered"])
    scene.disconnects += 1
    try:
        scene.front.cut("fin")

        def logged_in() -> bool:
            status = scene.status()
            return status["disconnects"] > disconnects and status["state"] == "logged_in"

        yield Until(logged_in, "a login without all subscriptions", LIVE_S)
    finally:
        scene.front.acknowledge_only(None)
    yield from live_again(scene, disconnects, LIVE_S + 15)
    yield Until(scene.all_acknowledged, "the unanswered ones acknowledged", LIVE_S)
    scene.graceful.update(open_)


def subscriptions(scene: Scene, args: dict[str, Any]) -> Waits:
    """One instrument more or, if it is there, less."""
    name = args["id"]
    assert name in MORE_IDS
    if name in scene.wanted:
        scene.wanted.discard(name)
        scene.engine.unsubscribe([name])
    else:
        scene.wanted.add(name)
        scene.engine.subscribe([name])
    yield Until(lambda: scene.subscribed() == scene.wanted, "the front knows the changed subscription", LIVE_S)
    yield Until(scene.all_acknowledged, "the changed subscription acknowledged", LIVE_S)


def change_pace(scene: Scene, args: dict[str, Any]) -> Waits:
    scene.set_pace(args)
    yield from ticks_flow(scene)


def flat_out(scene: Scene, args: dict[str, Any]) -> Waits:
    before = scene.pace
    scene.set_pace({"flat_out": True})
    try:
        yield pause(args["seconds"])
    finally:
        scene.set_pace(before)


def cut_in_flood(scene: Scene, args: dict[str, Any]) -> Waits:
    """With much under way, so that a reset takes much with it."""
    before = scene.pace
    scene.set_pace({"flat_out": True})
    try:
        yield from ticks_flow(scene)
        yield from cut(scene, args["how"], after_bytes=args["after_bytes"])
    finally:
        scene.set_pace(before)


# ---- processes ---------------------------------------------------------------------------------------------


def stopped(scene: Scene, pid: int, seconds: float) -> Waits:
    scene.stop_process(pid)
    try:
        yield pause(seconds)
    finally:
        scene.continue_process(pid)


def engine_stop(scene: Scene, args: dict[str, Any]) -> Waits:
    pid = scene.engine.pid
    assert pid is not None
    yield from stopped(scene, pid, args["seconds"])
    yield from ticks_flow(scene)


def front_stop(scene: Scene, args: dict[str, Any]) -> Waits:
    yield from stopped(scene, scene.front.pid, args["seconds"])
    yield from ticks_flow(scene)


def engine_death(number: signal.Signals) -> Callable[[Scene, dict[str, Any]], Waits]:
    def die(scene: Scene, args: dict[str, Any]) -> Waits:
        pid = scene.engine.pid
        assert pid is not None
        scene.deaths.append(int(number))
        os.kill(pid, number)

        def mended() -> bool:
            status = scene.status()
            return status["pid"] not in (None, pid) and status["state"] == "live"

        yield Until(mended, f"the engine live after signal {number.name}", RESTART_S)
        yield from ticks_flow(scene)

    return die


def kill_in_flood(scene: Scene, args: dict[str, Any]) -> Waits:
    """Killed while it writes as fast as it can."""
    before = scene.pace
    scene.set_pace({"flat_out": True})
    try:
        yield from ticks_flow(scene)
        yield from engine_death(signal.SIGKILL)(scene, args)
    finally:
        scene.set_pace(before)


def worker_kill_in_flood(scene: Scene, args: dict[str, Any]) -> Waits:
    """A worker killed with its hands full, after so many ticks."""
    post = scene.mortal
    before = scene.pace
    scene.set_pace({"flat_out": True})
    try:
        goal = post.ledger.count + args["ticks"]
        yield Until(lambda: post.ledger.count >= goal, "the worker reads in the flood", LIVE_S)
        yield from post.killed()
        post.employ(by_name=True)
        yield from post.reading()
    finally:
        scene.set_pace(before)


# ---- the crew ----------------------------------------------------------------------------------------------


def worker_kill(scene: Scene, args: dict[str, Any]) -> Waits:
    """A worker dies and another takes its queue up, by name."""
    post = scene.some_post(args["whom"])
    yield from post.killed()
    post.employ(by_name=True)
    yield from post.reading()


def worker_kill_twice(scene: Scene, args: dict[str, Any]) -> Waits:
    """The successor dies too, perhaps while it takes the queue up."""
    post = scene.some_post(args["whom"])
    yield from post.killed()
    post.employ(by_name=True)
    yield pause(args["seconds"])
    yield from post.killed()
    post.employ(by_name=True)
    yield from post.reading()


def worker_stop(scene: Scene, args: dict[str, Any]) -> Waits:
    post = scene.some_post(args["whom"])
    yield from stopped(scene, post.pid, args["seconds"])
    yield from post.goes_on()


def visit(scene: Scene, args: dict[str, Any]) -> Waits:
    """Somebody attaches to the engine by its name, reads for a while and leaves."""
    post = scene.guest(reader_of(args["reader"]), start=args["start"])
    try:
        yield from post.reading()
        yield pause(args["seconds"])
        yield from post.leaves()
    finally:
        scene.dismiss(post)


def visit_kill(scene: Scene, args: dict[str, Any]) -> Waits:
    """The guest is killed: queue and reader die together, the engine has to find out that the place is free."""
    post = scene.guest(reader_of(args["reader"]), start=args["start"])
    try:
        yield from post.reading()
        yield pause(args["seconds"])
        yield from post.killed()
    finally:
        scene.dismiss(post)


def close_outside(scene: Scene, args: dict[str, Any]) -> Waits:
    """A queue made while the engine runs, closed under its reader's hands by the process that made it."""
    post = scene.hired(reader_of(args["reader"]), start=args["start"])
    try:
        yield from post.reading()
        yield pause(args["seconds"])
        post.close_queue()
        yield from post.ends("closed")
    finally:
        scene.dismiss(post)


ACTIONS: dict[str, Callable[[Scene, dict[str, Any]], Waits]] = {
    "cut_fin": cut_fin,
    "cut_rst": cut_rst,
    "cut_mid_packet": cut_mid_packet,
    "outage": outage,
    "accept_and_close": accept_and_close,
    "garbage": garbage,
    "silence": silence,
    "login_refused": login_refused,
    "login_unanswered": login_unanswered,
    "answers_late": answers_late,
    "subscription_refused": subscription_refused,
    "subscription_unanswered": subscription_unanswered,
    "subscriptions": subscriptions,
    "pace": change_pace,
    "flat_out": flat_out,
    "cut_in_flood": cut_in_flood,
    "engine_stop": engine_stop,
    "front_stop": front_stop,
    "engine_kill": engine_death(signal.SIGKILL),
    "engine_segv": engine_death(signal.SIGSEGV),
    "engine_abort": engine_death(signal.SIGABRT),
    "kill_in_flood": kill_in_flood,
    "worker_kill_in_flood": worker_kill_in_flood,
    "worker_kill": worker_kill,
    "worker_kill_twice": worker_kill_twice,
    "worker_stop": worker_stop,
    "visit": visit,
    "visit_kill": visit_kill,
    "close_outside": close_outside,
}
