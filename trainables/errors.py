"""Failures that say nothing about a trial's configuration, and what a search can do about each."""

from __future__ import annotations


class OutOfMemory(RuntimeError):
    """The device has not enough memory for a step: the same batch in more micro-batches may fit."""


class StorageError(RuntimeError):
    """A checkpoint could not be written or read: no trial can continue until somebody has seen to it."""


class NodeMismatchError(RuntimeError):
    """The machine has not what the driver has: data, storage or versions. Its trials would break, or be others."""


class Preempted(RuntimeError):
    """A machine that the trial runs on is about to go away: the trial resumes elsewhere from its last epoch."""
