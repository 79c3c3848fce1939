"""The language Renshe speaks to the person: Chinese or English.

Chinese users come first, and an error that cannot be read is no error message.
Both wordings of a message stand side by side where it is raised, so that neither
goes stale unseen; :func:`say` picks one. The choice is a context variable, so
two visitors of one server may each read their own language.
"""

from __future__ import annotations

import locale
import os
from contextvars import ContextVar
from typing import Literal

Language = Literal["zh", "en"]

_spoken: ContextVar[Language | None] = ContextVar("spoken", default=None)


def use(language: Language) -> None:
    """Speak ``language`` from here on, in this context."""
    _spoken.set(language)


def spoken() -> Language:
    """Return the chosen language, or the one the environment asks for."""
    return _spoken.get() or from_environment()


def from_environment() -> Language:
    """Read the POSIX locale variables in order of precedence; Chinese unless they say otherwise."""
    for variable in ("RENSHE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable, "").lower()
        if value.startswith("zh"):
            return "zh"
        if value and value not in ("c", "posix", "c.utf-8", "c.utf8"):
            return "en"
    name = locale.getlocale()[0] or ""
    return "en" if name.lower().startswith("en") else "zh"


def say(*, zh: str, en: str) -> str:
    """Return the wording of the spoken language."""
    return zh if spoken() == "zh" else en
