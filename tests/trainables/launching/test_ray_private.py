"""The private parts of Ray that this project uses are those of the tested version, and are used in one module only."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
from pathlib import Path

import pytest

from search import ROOT
from trainables.launching import ray_private

MODULE = "trainables/launching/ray_private.py"
CONTROLLER = "ray.train.v2._internal.execution.controller:TrainController"
COORDINATOR = "ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator"
TRAINER = "ray.train.v2.api.data_parallel_trainer:DataParallelTrainer"
SIGNATURES = {
    "ray._private.state:state.get_draining_nodes": [],
    "ray._private.node:Node.get_session_dir_path": ["self"],
    "ray._private.worker:print_to_stdstream": ["data", "ignore_prefix"],
    f"{COORDINATOR}:get_or_create_autoscaling_coordinator": [],
    f"{COORDINATOR}:_AutoscalingCoordinatorActor.cancel_request": ["self", "requester_id"],
    f"{COORDINATOR}:_AutoscalingCoordinatorActor.get_reserved_resources": ["self", "requester_id", "recompute"],
    "ray.train.v2._internal.constants:get_env_vars_to_propagate": [],
    "ray.train.v2._internal.execution.failure_handling.default:_is_preemption_failure": ["training_failed_error"],
    "ray.train.v2._internal.execution.scaling_policy.elastic:ElasticScalingPolicy": ["scaling_config"],
    "ray.train.v2._internal.execution.scaling_policy.elastic:ElasticScalingPolicy._count_possible_workers": [
        "self",
        "reserved_resources",
    ],
    CONTROLLER: [
        "train_fn_ref",
        "train_run_context",
        "scaling_policy",
        "failure_policy",
        "callbacks",
        "validation_config",
    ],
    f"{CONTROLLER}.run": ["self"],
    f"{CONTROLLER}.get_result": ["self"],
    f"{CONTROLLER}.abort": ["self"],
    f"{TRAINER}._create_default_callbacks": ["self"],
    f"{TRAINER}._initialize_and_run_controller": ["self", "controller_init_kwargs"],
}
"""The parameters of what is called or overridden."""
VALUES = {
    "ray._private.ray_constants:ENABLE_RAY_CLUSTERS_ENV_VAR": "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER",
    "ray._private.ray_constants:ENABLE_RAY_CLUSTER": True,
    "ray._raylet:RAY_NODE_ID_KEY": "ray.io/node-id",
    "ray.train.v2._internal.constants:HEALTH_CHECK_INTERVAL_S_ENV_VAR": "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S",
    "ray.train.v2._internal.constants:ENABLE_PREEMPTION_WATCHER_ENV_VAR": "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER",
    "ray.train.v2._internal.constants:WORKER_GROUP_START_TIMEOUT_S_ENV_VAR": "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S",
}


def found(place: str) -> object:
    module, _, names = place.partition(":")
    try:
        value: object = importlib.import_module(module)
        for name in names.split("."):
            value = getattr(value, name)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"this version of Ray has no {place} ({error}), which {MODULE} uses: adapt it, or pin another Ray")
    return value


@pytest.mark.parametrize("place", SIGNATURES)
def test_what_is_called_or_overridden_takes_the_same_parameters(place):
    parameters = list(inspect.signature(found(place)).parameters)
    assert parameters == SIGNATURES[place], f"this version of Ray changed {place}, which {MODULE} uses"


@pytest.mark.parametrize("place", VALUES)
def test_constants_are_the_same(place):
    assert found(place) == VALUES[place], f"this version of Ray changed {place}, which {MODULE} uses"


def test_fit_calls_what_is_overridden():
    source = inspect.getsource(found(f"{TRAINER}.fit"))
    assert "self._initialize_and_run_controller(" in source
    assert "self._create_default_callbacks()" in source
    policy = inspect.getsource(found("ray.train.v2._internal.execution.scaling_policy.elastic:ElasticScalingPolicy"))
    assert "self._count_possible_workers(" in policy


def test_a_training_has_a_run_id_that_names_its_reservation():
    context = found("ray.train.v2._internal.execution.context:TrainRunContext")
    assert [field.name for field in dataclasses.fields(context)].count("run_id") == 1


def test_dead_nodes_are_silenced_for_the_time_of_a_search_only(capfd):
    said = {"lines": ["A worker died"], "pid": "raylet", "is_err": False}
    with ray_private.dead_nodes_silenced():
        found("ray._private.worker:print_to_stdstream")(said, ignore_prefix=False)
    assert capfd.readouterr() == ("", "")
    found("ray._private.worker:print_to_stdstream")(said, ignore_prefix=False)
    assert "A worker died" in capfd.readouterr().out


def private_uses(source: str) -> list[str]:
    """Return the private parts of Ray that a module imports or reaches as attributes of `ray`."""
    uses = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
        else:
            continue
        uses += [name for name in names if re.match(r"ray\.(.*\.)?_[a-z]", name)]
    return uses


def test_private_uses_are_seen():
    for source in (
        "import ray._private.worker",
        "from ray.train.v2._internal import callbacks",
        "from ray.train.x import _y",
        "import ray\nray._raylet.KEY",
    ):
        assert private_uses(source)
    assert not private_uses("import ray\nfrom ray import tune\nself._ray.x\nray.init()")


def test_no_other_module_uses_private_parts_of_ray():
    files = [path for folder in ("search", "trainables", "reports") for path in Path(ROOT, folder).rglob("*.py")]
    assert len(files) > 150
    using = {path.relative_to(ROOT).as_posix() for path in files if private_uses(path.read_text())}
    assert using == {MODULE}


def test_each_use_says_why_there_is_no_public_way():
    own = [value for value in vars(ray_private).values() if getattr(value, "__module__", "") == ray_private.__name__]
    assert len(own) == 8
    for value in own:
        assert "Public alternative: " in value.__doc__, value
