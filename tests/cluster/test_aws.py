"""`ray up cluster/gpu.yaml` against a real EC2 server on this machine: the machines it starts, and which ports are open."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ray.autoscaler._private.commands import get_or_create_head_node
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.tags import NODE_KIND_WORKER, TAG_RAY_NODE_KIND, TAG_RAY_USER_NODE_TYPE

ROOT = Path(__file__).resolve().parents[2]
HOME_ADDRESS = "203.0.113.7/32"


@pytest.fixture
def account(monkeypatch, tmp_path):
    """An AWS account in which the stack is deployed; returns a client of a service by its name."""
    import boto3
    from moto.server import ThreadedMotoServer
    from ray.autoscaler._private.aws import utils

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    home = tmp_path / "home"
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text("secret")
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "HOME": str(home),
        "TMPDIR": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.chdir(ROOT)  # where `ray up` is run
    utils.resource_cache.cache_clear()
    utils.client_cache.cache_clear()
    boto3.client("cloudformation", "us-west-2").create_stack(
        StackName="mars-search",
        TemplateBody=(ROOT / "cluster" / "aws_access.yaml").read_text(),
        Parameters=[{"ParameterKey": "SshFrom", "ParameterValue": HOME_ADDRESS}],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    yield lambda service: boto3.client(service, "us-west-2")
    server.stop()


@pytest.fixture
def cluster(account, launcher_file):
    """The file as `ray up` has completed it in the account, and the provider of its machines."""
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    config = AWSNodeProvider.fillout_available_node_types_resources(prepare_config(launcher_file("gpu")))
    validate_config(config)
    config = AWSNodeProvider.bootstrap_config(config)
    return config, AWSNodeProvider(config["provider"], config["cluster_name"])


def machines(account):
    found = account("ec2").describe_instances()["Reservations"]
    return [machine for reservation in found for machine in reservation["Instances"]]


def test_a(cluster, account):
    config, provider = cluster
    for name in ("l4", "l4x4"):
        tags = {TAG_RAY_NODE_KIND: NODE_KIND_WORKER, TAG_RAY_USER_NODE_TYPE: name}
        provider.create_node(config["available_node_types"][name]["node_config"], tags, 1)
    import pprint
    pprint.pprint(config["available_node_types"])
    pprint.pprint(machines(account))
    pprint.pprint(account("ec2").describe_volumes()["Volumes"])
    pprint.pprint(account("ec2").describe_security_groups()["SecurityGroups"])
    assert 0
