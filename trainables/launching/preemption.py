"""Nodes that are about to go away, as Ray knows of them: an autoscaler or `ray drain-node` has told it."""

from __future__ import annotations

from trainables.errors import Preempted


def this_node() -> str:
    """Ray's id of the node that this process runs on."""
    import ray

    return ray.get_runtime_context().get_node_id()


def leaving_nodes() -> set[str]:
    """The nodes that are drained: Ray starts nothing there any more, and they are gone soon."""
    from ray._private.state import state  # what Ray Train's own watcher asks; the public state API wants a dashboard

    return set(state.get_draining_nodes())


def leave_in_time(*nodes: str) -> None:
    """Ends a trial that has just saved what it has, so that it resumes elsewhere while there is time.

    Raises:
        Preempted: if one of the nodes that it runs on is about to go away.
    """
    if not leaving_nodes().isdisjoint(nodes):
        raise Preempted("a node of the trial is drained")
