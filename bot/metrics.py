"""What Prometheus reads: counts without a word of what was said, or by whom."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """The figures of one running bot, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.received = Counter(
            "renshe_events", "Events that were accepted.", ["platform"], registry=self.registry
        )
        self.duplicates = Counter(
            "renshe_duplicates", "Events that were there already.", registry=self.registry
        )
        self.refused = Counter("renshe_refused", "Events beyond a limit.", registry=self.registry)
        self.sent = Counter(
            "renshe_messages", "Messages by outcome.", ["outcome"], registry=self.registry
        )
        self.engine_errors = Counter(
            "renshe_engine_errors", "Replies that failed.", registry=self.registry
        )
        self.plugin_failures = Counter(
            "renshe_plugin_failures", "Calls that failed.", ["plugin"], registry=self.registry
        )
        self.thinking = Histogram(
            "renshe_reply_seconds",
            "Seconds to think a reply up.",
            buckets=(0.1, 0.3, 1, 3, 10, 30, 100),
            registry=self.registry,
        )
        self._busy = Gauge(
            "renshe_busy_sessions", "Sessions with something to do.", registry=self.registry
        )

    def watch_sessions(self, number: Callable[[], int]) -> None:
        """Ask ``number`` for the busy sessions whenever the figures are read."""
        self._busy.set_function(number)

    def text(self) -> bytes:
        """Return the figures in Prometheus' format."""
        return generate_latest(self.registry)
