"""Nodes that are being drained, by an autoscaler or by `ray drain-node`."""

from __future__ import annotations

import ray

from trainables.errors import Preempted
from trainables.launching.ray_private import draining_nodes


def this_node() -> str:
    """Return the Ray node ID of the node that this process runs on."""
    return ray.get_runtime_context().get_node_id()


def leave_in_time(*nodes: str) -> None:
    """End a trial if one of its nodes is being drained. Call it after a checkpoint: the trial resumes elsewhere.

    Raises:
        Preempted: if one of the nodes is being drained.
    """
    if not draining_nodes().isdisjoint(nodes):
        raise Preempted("a node of the trial is being drained")
