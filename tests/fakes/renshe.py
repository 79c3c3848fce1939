"""A ``renshe`` for jobs: it says what it was asked to, waits, obeys or does not."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from trainer.errors import Fault, TrainingError


def run(arguments: Sequence[str]) -> int:
    what, *rest = arguments
    sys.stdout.write(f"{what} {' '.join(rest)}\n")
    if what == "fail":
        raise TrainingError(faults=(Fault("it broke", Path("x"), fix="mend it"), Fault("twice")))
    if what == "crash":
        raise ZeroDivisionError("no number\nwhatever")
    if what == "die":
        os.abort()
    if what == "wait":
        return _wait(Path(rest[0]))
    return int(what)


def _wait(file: Path) -> int:
    """Wait for a file to come; a signal ends it as it ends a training, which saves."""
    Path(f"{file}.begun").touch()
    try:
        while not file.exists():
            time.sleep(0.02)
    except KeyboardInterrupt:
        Path(f"{file}.saved").touch()
        raise
    return 0
