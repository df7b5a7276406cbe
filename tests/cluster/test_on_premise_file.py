"""What can be told of `cluster/on_premise.yaml` without a machine."""

from __future__ import annotations

import tomllib

import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.cluster.machines.hosts import ROOT
from tests.cluster.machines.on_premise import WORKER, YAML

CONFIG = yaml.safe_load(YAML.read_text())


def test_ray_accepts_it():
    validate_config(prepare_config(CONFIG))
    assert CONFIG["available_node_types"][WORKER]["max_workers"] == len(CONFIG["provider"]["worker_ips"])


def test_what_the_installation_needs_is_taken_along_and_no_more():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {pattern.rstrip("*") for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    files = {project["project"]["readme"], *project["project"]["license-files"]}
    taken = {place.removeprefix("~/mars-search/"): source for place, source in CONFIG["file_mounts"].items()}
    assert taken.pop("~/.ray/auth_token") == "~/.ray/auth_token"
    assert set(taken) == packages | files | {"pyproject.toml", "constraints.txt", "Makefile"}
    assert all(place == source and (ROOT / source).exists() for place, source in taken.items())


def test_nothing_starts_without_the_token_and_the_dashboard_stays_at_home():
    for kind in ("head", "worker"):
        (start,) = (command for command in CONFIG[f"{kind}_start_ray_commands"] if "ray start" in command)
        assert start.startswith("export RAY_AUTH_MODE=token;")
        assert ("--dashboard-host=127.0.0.1" in start) == (kind == "head")
