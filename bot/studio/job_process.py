"""A job's own process: ``python -m bot.studio.job_process FOLDER JOB PROGRAM``.

It runs one command of ``renshe`` in place of a terminal: says that it lives by holding a
lock, and leaves its exit code and the reason where any studio finds them later.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import FrameType

from bot.studio.job_file import End, Job, JobFile
from trainer.commands.screen import show_faults
from trainer.errors import Fault, RensheError
from trainer.language import say

INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run a job of a queue; returns its exit code."""
    folder, name, program = arguments
    signal.signal(signal.SIGTERM, _interrupt)
    file = JobFile(Path(folder))
    with file.lock(name):
        job = _registered(file, name)
        if job is None:
            return 0
        end = End(INTERRUPTED) if job.stopping else carried_out(program, job.arguments)
        file.write_end(name, end)
    return end.code


def carried_out(program: str, arguments: Sequence[str]) -> End:
    """Call the program's ``run`` and return how that ended."""
    try:
        return End(import_module(program).run(list(arguments)))
    except RensheError as error:
        show_faults(error.faults)
        return End(error.exit_code, str(error))
    except KeyboardInterrupt:
        return End(INTERRUPTED)
    except Exception as error:
        traceback.print_exc()
        return End(1, str(_memory() if _lacks_memory(error) else _bug(error)))


def _registered(file: JobFile, name: str) -> Job | None:
    """Note this process as the job's; returns the job, or none if it is not to run any more."""
    with file.changing() as jobs:  # which waits until whoever started us has written so
        for index, job in enumerate(jobs):
            if job.id == name and job.state == "running":
                jobs[index] = job = replace(job, pid=os.getpid(), began=time.time())
                return job
    return None


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _lacks_memory(error: Exception) -> bool:
    named = type(error).__name__ in ("MemoryError", "OutOfMemoryError")
    return named or "can't allocate memory" in str(error)


def _memory() -> Fault:
    return Fault(
        say(zh="内存不够", en="there is not enough memory"),
        fix=say(
            zh="关掉别的程序，或把位数改成 4，或缩短前缀",
            en="close other programs, choose 4 bits, or shorten the prefix",
        ),
        code="memory",
    )


def _bug(error: Exception) -> Fault:
    told = str(error).strip().splitlines()
    what = f"{type(error).__name__}: {told[0]}" if told else type(error).__name__
    return Fault(
        say(zh=f"人设自己出了错：{what}", en=f"Renshe itself went wrong: {what}"),
        fix=say(
            zh="这不是你的错；请把完整输出发给我们",
            en="this is not your fault; please send us the full output",
        ),
        code="bug",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
