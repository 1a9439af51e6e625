"""A feed's numbers for Prometheus, read from shared memory when they are asked for."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIServer

from .._errors import ConfigError, MissingPackage, ShimError
from .own import without_events

if TYPE_CHECKING:
    from prometheus_client.core import Metric

STATES = ("connecting", "connected", "logged_in", "live", "stale", "stopped", "failed")
QUANTILES = {"p50": "0.5", "p90": "0.9", "p99": "0.99"}


@dataclass(frozen=True)
class Number:
    """One metric: its name without ``tickengine_``, its kind, where it comes from, and what it means."""

    name: str
    kind: str
    key: str
    words: str


ENGINE = (
    Number("ticks", "counter", "ticks", "Ticks written into the log."),
    Number("head", "gauge", "head", "Sequence of the next record."),
    Number("capacity", "gauge", "capacity", "Records that the log holds."),
    Number("epoch", "gauge", "epoch", "Engine processes so far, this one included."),
    Number("restarts", "counter", "restarts", "Engine processes that died and were started again."),
    Number("logins", "counter", "logins", "Logins that succeeded."),
    Number("disconnects", "counter", "disconnects", "Connections that were lost."),
    Number("subscribed", "gauge", "subscribed", "Instruments whose subscription is acknowledged."),
    Number("unacknowledged", "gauge", "unacknowledged", "Instruments asked for and not acknowledged."),
)
QUEUE = (
    Number("queue_lag", "gauge", "lag", "Records between the queue and the head of the log."),
    Number("queue_received", "counter", "received", "Ticks that the queue's readers were given."),
    Number("queue_lost", "counter", "lost", "Ticks overwritten before the queue got them."),
    Number("queue_skipped", "counter", "skipped", "Ticks passed over because of the queue's skip."),
    Number("queue_alive", "gauge", "alive", "1 if a living process reads the queue."),
)
RECORDER = (
    Number("recorder_alive", "gauge", "alive", "1 if the recorder's process runs."),
    Number("recorder_recorded", "counter", "recorded", "Ticks written by it."),
    Number("recorder_lost", "counter", "lost", "Ticks overwritten before they were recorded."),
    Number("recorder_events", "counter", "events", "Connection events noted by it."),
    Number("recorder_blocked", "gauge", "blocked", "1 while its disk is full."),
)
OTHERS = {
    "up": ("gauge", "1 if the engine's log could be read."),
    "state": ("gauge", "1 for the state the engine is in, 0 for the others."),
    "last_tick_age_seconds": ("gauge", "Seconds since the newest tick was received."),
    "queue_latency_seconds": ("gauge", "From the vendor's callback to the reader, by quantile."),
    "queue_latency_max_seconds": ("gauge", "The longest of these so far."),
    "queue_latency_ticks": ("counter", "Ticks whose latency was counted."),
}


class FeedCollector:
    """Reads one engine's status each time Prometheus asks. Nothing is counted, kept or done in between.

    Args:
        engine: its name, the label of all its metrics.
        status: gives what `TickEngine.status` gives.
        age: gives the age of the newest tick in seconds, or None.
        recorder: gives a recorder's counters and whether it is ``alive``; None: there is none.
    """

    def __init__(
        self,
        engine: str,
        status: Callable[[], Mapping[str, Any]],
        age: Callable[[], float | None],
        recorder: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        self._core = prometheus("core")
        self._engine = engine
        self._status = status
        self._age = age
        self._recorder = recorder

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read a log that is being made."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All metrics, now."""
        try:
            status, age = self._status(), self._age()
        except ShimError:
            # It is damaged or just being removed; the engine's own log says so.
            return [self._other("up", [((), 0)])]
        found = [
            self._other("up", [((), 1)]),
            self._other("state", [((state,), state == status["state"]) for state in STATES], "state"),
            self._other("last_tick_age_seconds", [] if age is None else [((), age)]),
        ]
        for number in ENGINE:
            if status.get(number.key) is not None:
                found.append(self._family(number.name, number.kind, number.words, [((), status[number.key])]))
        queues = without_events(self._engine, status.get("queues", ()))
        for number in QUEUE:
            values = [((queue["name"],), queue[number.key]) for queue in queues]
            found.append(self._family(number.name, number.kind, number.words, values, "queue"))
        found += self._latency(queues)
        if self._recorder is not None:
            counters = self._recorder()
            found += [self._family(n.name, n.kind, n.words, [((), counters[n.key])]) for n in RECORDER]
        return found

    def _latency(self, queues: Iterable[Mapping[str, Any]]) -> list[Metric]:
        known = [(queue["name"], queue["latency"]) for queue in queues if queue.get("latency")]
        quantiles = [
            ((name, quantile), latency[key] / 1e9)
            for name, latency in known
            for key, quantile in QUANTILES.items()
            if latency.get(key) is not None
        ]
        return [
            self._other("queue_latency_seconds", quantiles, "queue", "quantile"),
            self._other(
                "queue_latency_max_seconds",
                [((name,), one["max"] / 1e9) for name, one in known if one.get("max") is not None],
                "queue",
            ),
            self._other(
                "queue_latency_ticks", [((name,), one["count"]) for name, one in known if "count" in one], "queue"
            ),
        ]

    def _other(self, name: str, values: Iterable[tuple[tuple[str, ...], float]], *labels: str) -> Metric:
        return self._family(name, *OTHERS[name], values, *labels)

    def _family(
        self, name: str, kind: str, words: str, values: Iterable[tuple[tuple[str, ...], float]], *labels: str
    ) -> Metric:
        classes = {"counter": self._core.CounterMetricFamily, "gauge": self._core.GaugeMetricFamily}
        family: Metric = classes[kind](f"tickengine_{name}", words, labels=["engine", *labels])
        for more, value in values:
            family.add_metric([self._engine, *more], float(value))  # type: ignore[attr-defined]
        return family


def names() -> set[str]:
    """The names of all metrics, as Prometheus stores them."""
    kinds = {number.name: number.kind for number in (*ENGINE, *QUEUE, *RECORDER)} | {
        name: kind for name, (kind, _) in OTHERS.items()
    }
    return {f"tickengine_{name}{'_total' if kind == 'counter' else ''}" for name, kind in kinds.items()}


def prometheus(module: str = "") -> Any:
    """``prometheus_client``, or a module of it. Raises `MissingPackage`."""
    try:
        return importlib.import_module(f"prometheus_client{'.' + module if module else ''}")
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "prometheus_client":
            raise
        raise MissingPackage("metrics need prometheus_client: pip install 'tickengine[metrics]'") from error


class MetricsServer:
    """Serves collectors on ``http://host:port/metrics`` from a thread of its own, from construction to `close`.

    Raises:
        ConfigError: the address cannot be listened at.
        MissingPackage: prometheus_client is not installed.
    """

    def __init__(self, host: str, port: int) -> None:
        client = prometheus()
        self._registry = client.CollectorRegistry(auto_describe=False)
        try:
            self._server: WSGIServer
            self._thread: threading.Thread
            self._server, self._thread = client.start_http_server(port, host, self._registry)
        except OSError as error:
            raise ConfigError(
                f"metrics: {host}:{port} cannot be listened at: {error.strerror or error}; another metrics.listen?"
            ) from None
        self.port: int = self._server.server_port

    def add(self, collector: FeedCollector) -> None:
        """Serve its metrics from now on."""
        self._registry.register(collector)

    def close(self) -> None:
        """Stop listening. Can be repeated."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
