"""A project with one run that was never evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.studio.workshop import Workshop
from tests.bot.studio.runs import make_run


@pytest.fixture
def folder(workshop: Workshop) -> Path:
    """The folder of the run ``dory``."""
    return make_run(workshop, "dory")
