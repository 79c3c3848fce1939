"""Trainings and evaluations, one at a time, each a process of its own.

A model takes all of a machine, so a second job waits for the first. A job outlives the
page that started it, and the studio: whoever opens the studio next finds it going on, and
goes on with the queue. Two studios in one project share one queue.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from bot.studio.job_file import End, Job, JobFile, Kind, State
from bot.studio.own_process import command, environment
from bot.studio.workshop import Workshop
from trainer.checkpoint import disk_errors
from trainer.errors import Fault, RensheError
from trainer.language import say

__all__ = ["Job", "Jobs", "Kind", "State"]

TICK = 1.0
"""Seconds between two looks at what runs."""

GRACE = 60.0
"""Seconds in which a process, started by a studio that is gone, must have said that it lives."""

LAST_WAY = 900.0
"""Seconds after which a job that was told to stop is killed: a step of a large model, the
check that follows it and the save may take minutes."""

KEPT = 100
"""Jobs that are remembered after their end."""

INTERRUPTED = 130

_log = logging.getLogger(__name__)


class Jobs:
    """The queue of a workshop; safe to use from any thread.

    Args:
        workshop: whose queue it is.
        program: the module whose ``run(arguments)`` a job calls.
    """

    def __init__(self, workshop: Workshop, *, program: str = "bot.cli") -> None:
        self.workshop = workshop
        self._program = program
        with disk_errors(workshop.root):
            self._file = JobFile(workshop.own.absolute() / "jobs")
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._wake, self._closed = threading.Event(), threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="jobs", daemon=True)
        self._keeper.start()

    def add(self, kind: Kind, run: str, arguments: Sequence[str]) -> Job:
        """Put a job at the end of the queue.

        Args:
            kind: what it does.
            run: id of the run that it is about.
            arguments: what follows ``renshe``; paths relative to the project folder.

        Raises:
            RensheError: the run has a job that is yet to end, or the disk is full.
        """
        job = Job(uuid4().hex[:12], kind, run, tuple(arguments), added=time.time())
        with self._file.changing() as jobs:
            if any(other.is_open and _same(other, job) for other in jobs):
                raise _queued_already(job)
            jobs.append(job)
            over = [job for job in jobs if not job.is_open][:-KEPT]
            jobs[:] = [job for job in jobs if job not in over]
        for former in over:
            self._file.forget(former.id)
        self._wake.set()
        return job

    def all(self) -> list[Job]:
        """Return every job of this workshop, oldest first.

        Raises:
            RensheError: the list is damaged.
        """
        return self._file.read()

    def output(self, job: str) -> str:
        """Return the last lines that a job printed; nothing of a job that there is not."""
        known = any(each.id == job for each in self.all())
        return self._file.output(job) if known else ""

    def stop(self, job: str) -> None:
        """Take a job out of the queue, or end it cleanly (a training saves first).

        Returns at once; a job that runs is over when its state says so. Told again, it is
        not hurried: a second signal would end a training before it has saved.

        Raises:
            RensheError: the disk is full.
        """
        with self._file.changing() as jobs:
            for index, each in enumerate(jobs):
                if each.id == job and each.state == "waiting":
                    jobs[index] = replace(each, state="stopped", ended=time.time())
                elif each.id == job and each.state == "running" and not each.stopping:
                    jobs[index] = replace(each, stopping=time.time())
                    self._signal(each, signal.SIGTERM)
        self._wake.set()

    def close(self) -> None:
        """Start nothing more; what runs goes on."""
        self._closed.set()
        self._wake.set()
        self._keeper.join(timeout=TICK * 10)

    # --- the keeper ----------------------------------------------------------------------

    def _keep(self) -> None:
        failing = False
        while not self._closed.is_set():
            try:
                self._settle()
                failing = False
            except (OSError, RensheError) as error:  # a full disk may have room again later
                if not failing:
                    _log.warning("%s", error)
                failing = True
            self._wake.wait(TICK)
            self._wake.clear()

    def _settle(self) -> None:
        """Note what has ended, and start what is next."""
        if not any(job.is_open for job in self._file.read()):
            return
        with self._file.changing() as jobs:
            for index, job in enumerate(jobs):
                if job.state == "running":
                    jobs[index] = self._looked_at(job)
            if any(job.state == "running" for job in jobs) or self._closed.is_set():
                return
            for index, job in enumerate(jobs):
                if job.state == "waiting":
                    jobs[index] = self._started(job)
                    return

    def _started(self, job: Job) -> Job:
        """Start a job; it waits until what this returns is written."""
        try:
            with self._file.output_path(job.id).open("wb") as out:
                child = subprocess.Popen(
                    command(
                        "bot.studio.job_process", str(self._file.folder), job.id, self._program
                    ),
                    cwd=self.workshop.root,
                    env=environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C is for the studio alone
                )
        except OSError as error:
            return replace(job, state="failed", reason=_cannot_start(error), ended=time.time())
        self._children[job.id] = child
        return replace(job, state="running", began=time.time())

    def _looked_at(self, job: Job) -> Job:
        child = self._children.get(job.id)
        code = child.poll() if child else None
        if code is None and (child or self._lives(job)):
            if job.stopping and time.time() - job.stopping > LAST_WAY:
                self._signal(job, signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
            return job
        self._children.pop(job.id, None)
        end = self._file.end(job.id) or self._guess(job, code)
        state: State = "failed"
        if end.code == 0:
            state = "done"
        elif end.code == INTERRUPTED or job.stopping:
            state = "stopped"
        reason = "" if state == "done" else end.reason
        return replace(job, state=state, reason=reason, ended=time.time())

    def _lives(self, job: Job) -> bool:
        """Tell whether a job that another studio started lives, or may be about to."""
        about_to = not job.pid and time.time() - job.began < GRACE
        return self._file.lives(job.id) or about_to

    def _signal(self, job: Job, number: int) -> None:
        """Send a signal to a job's process, and to none that has got its number since."""
        if job.pid and self._file.lives(job.id):
            with suppress(OSError):
                os.kill(job.pid, number)

    def _guess(self, job: Job, code: int | None) -> End:
        """Say what can be said of a job that ended without a word."""
        if shutil.disk_usage(self._file.folder).free < 1 << 20:
            return End(1, str(_full(self._file.folder)))
        if job.stopping:  # before it could say so; or killed, since it did not stop
            return End(INTERRUPTED)
        if code is None:  # nobody watched
            return End(INTERRUPTED, str(_cut_off()))
        return End(code, str(_killed(code)))


def _same(one: Job, other: Job) -> bool:
    return (one.kind, one.run) == (other.kind, other.run)


def _queued_already(job: Job) -> RensheError:
    return RensheError(
        say(
            zh=f"{job.run} 已经在队列里，或者正在进行",
            en=f"{job.run} is in the queue already, or running",
        ),
        fix=say(zh="等它结束，或者先停下它", en="wait for it, or stop it first"),
        code="job-queued",
    )


def _cannot_start(error: OSError) -> str:
    fault = Fault(
        say(zh=f"开始不了：{error.strerror}", en=f"cannot be started: {error.strerror}"),
        fix=say(zh="腾出内存和磁盘空间，再试一次", en="make room in memory and on the disk"),
        code="job-start",
    )
    return str(fault)


def _full(folder: Path) -> Fault:
    return Fault(
        say(zh="磁盘满了", en="the disk is full"),
        folder,
        fix=say(zh="腾出空间，再继续", en="make room, then go on"),
        code="disk",
    )


def _cut_off() -> Fault:
    return Fault(
        say(
            zh="没有人看着的时候它断了：机器重启过，或者进程被杀掉了",
            en="it was cut off while no studio was open: the machine was restarted, "
            "or its process was killed",
        ),
        fix=say(
            zh="从上一个检查点继续；如果又断了，可能是内存不够",
            en="go on from its last checkpoint; if that happens again, memory may be short",
        ),
        code="job-cut-off",
    )


def _killed(code: int) -> Fault:
    killed = code in (-signal.SIGKILL, 128 + signal.SIGKILL) if os.name == "posix" else False
    if killed:
        return Fault(
            say(
                zh="进程被系统杀掉了，多半是内存不够",
                en="the system killed its process: most likely memory ran out",
            ),
            fix=say(
                zh="关掉别的程序，或把位数改成 4，再继续",
                en="close other programs or choose 4 bits, then go on",
            ),
            code="job-killed",
        )
    return Fault(
        say(
            zh=f"进程没说原因就结束了（代码 {code}）",
            en=f"its process ended without a word (code {code})",
        ),
        fix=say(zh="看它的输出", en="look at its output"),
        code="job-ended",
    )
