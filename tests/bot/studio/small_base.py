"""A base that a test can train on: the name of an embedded one, with tiny random weights."""

import shutil
from pathlib import Path

import pytest

from trainer import bases

NAME = "smollm2"


def install(folder: Path, weights: Path, patch: pytest.MonkeyPatch) -> None:
    """Put a stand-in for the base's package and its conversion where every process finds them.

    Args:
        folder: an empty folder for both.
        weights: a Hugging Face folder with a chat template.
        patch: sets the environment.
    """
    base = next(base for base in bases.EMBEDDED if base.name == NAME)
    packages = folder / "packages"
    for package, file in base.files:
        place = packages / package / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"a stand-in")
    patch.setenv("PYTHONPATH", str(packages))
    patch.syspath_prepend(str(packages))
    patch.setenv("RENSHE_CACHE", str(folder / "cache"))
    converted = bases.converted_folder(base.sha256)
    shutil.copytree(weights, converted)
    bases._seal(converted)
