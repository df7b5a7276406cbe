"""What `ray up` reads: Ray's own checks, and what must hold in every cloud."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import tomllib

import jsonschema
import pytest
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.cluster.machines.files import ROOT, launcher_file


@pytest.fixture(params=["gpu", "gcp"])
def config(request):
    return launcher_file(request.param)


def workers(config):
    return {name: kind for name, kind in config["available_node_types"].items() if name != config["head_node_type"]}


def test_ray_takes_it(config):
    validate_config(prepare_config(config))


def test_ray_refuses_a_misspelt_field(config):
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        validate_config(prepare_config(config | {"max_worker": 3}))


def test_nothing_costs_while_nothing_runs(config):
    assert 0 < config["idle_timeout_minutes"] <= 10
    assert config["provider"]["cache_stopped_nodes"] is False
    for kind in workers(config).values():
        assert kind["min_workers"] == 0


def test_the_number_of_machines_is_bounded(config):
    """And by type, so that as many trials find a place as the search counts on."""
    assert config["max_workers"] == sum(kind["max_workers"] for kind in workers(config).values()) <= 8


def test_there_are_machines_with_one_gpu_and_with_several(config):
    assert {kind["resources"]["GPU"] for kind in workers(config).values()} == {1, 4}


def test_no_trial_runs_on_the_head(config):
    head = config["available_node_types"][config["head_node_type"]]
    assert head["resources"] == {"CPU": 0}
    assert "--num-cpus=0" in config["head_start_ray_commands"][-1]


def test_every_machine_is_set_up_alike(config):
    (command,) = config["setup_commands"]
    assert command.startswith("bash ~/mars-search/cluster/setup.sh ")
    assert config["head_setup_commands"] == []
    for kind in config["available_node_types"].values():
        assert kind.keys() <= {"resources", "node_config", "min_workers", "max_workers"}


def test_ray_starts_with_the_token_or_not_at_all(config):
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    for start in (config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1]):
        assert start.startswith("export RAY_AUTH_MODE=token;")


def test_spot_machines_are_watched_once_each(config, tmp_path):
    """The command as a machine runs it twice, with a stand-in for the environment's Python that stays."""
    (watch,) = [command for command in config["worker_start_ray_commands"] if "preemption_watch.py" in command]
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$$ $RAY_AUTH_MODE $*" >> "$HOME/calls"\nexec sleep 60\n')
    python.chmod(0o755)
    calls = tmp_path / "calls"
    for _ in range(2):
        subprocess.run(["bash", "-c", watch], env=os.environ | {"HOME": str(tmp_path)}, check=True, timeout=20)
        while not calls.exists():
            time.sleep(0.05)
    (line,) = calls.read_text().splitlines()
    process, _, called = line.partition(" ")
    os.kill(int(process), signal.SIGKILL)
    assert called == f"token {tmp_path}/mars-search/cluster/preemption_watch.py {config['provider']['type']}"


def test_the_dashboard_is_bound_to_the_head_itself(config):
    assert "--dashboard-host=127.0.0.1" in config["head_start_ray_commands"][-1]


def test_what_is_mounted_exists_and_installs(config):
    mounts = {remote: local for remote, local in config["file_mounts"].items() if remote != "~/.ray/auth_token"}
    for remote, local in mounts.items():
        assert (ROOT / local).exists()
        assert remote == f"~/mars-search/{local}"
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = [pattern.rstrip("*") for pattern in settings["tool"]["setuptools"]["packages"]["find"]["include"]]
    files = [settings["project"]["readme"], *settings["project"]["license-files"], "pyproject.toml", "constraints.txt"]
    assert set(mounts.values()) == {*packages, *files, "cluster"}


def test_both_clouds_are_the_same_cluster():
    aws, gcp = launcher_file("gpu"), launcher_file("gcp")
    for name in ("cluster_name", "max_workers", "idle_timeout_minutes", "file_mounts", "worker_setup_commands"):
        assert aws[name] == gcp[name]
    assert aws["head_start_ray_commands"] == gcp["head_start_ray_commands"]
    watch = "preemption_watch.py {}"
    starts = [command.replace(watch.format("aws"), watch.format("gcp")) for command in aws["worker_start_ray_commands"]]
    assert starts == gcp["worker_start_ray_commands"]
    for name, kind in aws["available_node_types"].items():
        assert kind["resources"] == gcp["available_node_types"][name]["resources"]
