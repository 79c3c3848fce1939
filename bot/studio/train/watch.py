"""What there is to see of trainings: which runs, how far each is, and what may be done now.

Read from the files anew each time, so that whoever comes to the page, from whatever
browser, sees the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bot.studio.jobs import Job, Jobs
from bot.studio.train.run_log import RunLog, read_log
from bot.studio.workshop import Workshop
from trainer.checkpoint import RunIndex, read_index
from trainer.errors import CheckpointError
from trainer.probe_file import Answered, read_probes

Phase = Literal["none", "waiting", "running", "stopping", "done", "failed", "stopped"]


@dataclass(frozen=True)
class Training:
    """A run as it is now.

    Attributes:
        run: its id; empty where there is none at all.
        phase: how far it is.
        job: the last training job about it, if the studio knows of one.
        log: of its folder.
        probes: what it answered on the way.
        saved: whether it has a checkpoint.
        finished: whether that is the last one.
        ahead: jobs that come before it, while it waits.
        said: the last line that its process printed.
    """

    run: str = ""
    phase: Phase = "none"
    job: Job | None = None
    log: RunLog = field(default_factory=RunLog)
    probes: Sequence[Answered] = ()
    saved: bool = False
    finished: bool = False
    ahead: int = 0
    said: str = ""

    @property
    def is_open(self) -> bool:
        """Whether its job is yet to end."""
        return self.phase in ("waiting", "running", "stopping")

    @property
    def can_resume(self) -> bool:
        """Whether it can go on from its last checkpoint."""
        return self.saved and not self.finished and not self.is_open

    @property
    def can_try_again(self) -> bool:
        """Whether it failed, or was stopped, before it had saved anything."""
        ended = self.phase in ("failed", "stopped") and self.job is not None
        return ended and not self.saved


def known_runs(workshop: Workshop, all_jobs: Sequence[Job]) -> list[str]:
    """Return every run that was begun or ordered, the one in progress and the youngest first."""
    ordered = [job.run for job in reversed(all_jobs) if job.kind == "train"]
    opened = [job.run for job in all_jobs if job.kind == "train" and job.is_open]
    return list(dict.fromkeys([*opened, *_by_time(workshop, ordered)]))


def watched(workshop: Workshop, jobs: Jobs, run: str = "") -> Training:
    """Return a training; without a name the one in progress, or else the youngest.

    Raises:
        RensheError: ``run`` is no id, or the list of jobs is damaged.
    """
    all_jobs = jobs.all()
    run = run or next(iter(known_runs(workshop, all_jobs)), "")
    if not run:
        return Training()
    folder = workshop.run_folder(run)
    job = _last_job(all_jobs, run)
    index = _index(workshop, run)
    return Training(
        run=run,
        phase=_phase(job, index),
        job=job,
        log=read_log(folder),
        probes=read_probes(folder),
        saved=index is not None,
        finished=index is not None and index.finished,
        ahead=_ahead(all_jobs, job),
        said=_last_line(jobs, job),
    )


def _by_time(workshop: Workshop, ordered: Sequence[str]) -> list[str]:
    """Return runs with those first that were trained last; those without a folder in front."""
    begun = workshop.runs()
    return [*(run for run in ordered if run not in begun), *begun]


def _last_job(all_jobs: Sequence[Job], run: str) -> Job | None:
    about = [job for job in all_jobs if job.kind == "train" and job.run == run]
    return about[-1] if about else None


def _index(workshop: Workshop, run: str) -> RunIndex | None:
    try:
        return read_index(workshop.run_folder(run))
    except CheckpointError:
        return None


def _phase(job: Job | None, index: RunIndex | None) -> Phase:
    if job is None:
        return "none" if index is None else "done" if index.finished else "stopped"
    if job.state == "running" and job.stopping:
        return "stopping"
    return job.state


def _ahead(all_jobs: Sequence[Job], job: Job | None) -> int:
    if job is None or job.state != "waiting":
        return 0
    opened = [other.id for other in all_jobs if other.is_open]
    return opened.index(job.id)


def _last_line(jobs: Jobs, job: Job | None) -> str:
    if job is None or job.state != "running":
        return ""
    lines = jobs.output(job.id).strip().splitlines()
    return lines[-1].strip() if lines else ""
