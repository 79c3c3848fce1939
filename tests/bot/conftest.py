"""What tests of the bot share."""

from __future__ import annotations

from pathlib import Path

import pytest

GOOD = Path(__file__).parents[1] / "data" / "personas" / "good.yaml"


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path) -> Path:
    """A run of two steps; copy it to change anything."""
    from bot.cli import main

    folder = tmp_path_factory.mktemp("trained") / "run"
    settings = ("--set", "max_steps=2", "--set", "pre_seq_len=4", "--set", "device=cpu")
    base = ("--base", str(tiny_base_folder))
    assert main(["train", str(GOOD), *base, *settings, "--out", str(folder)]) == 0
    return folder
