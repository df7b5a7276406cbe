"""`ray up cluster/gpu.yaml` against an EC2 server on this machine: what it starts, sends and opens."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from ray.autoscaler._private.commands import get_or_create_head_node
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.tags import NODE_KIND_WORKER, TAG_RAY_NODE_KIND, TAG_RAY_USER_NODE_TYPE

from tests.cluster.machines.files import CLUSTER, ROOT, launcher_file

pytest.importorskip("moto.server", reason="moto, the AWS of the tests, is not installed (make test-all)")
OWN_ADDRESS = "203.0.113.7/32"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    """An AWS account in which the stack is deployed: clients of its services by name."""
    import boto3
    from moto.server import ThreadedMotoServer
    from ray.autoscaler._private.aws import utils

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    home = tmp_path_factory.mktemp("home")
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("secret")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "test")
        environment.delenv("AWS_PROFILE", raising=False)
        environment.setenv("HOME", str(home))
        environment.chdir(ROOT)  # where `ray up` is run
        for cache in (utils.resource_cache, utils.client_cache):
            cache.cache_clear()
        clients = {name: boto3.client(name, "us-west-2") for name in ("cloudformation", "ec2", "iam")}
        clients["cloudformation"].create_stack(
            StackName="mars-search",
            TemplateBody=(CLUSTER / "aws_access.yaml").read_text(),
            Parameters=[{"ParameterKey": "SshFrom", "ParameterValue": OWN_ADDRESS}],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        yield clients
    server.stop()


class Shell:
    """Takes the commands that would go to a machine."""

    def __init__(self):
        self.commands: list[str] = []

    def check_call(self, command, **options):
        self.commands.append(" ".join(command))

    def check_output(self, command, **options):
        self.check_call(command)
        return b""


@pytest.fixture(scope="module")
def cluster(account):
    """The cluster after `ray up`, and a worker of each type that its autoscaler may start."""
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    config = AWSNodeProvider.fillout_available_node_types_resources(prepare_config(launcher_file("gpu")))
    validate_config(config)
    config = AWSNodeProvider.bootstrap_config(config)
    provider, shell = AWSNodeProvider(config["provider"], config["cluster_name"]), Shell()
    get_or_create_head_node(config, "gpu.yaml", False, False, True, None, _provider=provider, _runner=shell)
    for name in ("l4", "l4x4"):
        tags = {TAG_RAY_NODE_KIND: NODE_KIND_WORKER, TAG_RAY_USER_NODE_TYPE: name}
        provider.create_node(config["available_node_types"][name]["node_config"], tags, 1)
    found = account["ec2"].describe_instances()["Reservations"]
    machines = [machine for reservation in found for machine in reservation["Instances"]]
    tags = [{tag["Key"]: tag["Value"] for tag in machine["Tags"]} for machine in machines]
    by_type = {tag["ray-user-node-type"]: machine for tag, machine in zip(tags, machines, strict=True)}
    return SimpleNamespace(config=config, commands=shell.commands, machines=by_type, tags=tags)


def test_machines_are_of_the_declared_types(cluster):
    types = {name: machine["InstanceType"] for name, machine in cluster.machines.items()}
    assert types == {"head": "m7i.large", "l4": "g6.xlarge", "l4x4": "g6.12xlarge"}


def test_the_file_declares_what_the_machines_have(cluster):
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    config = launcher_file("gpu")
    declared = {name: config["available_node_types"][name].pop("resources") for name in ("l4", "l4x4")}
    real = AWSNodeProvider.fillout_available_node_types_resources(config)["available_node_types"]
    for name, resources in declared.items():
        assert {kind: real[name]["resources"][kind] for kind in ("CPU", "GPU")} == resources


def test_workers_are_on_the_spot_market_and_the_head_is_not(cluster):
    assert "InstanceLifecycle" not in cluster.machines["head"]
    for name in ("l4", "l4x4"):
        assert cluster.machines[name]["InstanceLifecycle"] == "spot"


def test_machines_are_tagged_and_need_a_session_for_their_credentials(cluster):
    for tags in cluster.tags:
        assert tags["project"] == tags["ray-cluster-name"] == "mars-search"
    for machine in cluster.machines.values():
        assert machine["MetadataOptions"]["HttpTokens"] == "required"


def test_disks_are_encrypted_tagged_and_go_with_their_machine(account, cluster):
    volumes = {volume["VolumeId"]: volume for volume in account["ec2"].describe_volumes()["Volumes"]}
    for name, size in {"head": 64, "l4": 128, "l4x4": 128}.items():
        (disk,) = cluster.machines[name]["BlockDeviceMappings"]
        assert disk["Ebs"]["DeleteOnTermination"]
        volume = volumes[disk["Ebs"]["VolumeId"]]
        assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (size, "gp3", True)
        assert volume["Tags"] == [{"Key": "project", "Value": "mars-search"}]


def open_to(account, machine):
    """What may come in: (protocol, first port, last port, from where)."""
    groups = account["ec2"].describe_security_groups(GroupIds=[group["GroupId"] for group in machine["SecurityGroups"]])
    for group in groups["SecurityGroups"]:
        for rule in group["IpPermissions"]:
            sources = [source["CidrIp"] for source in rule["IpRanges"]]
            sources += [source["CidrIpv6"] for source in rule["Ipv6Ranges"]]
            sources += [source["PrefixListId"] for source in rule["PrefixListIds"]]
            sources += ["itself" if pair["GroupId"] == group["GroupId"] else pair for pair in rule["UserIdGroupPairs"]]
            for source in sources:
                yield rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort"), source


def test_only_ssh_is_open_and_only_to_the_own_address(account, cluster):
    for machine in cluster.machines.values():
        assert set(open_to(account, machine)) == {("tcp", 22, 22, OWN_ADDRESS), ("-1", None, None, "itself")}


def test_the_group_that_ray_makes_without_the_stack_opens_ssh_alone(account, cluster):
    """A cluster of another group's name, so that the stack's is not found."""
    from ray.autoscaler._private.aws.config import _configure_security_group

    config = {**cluster.config, "provider": {**cluster.config["provider"], "security_group": {"GroupName": "other"}}}
    head = config["available_node_types"]["head"]["node_config"]
    head = {name: value for name, value in head.items() if name != "SecurityGroupIds"}
    config["available_node_types"] = {"head": {"node_config": head}}
    (group,) = _configure_security_group(config)["available_node_types"]["head"]["node_config"]["SecurityGroupIds"]
    rules = set(open_to(account, {"SecurityGroups": [{"GroupId": group}]}))
    assert rules == {("tcp", 22, 22, "0.0.0.0/0"), ("-1", None, None, "itself")}


@pytest.mark.parametrize("everybody", ["0.0.0.0/0", "203.0.113.7"])
def test_the_stack_wants_a_range_that_is_not_everybody(everybody):
    template = (CLUSTER / "aws_access.yaml").read_text()
    pattern = re.search(r"AllowedPattern: (.*)", template)[1]
    assert re.fullmatch(pattern, OWN_ADDRESS)
    assert not re.fullmatch(pattern, everybody)


def test_the_stack_is_sound():
    from cfnlint.api import lint_all

    found = lint_all((CLUSTER / "aws_access.yaml").read_text())
    assert [match for match in found if match.rule.severity != "informational"] == []


def test_workers_may_use_the_bucket_and_nothing_else(account, cluster):
    """The head may also start and end machines."""
    names = {name: machine["IamInstanceProfile"]["Arn"].split("/")[-1] for name, machine in cluster.machines.items()}
    assert names == {"head": "mars-search-head", "l4": "mars-search-worker", "l4x4": "mars-search-worker"}
    (role,) = account["iam"].get_instance_profile(InstanceProfileName="mars-search-worker")["InstanceProfile"]["Roles"]
    assert account["iam"].list_role_policies(RoleName=role["RoleName"])["PolicyNames"] == []
    (policy,) = account["iam"].list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]
    arn = policy["PolicyArn"]
    version = account["iam"].get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = account["iam"].get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    stack = account["cloudformation"].describe_stacks(StackName="mars-search")["Stacks"][0]
    (bucket,) = [output["OutputValue"] for output in stack["Outputs"]]
    for statement in document["Statement"]:
        assert all(action.startswith("s3:") for action in statement["Action"])
        assert statement["Resource"].removesuffix("/*") == f"arn:aws:s3:::{bucket}"


def test_the_head_is_sent_the_token_and_the_mounted_files_alone(cluster):
    sent = [command.split() for command in cluster.commands if command.startswith("rsync")]
    remote = {words[-1].partition(":")[2].rstrip("/") for words in sent}
    assert remote == {*cluster.config["file_mounts"], "~/ray_bootstrap_config.yaml", "~/ray_bootstrap_key.pem"}
    assert sent[0][-1].endswith("~/.ray/auth_token")
    assert all("__pycache__" in words for words in sent)


def test_the_head_is_set_up_and_started_with_the_token(cluster):
    setup, stop, start = cluster.commands[-3:]
    assert "(bash ~/mars-search/cluster/setup.sh aws)" in setup
    assert "ray stop)" in stop
    assert "export RAY_AUTH_MODE=token;" in start
    assert "ray start --head" in start
    assert """RAY_OVERRIDE_RESOURCES='"'"'{"CPU":0}'"'"'""" in start
