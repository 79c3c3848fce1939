"""Asks the running bot on this machine how it is: ``/healthz`` and ``/metrics``."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

PATIENCE = 2.0
"""Seconds; it answers in milliseconds unless its machine is overloaded."""


class Link(BaseModel):
    """A connection of the bot's, see :class:`bot.adapter.Link`."""

    model_config = ConfigDict(frozen=True)

    name: str
    up: bool
    detail: str = ""
    since: float = 0.0
    platform: str = ""
    transport: str = ""


class Health(BaseModel):
    """What ``/healthz`` says.

    Attributes:
        status: ``ok``, ``degraded`` (a connection is down) or ``failed`` (the database is).
        links: its connections.
        disabled_plugins: those that were disabled because they failed again and again.
    """

    model_config = ConfigDict(frozen=True)

    status: str
    links: tuple[Link, ...] = ()
    disabled_plugins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figures:
    """Counts since the bot was started.

    Attributes:
        received: events that were accepted.
        sent: messages that were delivered.
        refused: events beyond a limit.
        failed: replies that failed, of the model.
        busy: sessions with something to do now.
    """

    received: int = 0
    sent: int = 0
    refused: int = 0
    failed: int = 0
    busy: int = 0


def ask_health(port: int) -> Health | None:
    """Return what ``/healthz`` says; None if nothing sensible answers."""
    try:
        return Health.model_validate(json.loads(_get(port, "healthz")))
    except (OSError, ValueError, ValidationError):
        return None


def ask_figures(port: int) -> Figures | None:
    """Return what ``/metrics`` says; None if nothing sensible answers."""
    from prometheus_client.parser import text_string_to_metric_families as families

    try:
        samples = [one for family in families(_get(port, "metrics")) for one in family.samples]
    except (OSError, ValueError):
        return None

    def total(name: str, **labels: str) -> int:
        return int(sum(one.value for one in samples if one.name == name and _has(one, labels)))

    return Figures(
        total("renshe_events_total"),
        total("renshe_messages_total", outcome="sent"),
        total("renshe_refused_total"),
        total("renshe_engine_errors_total"),
        total("renshe_busy_sessions"),
    )


def _has(sample: Any, labels: dict[str, str]) -> bool:
    return all(sample.labels.get(name) == value for name, value in labels.items())


def _get(port: int, page: str) -> str:
    """Fetch a page of this machine's, past any proxy; a failed bot answers 503 with a body."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/{page}", timeout=PATIENCE) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()
