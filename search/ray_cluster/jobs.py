"""Studies that run on a cluster as Ray jobs, seen through its dashboard's address."""

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
from search.ray_cluster.session import TOKEN_HELP
from search.ray_cluster.token import pass_by_proxies

STUDY, OPTIONS = "study", "options"
"""Keys of a job's metadata."""
PAUSES = (1, 2, 4)
"""Seconds between attempts at submitting."""
RECONNECT_SECONDS = 5.0
CHATTY = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
"""Loggers that tell of every upload and connection."""


class Jobs:
    """The studies of a cluster.

    Args:
        address: of its dashboard, http://host:port.

    Raises:
        ValueError: by this and every method, if no Ray answers there, or it does not let us in.
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
            raise ValueError(f"--address {self.address}: it does not let us in ({said}); {TOKEN_HELP}") from error
        except (OSError, RuntimeError, ValueError) as error:  # requests' own errors are OSErrors
            raise ValueError(
                f"--address {self.address}: no Ray dashboard answers there ({_first_line(error)}); is the tunnel open "
                "(ray dashboard cluster/gpu.yaml), and does the cluster run?"
            ) from error

    def of_study(self, name: str) -> list[JobDetails]:
        """The runs of a study, oldest first."""
        return [job for job in self.all() if job.metadata[STUDY] == name]

    def latest(self, name: str) -> JobDetails:
        """The last run of a study.

        Raises:
            ValueError: if there is none.
        """
        if not (runs := self.of_study(name)):
            known = ", ".join(sorted({job.metadata[STUDY] for job in self.all()})) or "none"
            raise ValueError(f"no study {name!r} was submitted to {self.address}; known there: {known}")
        return runs[-1]

    def all(self) -> list[JobDetails]:
        """The runs of all studies, oldest first."""
        with self._reached():
            jobs = self._client.list_jobs()
        ours = [job for job in jobs if STUDY in (job.metadata or {}) and job.submission_id]
        return sorted(ours, key=lambda job: job.start_time or 0)

    def submit(self, name: str, options: str, entrypoint: str, runtime_env: dict[str, Any]) -> str:
        """Start a run of a study; returns its job's id.

        Raises:
            ValueError: if the cluster does not take it.
        """
        for pause in PAUSES:
            try:
                return self._client.submit_job(
                    entrypoint=entrypoint,
                    submission_id=f"{name}-{len(self.of_study(name)) + 1}",
                    runtime_env=runtime_env,
                    metadata={STUDY: name, OPTIONS: options},
                )
            except (OSError, RuntimeError) as error:
                if pause == PAUSES[-1] or "agent" not in str(error):  # a head that just started has none
                    raise ValueError(f"{self.address} takes no job ({_first_line(error)})") from error
            time.sleep(pause)
        raise AssertionError

    def stop(self, job: str) -> None:
        with self._reached():
            self._client.stop_job(job)

    def info(self, job: str) -> JobDetails:
        with self._reached():
            return self._client.get_job_info(job)

    def exit_code(self, job: str) -> int:
        """Of the run's driver; 130 if it was stopped, 1 if it never began."""
        info = self.info(job)
        if info.status == JobStatus.STOPPED:
            return INTERRUPTED
        return 0 if info.status == JobStatus.SUCCEEDED else info.driver_exit_code or 1

    def said(self, job: str) -> list[str]:
        """The lines that the run has printed so far."""
        with self._reached():
            return self._client.get_job_logs(job).removesuffix("\n").split("\n")

    def follow(self, job: str, tell: Callable[[str], None]) -> Iterator[str]:
        """The lines that the run prints, from its first on, until it ends.

        Args:
            job: the run's id.
            tell: hears that the connection is lost; it is made again.

        Raises:
            ValueError: if the cluster knows no such run any more.
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
                        f"{self.address} knows no run {job} any more: was the cluster restarted?"
                    ) from error
                if not lost:
                    tell(f"the connection is lost ({_first_line(error)}): trying again; the study does not need it")
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
