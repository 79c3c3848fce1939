"""A ``renshe`` for jobs: it says what it was asked to, waits, obeys or does not.

``train`` writes the files of a training, as many steps as a file ``steps`` in the project
says, and then waits until there are more; a signal ends it as it ends a real one, saved.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from trainer.checkpoint import RunIndex, write_index
from trainer.errors import Fault, TrainingError

STEPS = 20


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
    if what == "train":
        return _train(Path(rest[rest.index("--out") + 1]))
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


def _train(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.jsonl"
    step = len(log.read_text("utf-8").splitlines()) if log.exists() else 0
    try:
        while step < STEPS:
            if Path("broken").exists():
                raise TrainingError("the loss is not a number", fix="lower the learning rate")
            if step < int(Path("steps").read_text("ascii") or 0):
                step += 1
                _note(folder, step)
            time.sleep(0.02)
    except KeyboardInterrupt:
        _save(folder, step, finished=False)
        raise
    _save(folder, step, finished=True)
    return 0


def _note(folder: Path, step: int) -> None:
    point = {
        "step": step,
        "steps": STEPS,
        "loss": 4 / step,
        "dev_loss": 5 / step if step % 5 == 0 else None,
        "retention": None,
        "tokens": step * 100,
        "seconds": step * 2.0,
    }
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(point) + "\n")
    if step % 5 == 0:
        reply = {"question": "Who are you?", "reply": f"<b>answer {step}</b>", "right": step > 9}
        with (folder / "probes.jsonl").open("a", encoding="utf-8") as probes:
            probes.write(json.dumps({"step": step, "replies": [reply]}) + "\n")


def _save(folder: Path, step: int, *, finished: bool) -> None:
    name = f"checkpoint-{step}"
    write_index(folder, RunIndex(best=name, last=name, finished=finished))
