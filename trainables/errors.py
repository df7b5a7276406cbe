"""Failures that the configuration of a trial did not cause, and what a search can do about each."""

from __future__ import annotations


class OutOfMemory(RuntimeError):
    """A training step does not fit in device memory. The same batch in more micro-batches may fit."""


class StorageError(RuntimeError):
    """A checkpoint could not be written or read. No trial can continue until the storage works again."""


class NodeMismatchError(RuntimeError):
    """A node differs from the driver in data, storage or versions. Its trials would fail, or not be comparable."""


class Preempted(RuntimeError):
    """A node that the trial runs on is about to shut down. The trial resumes on another node after its last epoch."""
