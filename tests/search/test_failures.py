from __future__ import annotations

import pytest

from search.failures import failure, said

NODE = "The actor died unexpectedly before finishing this task.\nThe actor died because its node has died."
UNFIT = "ray::run()\ntrainables.failures.UnfitNode: b (10.0.0.2): --data: /mars.npz: no such file\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Traceback ...\nRuntimeError: a bug", "error"),
        ("ray::run()\ntrainables.failures.OutOfMemory: in 1 micro-batches", "out_of_memory"),
        ("ray::run()\ntrainables.failures.StorageError: s3://x: gone", "storage"),
        (UNFIT, "node_unfit"),
        (NODE, "node_lost"),
        ("ray::run()\ntrainables.failures.Preempted: a node of the trial is drained", "node_lost"),
        (
            "controller error:\nThe worker group startup timed out after 600.0 seconds waiting for 2 workers",
            "not_started",
        ),
        ("The actor 9f7a is unavailable: The actor is temporarily unavailable: RpcError", "node_lost"),
        (
            "The actor died unexpectedly before finishing this task.\nThe actor never ran - it was cancelled",
            "not_started",
        ),
        ("The actor died unexpectedly before finishing this task.\nWorker exit type: SYSTEM_ERROR", "process_lost"),
        ("", "error"),
    ],
)
def test_the_text_of_a_failure_tells_its_kind(text, kind):
    found = failure(text, 3)
    assert (found.kind, found.epoch, found.message) == (kind, 3, text)


def test_what_the_error_itself_said():
    assert said(failure(UNFIT, 0)) == "b (10.0.0.2): --data: /mars.npz: no such file"
    assert said(failure(NODE, 0)) == NODE
    assert said(failure("a bug", 0)) == "a bug"


def test_a_process_that_died_with_a_drained_node_lost_its_node():
    found = failure("The actor died unexpectedly before finishing this task.", 3, preempted=True)
    assert found.kind == "node_lost"
    assert "drained" in found.message
