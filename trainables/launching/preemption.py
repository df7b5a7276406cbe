"""Nodes that are being drained, by an autoscaler or by `ray drain-node`."""

from __future__ import annotations

from trainables.errors import Preempted


def this_node() -> str:
    """Return the Ray node ID of the node that this process runs on."""
    import ray

    return ray.get_runtime_context().get_node_id()


def leaving_nodes() -> set[str]:
    """Return the IDs of the nodes that are being drained: Ray schedules nothing on them, and they shut down soon."""
    from ray._private.state import state  # as in Ray Train; the public state API requires the dashboard

    return set(state.get_draining_nodes())


def leave_in_time(*nodes: str) -> None:
    """End a trial if one of its nodes is being drained. Call it after a checkpoint: the trial resumes elsewhere.

    Raises:
        Preempted: if one of the nodes is being drained.
    """
    if not leaving_nodes().isdisjoint(nodes):
        raise Preempted("a node of the trial is being drained")
