from pathlib import Path

import pytest


@pytest.fixture
def plugins() -> Path:
    """The folder of the bundled plugins."""
    return Path(__file__).parents[2] / "plugins"
