"""The loop that drives a plan: all lanes, all looks, in one thread."""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import threading
import time
import traceback
from multiprocessing import forkserver
from types import FrameType

from tickengine import TickQueue

from . import leaks
from .lanes import Lane, Late, Waits
from .plan import Plan, Round
from .report import Report
from .scene import Scene

LOOK_S = 0.02
PROGRESS_S = 60.0
_WATCHED_DIRECTORY = "/dev/shm"


class Interrupted:
    """SIGINT, once: finish in order. A second one is Python's own."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Interrupted:
        self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, self._before)

    def __exit__(self, *_exc: object) -> None:
        signal.signal(signal.SIGINT, self._before)


def run(plan: Plan, library: str, command: str, balance_s: float = 60.0) -> Report:
    """All rounds of *plan*, or as many as there is time for before a SIGINT."""
    report = Report(plan, command)
    report.say(f"SEED {plan.seed}: {len(plan.rounds)} rounds, {plan.seconds / 60:.1f} minutes")
    # A crash of the engine is part of the plan; its core file is of no use.
    cores = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, cores[1]))
    multiprocessing.get_context("forkserver").set_forkserver_preload(["soak.crew"])  # type: ignore[attr-defined]
    directory = tempfile.mkdtemp(prefix="soak-", dir=_WATCHED_DIRECTORY)
    parent = leaks.Series("rounds", "parent process between rounds")
    report.series.append(parent)
    first: dict[str, int] | None = None
    try:
        with Interrupted() as interrupted:
            for number, round_ in enumerate(plan.rounds, 1):
                report.round = number
                try:
                    _round(number, round_, report, directory, library, balance_s, interrupted)
                except Exception:
                    report.wrong(f"the round could not go on: {traceback.format_exc()}")
                    break
                if left := os.listdir(directory):
                    report.wrong(f"after the round: ledgers or flow directories left: {left}")
                sample = _between()
                parent.add(report.now, sample)
                if first is None:
                    first = sample
                else:
                    for text in leaks.left_over(first, sample):
                        report.wrong(text)
                if interrupted.asked:
                    report.interrupted = True
                    break
    finally:
        shutil.rmtree(directory)
        resource.setrlimit(resource.RLIMIT_CORE, cores)
        # It would live as long as this process, and be taken for something left behind.
        forkserver._forkserver._stop()  # type: ignore[attr-defined]
    for series in report.series:
        for text in series.leaks():
            report.wrong(text)
    for text in _swept():
        report.wrong(text)
    return report


def _round(
    number: int,
    plan: Round,
    report: Report,
    directory: str,
    library: str,
    balance_s: float,
    interrupted: Interrupted,
) -> None:
    scene = Scene(number, plan, report, directory, library)
    try:
        _live(scene, plan, report, min(balance_s, plan.seconds / 2), interrupted)
        _drive([Lane(_named(scene.finish(), "the end of the round", scene))], scene, report)
        report.rounds.append(scene.record())
    finally:
        scene.dispose()


def _live(scene: Scene, plan: Round, report: Report, balance_s: float, interrupted: Interrupted) -> None:
    steps = [Lane(scene.steps("feed", plan.feed)), Lane(scene.steps("crew", plan.crew))]
    accounts = Lane(scene.accounts(balance_s))
    end = time.monotonic() + plan.seconds
    said = time.monotonic()
    try:
        while not accounts.over:
            if interrupted.asked:
                report.say("interrupted: everybody reads to the end")
                for lane in (*steps, accounts):
                    lane.abandon()
                scene.calm()
                return
            if time.monotonic() >= end or (plan.until_done and all(lane.over for lane in steps)):
                scene.closing = True
            for lane in (*steps, accounts):
                lane.step()
            scene.watch()
            if time.monotonic() - said >= PROGRESS_S:
                said = time.monotonic()
                report.say(scene.progress())
            time.sleep(LOOK_S)  # the pace of looking
    finally:
        for lane in (*steps, accounts):
            lane.abandon()


def _named(work: Waits, what: str, scene: Scene) -> Waits:
    try:
        yield from work
    except Late as late:
        scene.wrong(f"{what}: {late}")


def _drive(lanes: list[Lane], scene: Scene, report: Report) -> None:
    while not all(lane.over for lane in lanes):
        for lane in lanes:
            lane.step()
        scene.watch()
        time.sleep(LOOK_S)  # the pace of looking


def _between() -> dict[str, int]:
    """Everything is closed: what there is of this process and on the machine."""
    gc.collect()
    sample = leaks.process_sample(os.getpid())
    assert sample is not None
    return {
        **sample,
        "python_threads": threading.active_count(),
        "children": len(leaks.children_of(os.getpid())),
    }


def _make_and_close_a_queue() -> None:
    TickQueue().close()


def _swept() -> list[str]:
    """Guests that were killed leave the files of their queues; the next process that makes a queue removes them."""
    sweeper = multiprocessing.get_context("spawn").Process(target=_make_and_close_a_queue)
    sweeper.start()
    sweeper.join(60)
    if sweeper.is_alive():
        sweeper.kill()
        return ["the process that sweeps did not end within 60 s"]
    left = leaks.segments()
    return [f"segments left at the end: {left}"] if left else []
