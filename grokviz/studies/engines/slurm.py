"""Units done as the tasks of a job array of Slurm, through submitit.

A job whose time limit is near, or that is preempted, saves its run first and is queued anew; it then goes on from there. Jobs
that were killed are submitted anew by whoever waits for them. Nobody need wait: the jobs do without.
"""

import io
import math
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from types import FrameType
from typing import Any

from grokviz.checks import whole
from grokviz.errors import GrokvizError, Interrupted, command
from grokviz.studies.engines.engine import Where, until_done
from grokviz.studies.engines.local import bytes_of
from grokviz.studies.unit import Did, Unit, do
from grokviz.training.signals import signals_raised

FOLDER = "slurm"
"""Where submitit keeps what it hands over, and the output of the jobs, in the directory of a study."""
MINUTES = 240
"""Time limit of a job that says none; a longer run goes on in the next."""
MOST_TIMEOUTS = 1000
"""How often a job may be queued anew because its time was up."""
MOST_IN_ARRAY = 1000
"""Slurm's own limit, as it comes, is 1,001."""
MEMORY_FACTOR = 2
"""Slurm ends a job that takes more memory than it asked for."""
SECONDS_BETWEEN_LOOKS = 2.0
LOOKS_WITHOUT = 3
"""For so many looks a job must be neither queued nor done before it counts as lost: files of other machines come late."""


class LostError(Exception):
    """Jobs have ended without a word."""


@dataclass(frozen=True)
class SavesFirst:
    """What a job calls. submitit's own handler would end the process in mid-epoch; here it comes once all is saved."""

    def __call__(self, unit: Unit) -> Did:
        """Do the unit; where Slurm's warning comes, save, and then let submitit queue the job anew."""
        from submitit import JobEnvironment

        number = getattr(signal, f"SIG{JobEnvironment.USR_SIG}")
        queue_anew, warned = signal.getsignal(number), []

        def save(number: int, frame: FrameType | None) -> None:
            warned.append(number)
            os.kill(os.getpid(), signal.SIGTERM)

        signal.signal(number, save)
        try:
            with signals_raised():
                return do(unit)
        except Interrupted:
            if warned and callable(queue_anew):
                queue_anew(number, None)
            raise

    def checkpoint(self, unit: Unit) -> Any:
        """What the job does when it begins again: the same, for all is on disk."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, unit)


def on_slurm(units: Sequence[Unit], where: Where) -> Iterator[Did]:
    """Each unit as a task of a job array, `where.workers` of them at a time if given.

    Raises:
        GrokvizError: submitit or Slurm is not there, Slurm refuses the jobs, or a job cannot do its unit.
        Interrupted: a signal came; the jobs go on, and the message names them.
    """
    executor = _executor(units, where)
    submitted: list[str] = []

    def handed_out(left: Sequence[Unit]) -> Iterator[Did]:
        lost = 0
        for first in range(0, len(left), MOST_IN_ARRAY):
            jobs = _submitted(executor, left[first : first + MOST_IN_ARRAY])
            submitted[:] = sorted({_array(job) for job in jobs})
            for did in _as_they_end(jobs):
                lost += did is None
                if did:
                    yield did
        if lost:
            raise LostError(f"{lost} jobs of Slurm ended without a word; their output is in {executor.folder}")

    try:
        yield from until_done(units, handed_out, broken=LostError)
    except KeyboardInterrupt as interrupt:
        look, ids = command("study", "--out", units[0].study, "--status"), " ".join(submitted)
        raise Interrupted(
            f"no longer waiting: the jobs of Slurm go on ({look}), until: scancel {ids}",
            getattr(interrupt, "signal_number", signal.SIGINT),
        ) from None


def _executor(units: Sequence[Unit], where: Where) -> Any:
    try:
        from submitit import SlurmExecutor
    except ImportError as error:
        raise GrokvizError("submitit is not installed; install it with: pip install 'grokviz[slurm]'") from error
    missing = [name for name in ("sbatch", "srun", "squeue", "scontrol") if which(name) is None]
    if missing:
        raise GrokvizError(f"Slurm's {', '.join(missing)} cannot be found here; run this where jobs are submitted from")
    executor = SlurmExecutor(Path(units[0].study) / FOLDER, max_num_timeout=MOST_TIMEOUTS)
    options = dict(where.slurm)
    executor.update_parameters(
        job_name="grokviz",
        time=_minutes(options.pop("time", str(MINUTES))),
        cpus_per_task=max(unit.threads for unit in units),
        mem=options.pop("mem", f"{math.ceil(MEMORY_FACTOR * max(map(bytes_of, units)) / 1e6)}MB"),
        array_parallelism=where.workers or MOST_IN_ARRAY,
        additional_parameters={"requeue": True, **_additional(options)},
    )
    return executor


def _minutes(given: str) -> int:
    if not given.isdigit():
        raise GrokvizError(f"time of the jobs is {given!r}, but must be whole minutes, such as time=240")
    return whole("time of the jobs", int(given), least=1, most=60 * 24 * 365)


def _additional(options: Mapping[str, str]) -> dict[str, Any]:
    """Options without a value, such as `exclusive`, are True to submitit."""
    return {name.replace("_", "-"): value or True for name, value in options.items()}


def _submitted(executor: Any, units: Sequence[Unit]) -> list[tuple[Unit, Any]]:
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        with redirect_stderr(io.StringIO()):  # submitit repeats there what is in the error, too
            jobs = executor.map_array(SavesFirst(), list(units))
    except (FailedJobError, FailedSubmissionError) as error:
        said = [line for line in str(error).splitlines() if "error" in line.lower()] or str(error).splitlines()
        raise GrokvizError(f"Slurm refused the jobs: {said[0]:.300}") from error
    except OSError as error:
        raise GrokvizError(f"{executor.folder} cannot be written ({error.strerror}); no job was submitted") from error
    return list(zip(units, jobs, strict=True))


def _array(job: tuple[Unit, Any]) -> str:
    return str(job[1].job_id).split("_")[0]


def _as_they_end(jobs: Sequence[tuple[Unit, Any]]) -> Iterator[Did | None]:
    """What came of each job, None where it ended without a word."""
    waiting = {job.job_id: job for _, job in jobs}
    looks = dict.fromkeys(waiting, 0)
    array = _array(jobs[0])
    while waiting:
        alive = _queued(array)
        for job_id, job in list(waiting.items()):
            if job.paths.result_pickle.exists():
                del waiting[job_id]
                yield _result(job)
            elif alive is not None and job_id not in alive:
                looks[job_id] += 1
                if looks[job_id] >= LOOKS_WITHOUT:
                    del waiting[job_id]
                    yield None
            else:
                looks[job_id] = 0
        if waiting:
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _queued(array: str) -> set[str] | None:
    """The jobs of an array that wait or run; None where Slurm does not answer now."""
    asked = subprocess.run(["squeue", "-h", "-r", "-j", array, "-o", "%i"], capture_output=True, text=True)
    if asked.returncode == 0:
        return set(asked.stdout.split())
    return set() if "Invalid job id" in asked.stderr else None


def _result(job: Any) -> Did:
    from submitit.core.utils import FailedJobError

    try:
        did: Did = job.result()
    except FailedJobError as error:
        last = [line for line in str(error).splitlines() if line.strip()][-1]
        raise GrokvizError(f"a job of Slurm could not do its run: {last.split('GrokvizError: ')[-1]:.400}") from error
    return did
