"""cluster/kuberay.yaml and its image, against what KubeRay, Kubernetes and Ray's autoscaler take."""

from __future__ import annotations

import re
import shlex

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

from search.cli.options.search_parser import parser
from tests.cluster.machines.files import CLUSTER, ROOT, launcher_file, pins
from tests.cluster.machines.kuberay import SCHEMAS

kubernetes_validate = pytest.importorskip(
    "kubernetes_validate", reason="kubernetes-validate, with Kubernetes's schemas, is not installed (make test-all)"
)
KUBERNETES = "1.31"


@pytest.fixture
def manifests():
    """By kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((CLUSTER / "kuberay.yaml").read_text())}


@pytest.fixture
def cluster(manifests):
    return manifests["RayCluster"]["spec"]


def groups(cluster):
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def head_pod(cluster):
    return cluster["headGroupSpec"]["template"]["spec"]


def check_pod(template):
    pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "pod"}, "template": template}
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_the_manifests_come_in_the_order_in_which_they_need_each_other(manifests):
    assert list(manifests) == ["ServiceAccount", "PersistentVolumeClaim", "ConfigMap", "RayCluster", "RayJob"]


@pytest.mark.parametrize("kind", ["RayCluster", "RayJob"])
def test_kuberay_knows_every_field(manifests, kind):
    jsonschema.validate(manifests[kind], SCHEMAS[kind])


@pytest.mark.parametrize("kind", ["ServiceAccount", "PersistentVolumeClaim", "ConfigMap"])
def test_kubernetes_knows_every_field(manifests, kind):
    kubernetes_validate.validate(manifests[kind], KUBERNETES, strict=True)


def test_kubernetes_takes_the_pods(cluster):
    for group in groups(cluster):
        check_pod(group["template"])


def test_a_misspelt_field_of_kuberay_is_refused(manifests, cluster):
    (group,) = cluster["workerGroupSpecs"]
    group["minReplica"] = group.pop("minReplicas")
    with pytest.raises(jsonschema.ValidationError, match="minReplica"):
        jsonschema.validate(manifests["RayCluster"], SCHEMAS["RayCluster"])


def test_a_misspelt_field_of_a_pod_is_refused(cluster):
    template = cluster["headGroupSpec"]["template"]
    template["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError, match="volumeMount"):
        check_pod(template)


@pytest.fixture
def autoscaling(manifests):
    """What Ray's autoscaler makes of the cluster."""
    return _derive_autoscaling_config_from_ray_cr(
        manifests["RayCluster"] | {"metadata": {"name": "mars-search", "namespace": "default"}}
    )


def test_rays_autoscaler_sees_an_idle_head_and_a_bounded_group_with_gpus(autoscaling):
    head, gpu = autoscaling["available_node_types"]["headgroup"], autoscaling["available_node_types"]["gpu"]
    assert head["resources"]["CPU"] == 0
    assert (gpu["resources"]["CPU"], gpu["resources"]["GPU"]) == (3, 1)
    assert (gpu["min_workers"], gpu["max_workers"], autoscaling["max_workers"]) == (0, 8, 8)
    assert 0 < autoscaling["idle_timeout_minutes"] <= 10


def test_the_search_is_told_what_the_autoscaler_may_start(manifests, cluster, autoscaling):
    told = yaml.safe_load(manifests["ConfigMap"]["data"]["ray_bootstrap_config.yaml"])
    assert told["max_workers"] == autoscaling["max_workers"]
    workers = {name: kind for name, kind in told["available_node_types"].items() if name != told["head_node_type"]}
    for name, kind in workers.items():
        real = autoscaling["available_node_types"][name]
        assert kind["max_workers"] == real["max_workers"]
        assert kind["resources"] == {what: real["resources"][what] for what in ("CPU", "GPU")}
    assert workers.keys() == {group["groupName"] for group in cluster["workerGroupSpecs"]}
    (mount,) = [each for each in head_pod(cluster)["containers"][0]["volumeMounts"] if each["name"] == "size"]
    assert mount["mountPath"] == "/home/ray/ray_bootstrap_config.yaml"


def test_nothing_is_open_outside_and_everything_wants_the_token(cluster):
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert "enableIngress" not in cluster["headGroupSpec"]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "mars-search-token"}
    for group in groups(cluster):
        assert "hostNetwork" not in group["template"]["spec"]


def test_no_secret_is_written_down(manifests):
    assert "Secret" not in manifests


def test_one_image_of_the_tested_versions_for_every_pod(cluster):
    images = {container["image"] for group in groups(cluster) for container in group["template"]["spec"]["containers"]}
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)[1]
    assert images == {f"REGISTRY/mars-search:{version}"}
    dockerfile = (CLUSTER / "Dockerfile").read_text()
    assert f"--tag REGISTRY/mars-search:{version} " in dockerfile
    assert f"FROM rayproject/ray:{pins()['ray']}-py311-cpu\n" in dockerfile
    assert "--constraint constraints.txt" in dockerfile
    assert cluster["rayVersion"] == pins()["ray"]


def test_the_image_holds_what_is_mounted_elsewhere():
    dockerfile = (CLUSTER / "Dockerfile").read_text()
    copied = re.findall(r"^COPY --chown=\S+ (.*) \S+$", dockerfile, flags=re.MULTILINE)
    mounted = {local for remote, local in launcher_file("gpu")["file_mounts"].items() if "auth_token" not in remote}
    assert {name for names in copied for name in names.split()} == mounted - {"cluster"}


def test_the_job_runs_on_the_cluster_and_its_ledger_outlives_the_pod(manifests, cluster):
    job = manifests["RayJob"]["spec"]
    assert job["clusterSelector"] == {"ray.io/cluster": manifests["RayCluster"]["metadata"]["name"]}
    claim = manifests["PersistentVolumeClaim"]["metadata"]["name"]
    assert {"name": "runs", "persistentVolumeClaim": {"claimName": claim}} in head_pod(cluster)["volumes"]
    assert {"name": "runs", "mountPath": "/home/ray/runs"} in head_pod(cluster)["containers"][0]["volumeMounts"]
    assert job["entrypoint"].startswith("cd /home/ray && python mars-search/search/run.py ")
    parser().parse_args(shlex.split(job["entrypoint"].partition("run.py --address auto ")[2]))
