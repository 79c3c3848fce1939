"""Imports Gradio in about half the time it takes by itself."""

from __future__ import annotations

import inspect
from typing import Any
from unittest.mock import patch


def import_gradio() -> None:
    """Import Gradio, without the stubs that it would compare with its source for editors.

    Gradio does that for each component, at each import, by parsing files; it passes over a
    component that has no file (``gradio.component_meta.create_or_modify_pyi``). The same
    spares an installation that belongs to someone else from being written into.
    """
    find = inspect.getfile

    def getfile(thing: Any) -> str:
        if isinstance(thing, type) and thing.__module__.startswith("gradio."):
            raise OSError
        return find(thing)

    with patch.object(inspect, "getfile", getfile):
        import gradio  # noqa: F401
