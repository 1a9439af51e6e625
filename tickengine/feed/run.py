"""``tickengine run``: a feed in the foreground, from a configuration file, until a signal or its end."""

from __future__ import annotations

import argparse
import functools
import logging
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from .._errors import ConfigError, EngineError, ShimError, TickEngineError
from .._signals import signal_pipe
from ..engine import TickEngine
from ..queue import TickQueue
from ..watch.age import last_tick_age
from ..watch.events import EventLogger, event_queue
from ..watch.jsonlog import set_up
from ..watch.metrics import FeedCollector, MetricsServer
from ..watch.own import RECORDER, own_queue
from ..watch.service import ServiceManager
from ..words import complain
from .commands import add_file, report
from .feed import Feed, RecorderPlan
from .mistakes import Mistakes
from .plan import FORMATS, choice_of, load
from .recorder import FeedRecorder

logger = logging.getLogger("tickengine")

EXIT_DECIDED = 3
"""Not to be started again as it is: a configuration with mistakes, a login refused for good."""
_ENDS = (signal.SIGINT, signal.SIGTERM)
_DRAIN_S = 5.0
_LOOK_S = 0.01
_STATUS_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument("--metrics", metavar="HOST:PORT", help="serve Prometheus metrics, as metrics.listen")
    parser.add_argument("--log-format", choices=FORMATS, help="as logging.format")
    parser.epilog = (
        "SIGTERM or Ctrl-C end it in order, with exit status 0: the front is left, workers get what is left in their "
        "queues, no segment stays. SIGHUP reads the instruments again. Status 3: mistakes in the configuration, or a "
        "login refused for good, which must not be tried again as it is; any other failure is 1. Workers take their "
        "queues by name: TickQueue.attach('strategy-1'). Example: tickengine run feed.toml --set engine.name=test "
        "--metrics 127.0.0.1:9464"
    )


def run(args: argparse.Namespace) -> int:
    """Returns 0 after a signal, `EXIT_DECIDED`, or 1 when something else has ended it, with one line why."""
    sets = list(args.set)
    if args.metrics is not None:
        sets.append(f"metrics.listen={args.metrics}")
    if args.log_format is not None:
        sets.append(f"logging.format={args.log_format}")
    try:
        feed = load(args.file, sets)
    except Mistakes as mistakes:
        report(mistakes)
        return EXIT_DECIDED
    except ConfigError as error:  # it cannot be read at all
        complain(error)
        return EXIT_DECIDED
    set_up(feed.log_format, feed.log_level, feed.options["name"])
    for doubt in feed.doubts:
        logger.warning("%s", doubt)
    # The handlers first: whoever stops a feed that is just starting gets an end in order, too.
    with signal_pipe((*_ENDS, signal.SIGHUP)) as signalled:
        try:
            _Running(feed, sets, signalled).run()
        except TickEngineError as error:
            if feed.log_format == "json":  # then whoever reads the lines reads nothing else
                logger.error("%s", error)
            else:
                complain(error)
            return EXIT_DECIDED if isinstance(error, _GaveUpError) else 1
    return 0


class _GaveUpError(EngineError):
    """The engine has ended by its own decision."""


class _Running:
    def __init__(self, feed: Feed, sets: list[str], signalled: int) -> None:
        self._feed = feed
        self._sets = sets
        self._signalled = signalled
        self._ids = feed.choice.ids
        self._service = ServiceManager()
        self._recorder: FeedRecorder | None = None

    def run(self) -> None:
        feed = self._feed
        with ExitStack() as stack:
            server = None
            if feed.listen is not None:  # before the engine: an address in use must not cost a login
                server = MetricsServer(*feed.listen)
                stack.callback(server.close)
            queues = [stack.enter_context(_queue(feed, name)) for name in range(len(feed.queues))]
            recorded = None
            if feed.recorder is not None:
                recorded = stack.enter_context(_recorder_queue(feed, feed.recorder))
                queues.append(recorded)
            events = None
            if feed.log_format == "json":
                events = stack.enter_context(event_queue(feed.options["name"]))
                queues.append(events)
            engine = _engine(feed, queues)
            stack.callback(self._finish_recorder)  # behind the engine's end, when nothing more comes
            engine.start()
            stack.callback(_leave, engine)
            if feed.recorder is not None and recorded is not None:
                prepare = functools.partial(set_up, feed.log_format, feed.log_level, engine.name)
                self._recorder = FeedRecorder(feed.recorder, recorded, prepare)
            if events is not None:
                stack.callback(EventLogger(events).close)
                stack.callback(engine.stop)
            if server is not None:
                counters = self._recorder.counters if self._recorder else None
                age = functools.partial(last_tick_age, engine.log)
                server.add(FeedCollector(engine.name, engine.status, age, counters))
                logger.info("metrics at http://%s:%d/metrics", *feed.listen or ())
            ended = stack.enter_context(_end_of(engine))
            logger.info(
                "engine %s runs as process %d, %d instruments, front %s",
                *(engine.name, engine.pid, len(self._ids), ",".join(feed.fronts)),
            )
            for plan in feed.queues:
                logger.info("queue %s waits for its worker", plan.name)
            self._service.ready()
            self._loop(engine, ended)
            self._service.stopping()

    def _finish_recorder(self) -> None:
        if self._recorder is not None:
            self._recorder.finish()

    def _loop(self, engine: TickEngine, ended: int) -> None:
        pause = self._service.watchdog_s or _STATUS_S
        told = ""
        while True:
            self._service.alive()
            if self._recorder is not None:
                self._recorder.look()
            words = _words(engine)
            if words != told:
                told = words
                self._service.status(words)
            ready, _, _ = select.select([self._signalled, ended], [], [], min(pause, _STATUS_S))
            # The signal first: a terminal's Ctrl-C goes to the engine process, too, which then ends by itself.
            if self._signalled in ready:
                numbers = set(os.read(self._signalled, 4096))
                if numbers & set(_ENDS):
                    logger.info("%s: ending in order", signal.Signals(min(numbers & set(_ENDS))).name)
                    return
                self._reload(engine)
            elif ended in ready:
                try:
                    engine.join()
                except EngineError as error:
                    raise _GaveUpError(str(error)) from None
                raise EngineError("the engine process was told to end by somebody else")

    def _reload(self, engine: TickEngine) -> None:
        """The instruments again; a mistake changes nothing."""
        try:
            choice = choice_of(self._feed.path, self._sets)
        except Mistakes as mistakes:
            for line in mistakes.lines:
                logger.error("SIGHUP: %s", line)
            logger.error("SIGHUP: the instruments stay as they were")
            return
        except TickEngineError as error:
            logger.error("SIGHUP: %s; the instruments stay as they were", error)
            return
        more = [i for i in choice.ids if i not in set(self._ids)]
        gone = [i for i in self._ids if i not in set(choice.ids)]
        if more:
            engine.subscribe(more)
        if gone:
            engine.unsubscribe(gone)
        self._ids = choice.ids
        logger.info(
            "SIGHUP: %d instruments, %d new, %d gone; all other keys are read at the start only",
            *(len(choice.ids), len(more), len(gone)),
        )


def _queue(feed: Feed, number: int) -> TickQueue:
    plan = feed.queues[number]
    return TickQueue(plan.instruments, events=plan.events, wait=plan.wait, skip=plan.skip, name=plan.name)


def _recorder_queue(feed: Feed, plan: RecorderPlan) -> TickQueue:
    name = own_queue(feed.options["name"], RECORDER)
    return TickQueue(plan.instruments, start="oldest", events=True, name=name)


def _engine(feed: Feed, queues: list[TickQueue]) -> TickEngine:
    return TickEngine(
        feed.fronts,
        feed.broker,
        feed.user,
        feed.password,
        feed.app_id,
        feed.auth_code,
        feed.choice.ids,
        queues,
        page_dir=feed.page_dir,
        **feed.options,
    )


@contextmanager
def _end_of(engine: TickEngine) -> Iterator[int]:
    """A descriptor that becomes readable when the engine has ended."""
    reader, writer = os.pipe()

    def wait() -> None:
        try:
            engine.join()
        except EngineError:
            pass  # whoever reads the descriptor joins again, and gets it
        os.write(writer, b"e")

    thread = threading.Thread(target=wait, name="tickengine-end")
    thread.start()
    try:
        yield reader
    finally:
        engine.stop()
        thread.join()
        os.close(reader)
        os.close(writer)


def _leave(engine: TickEngine) -> None:
    """Stop, and give living workers the time to take what is left in their queues."""
    engine.stop()
    deadline = time.monotonic() + _DRAIN_S
    while (late := _behind(engine)) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    for name, lag in late.items():
        logger.warning("queue %s: its worker has left %d records unread", name, lag)


def _behind(engine: TickEngine) -> dict[str, int]:
    return {q["name"]: q["lag"] for q in engine.log.queues() if q["alive"] and q["lag"]}


def _words(engine: TickEngine) -> str:
    try:
        status = engine.status()
    except ShimError as error:  # somebody has damaged the log; the feed goes on
        return str(error)
    why = status.get("front_error") or ""
    words = f"{status['state']}, {status.get('subscribed', 0)} subscribed, {status.get('disconnects', 0)} disconnects"
    return f"{words}: {why}" if why and status["state"] in ("connecting", "connected") else words
