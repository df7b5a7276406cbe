"""Studies that run on a cluster as Ray jobs, accessed through the address of its dashboard."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import ClientError
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from search.exit_status import INTERRUPTED
from search.ray_cluster.address import named, remedy
from search.ray_cluster.token import TOKEN_HELP, pass_by_proxies
from trainables.errors import listed
from trainables.outage_retries import retry

STUDY, OPTIONS = "study", "options"
"""Keys of a job's metadata."""
PAUSES = (1, 2, 4)
"""Seconds between attempts to submit a job."""
RECONNECT_SECONDS = 5.0
CHATTY = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
"""Loggers that report every upload and connection."""


class Jobs:
    """The studies of a cluster.

    Args:
        address: address of the cluster's dashboard, http://host:port.

    Raises:
        ValueError: from the constructor and every method, if no Ray dashboard responds at the address, or if it
            rejects the token.
    """

    def __init__(self, address: str):
        self.address = address
        for module in CHATTY:
            logging.getLogger(module).setLevel(logging.ERROR)
        pass_by_proxies()
        with self._reached():
            self._client = JobSubmissionClient(address)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except AuthenticationError as error:
            said = _first_line(error)
            raise ValueError(f"{named(self.address)}: the cluster denies access ({said}); {TOKEN_HELP}") from error
        except (OSError, RuntimeError, ValueError) as error:  # requests' own errors are OSErrors
            raise ValueError(
                f"{named(self.address)}: no Ray dashboard responds there ({_first_line(error)}); check that the "
                f"tunnel is open (ray dashboard cluster/gpu.yaml); {remedy(self.address)}"
            ) from error

    def of_study(self, name: str) -> list[JobDetails]:
        """Return the runs of a study, oldest first."""
        return [job for job in self.all() if job.metadata[STUDY] == name]

    def latest(self, name: str) -> JobDetails:
        """Return the last run of a study.

        Raises:
            ValueError: if the study has no run on this cluster.
        """
        if not (runs := self.of_study(name)):
            known = listed(sorted({job.metadata[STUDY] for job in self.all()})) or "none"
            raise ValueError(f"no study {name!r} was submitted to {self.address}; studies there: {known}")
        return runs[-1]

    def all(self) -> list[JobDetails]:
        """Return the runs of all studies, oldest first."""
        with self._reached():
            jobs = self._client.list_jobs()
        ours = [job for job in jobs if STUDY in (job.metadata or {}) and job.submission_id]
        return sorted(ours, key=lambda job: job.start_time or 0)

    def submit(self, name: str, options: str, entrypoint: str, runtime_env: dict[str, Any]) -> str:
        """Submit a run of a study as a job and return the job's ID.

        Raises:
            ValueError: if the cluster does not accept the job.
        """

        def submit() -> str:
            return self._client.submit_job(
                entrypoint=entrypoint,
                submission_id=f"{name}-{len(self.of_study(name)) + 1}",
                runtime_env=runtime_env,
                metadata={STUDY: name, OPTIONS: options},
            )

        try:
            # A head that has just started has no agent yet.
            return retry(submit, pauses=PAUSES, passes=lambda error: "agent" in str(error))
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{self.address} did not accept the job ({_first_line(error)})") from error

    def stop(self, job: str) -> None:
        with self._reached():
            self._client.stop_job(job)

    def info(self, job: str) -> JobDetails:
        with self._reached():
            return self._client.get_job_info(job)

    def exit_code(self, job: str) -> int:
        """Return the exit code of the run's driver: 130 if the run was stopped, 1 if it never started."""
        info = self.info(job)
        if info.status == JobStatus.STOPPED:
            return INTERRUPTED
        return 0 if info.status == JobStatus.SUCCEEDED else info.driver_exit_code or 1

    def said(self, job: str) -> list[str]:
        """Return the lines that the run has printed so far."""
        with self._reached():
            return self._client.get_job_logs(job).removesuffix("\n").split("\n")

    def follow(self, job: str, tell: Callable[[str], None]) -> Iterator[str]:
        """Yield the lines that the run prints, from the first one until the run ends.

        A lost connection is made again.

        Args:
            job: ID of the run's job.
            tell: called with a message when the connection is lost.

        Raises:
            ValueError: if the cluster no longer has this run.
        """
        seen, lost = 0, False
        while True:
            try:
                for number, line in enumerate(_whole_lines(self._client.tail_job_logs(job))):
                    if number >= seen:
                        seen, lost = number + 1, False
                        yield line
                if self._client.get_job_status(job).is_terminal():
                    break
            except (AuthenticationError, ClientError, OSError, RuntimeError) as error:  # tunnel, network, or cluster
                if "404" in str(error):
                    raise ValueError(
                        f"{self.address} no longer has the run {job}: the cluster may have been restarted; the same "
                        "search command continues the study if its folder still exists"
                    ) from error
                if not lost:
                    tell(f"the connection is lost ({_first_line(error)}): reconnecting; the study keeps running")
                lost = True
            time.sleep(RECONNECT_SECONDS)
        yield from self.said(job)[seen:]


def _whole_lines(chunks: AsyncIterator[str]) -> Iterator[str]:
    with asyncio.Runner() as loop:
        rest = ""
        while (chunk := loop.run(_next(chunks))) is not None:
            *lines, rest = (rest + chunk).split("\n")
            yield from lines


async def _next(chunks: AsyncIterator[str]) -> str | None:
    return await anext(chunks, None)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
