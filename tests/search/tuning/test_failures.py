from __future__ import annotations

import pytest

from search.tuning.failures import failure, root_message
from search.tuning.retry_policy import NOT_COUNTED

NODE = "The actor died unexpectedly before finishing this task.\nThe actor died because its node has died."
UNFIT = "ray::run()\ntrainables.errors.NodeMismatchError: b (10.0.0.2): --data: /mars.npz: no such file\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Traceback ...\nRuntimeError: a bug", "error"),
        ("ray::run()\ntrainables.errors.OutOfMemory: in 1 micro-batches", "out_of_memory"),
        ("ray::run()\ntrainables.errors.StorageError: s3://x: gone", "storage"),
        (UNFIT, "node_unfit"),
        (NODE, "node_lost"),
        ("ray::run()\ntrainables.errors.Preempted: a node of the trial is drained", "node_lost"),
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


DIED = "The actor died unexpectedly before finishing this task.\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (DIED + "trainables.errors.OutOfMemory: in 2 micro-batches", "out_of_memory"),
        (DIED + "trainables.errors.StorageError: s3://x: gone", "storage"),
        (DIED + "trainables.errors.NodeMismatchError: b: no data", "node_unfit"),
        (DIED + "trainables.errors.Preempted: a node of the trial is drained", "node_lost"),
        (DIED + "its node has died", "node_lost"),
        (DIED + "The worker group startup timed out", "not_started"),
        (
            "The worker group startup timed out after 600.0 seconds\nThe actor died because its node has died.",
            "node_lost",
        ),
        ("torch.OutOfMemoryError: CUDA out of memory", "error"),  # the loop names those that it can do something about
        ("OutOfMemory: of somebody else", "error"),
        ("Preempted", "error"),
    ],
)
def test_the_cause_counts_more_than_the_death_that_it_led_to(text, kind):
    assert failure(text, 0).kind == kind


def test_the_kinds_that_no_configuration_is_to_blame_for():
    kinds = ["memory_pressure", "node_lost", "node_unfit", "not_started", "out_of_memory", "storage"]
    assert sorted(NOT_COUNTED) == kinds


def test_what_was_said_of_each_kind_that_is_an_error_of_its_own():
    for name in ("OutOfMemory", "StorageError", "NodeMismatchError", "Preempted"):
        text = f"Traceback\ntrainables.errors.{name}: what it said: all of it\nmore of Ray's\n"
        assert root_message(failure(text, 0)) == "what it said: all of it"


def test_what_the_error_itself_said():
    assert root_message(failure(UNFIT, 0)) == "b (10.0.0.2): --data: /mars.npz: no such file"
    assert root_message(failure(NODE, 0)) == NODE
    assert root_message(failure("a bug", 0)) == "a bug"


def test_a_process_that_died_with_a_drained_node_lost_its_node():
    found = failure("The actor died unexpectedly before finishing this task.", 3, preempted=True)
    assert found.kind == "node_lost"
    assert "drained" in found.message


def test_the_message_of_a_drained_node_follows_what_ray_said():
    found = failure(DIED.strip(), 3, preempted=True)
    assert found.epoch == 3
    assert found.message == f"{DIED}Its node was drained and went away while the trial was running."


MEMORY = (
    "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 10.0.0.7, ID: 74a) was "
    "22.77GB used / 23.54GB limit (0.97)\nTop 10 memory users: PID\tMEM(GB)\tCOMMAND\n4465\t20.1\tbrowser --private"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MEMORY, "the machine's memory was full: 22.77 of 23.54 GB on 10.0.0.7 were in use"),
        ("2 worker(s) were killed due to the node running low on memory. In other words", "memory was full"),
        (DIED + MEMORY, "the machine's memory was full: 22.77 of 23.54 GB on 10.0.0.7 were in use"),
    ],
)
def test_what_else_filled_a_machines_memory_is_not_kept(text, message):
    found = failure(text, 2)
    assert (found.kind, found.epoch) == ("memory_pressure", 2)
    assert found.message.startswith("Ray killed its process because")
    assert found.message.endswith(message)
    assert "browser" not in found.message
    assert root_message(found) == found.message
