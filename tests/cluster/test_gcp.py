"""The machines of cluster/gcp.yaml as Ray would ask for them, against the Compute API's own description."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from tests.cluster.machines.files import launcher_file

pytest.importorskip("googleapiclient", reason="the Google API client is not installed (make test-all)")
MEANT = {"type", "properties", "items", "$ref", "enum", "additionalProperties"}


def as_json_schema(described: dict[str, Any]) -> dict[str, Any]:
    """A schema of a Google API in JSON schema's words; fields that it does not name are refused."""
    schema = {word: value for word, value in described.items() if word in MEANT}
    if "$ref" in schema:
        return {"$ref": f"#/definitions/{schema['$ref']}"}
    for word in ("items", "additionalProperties"):
        if word in schema:
            schema[word] = as_json_schema(schema[word])
    if "properties" in schema:
        schema["properties"] = {name: as_json_schema(value) for name, value in schema["properties"].items()}
        schema["additionalProperties"] = False
    return schema


@pytest.fixture(scope="module")
def check():
    """Refuses what is no instance in the Compute API."""
    document = files("googleapiclient.discovery_cache") / "documents" / "compute.v1.json"
    described = json.loads(document.read_text())["schemas"]
    definitions = {name: as_json_schema(schema) for name, schema in described.items()}
    return jsonschema.Draft7Validator({"$ref": "#/definitions/Instance", "definitions": definitions}).validate


@pytest.fixture
def config():
    return launcher_file("gcp")


@pytest.fixture
def requests(config):
    """By type of machine what Ray asks the API for, names and network aside."""
    from ray.autoscaler._private.gcp.node import GCPCompute

    provider = config["provider"]
    compute = GCPCompute(None, provider["project_id"], provider["availability_zone"], config["cluster_name"])
    kinds = config["available_node_types"].items()
    return {name: compute._convert_resources_to_urls(kind["node_config"]) for name, kind in kinds}


def test_the_api_knows_every_field(check, requests):
    for request in requests.values():
        check(request)


@pytest.mark.parametrize(("key", "value"), [("shceduling", {}), ("scheduling", [{"preemptible": True}]), ("disks", {})])
def test_what_the_api_does_not_know_is_refused(check, requests, key, value):
    with pytest.raises(jsonschema.ValidationError):
        check(requests["l4"] | {key: value})


def test_machines_are_of_the_declared_types(requests):
    types = {name: request["machineType"] for name, request in requests.items()}
    zone = "zones/us-central1-a/machineTypes"
    assert types == {"head": f"{zone}/e2-standard-2", "l4": f"{zone}/g2-standard-4", "l4x4": f"{zone}/g2-standard-48"}


def test_workers_are_on_the_spot_market_and_deleted_when_it_takes_them(requests):
    assert "scheduling" not in requests["head"]
    for name in ("l4", "l4x4"):
        scheduling = requests[name]["scheduling"]
        assert (scheduling["provisioningModel"], scheduling["instanceTerminationAction"]) == ("SPOT", "DELETE")


def test_disks_go_with_their_machine_and_are_of_its_zone(config, requests):
    zone = config["provider"]["availability_zone"]
    assert zone.startswith(config["provider"]["region"])
    for request in requests.values():
        (disk,) = request["disks"]
        assert disk["autoDelete"]
        assert disk["initializeParams"]["diskType"] == f"zones/{zone}/diskTypes/pd-balanced"


def test_everything_is_labelled_and_workers_have_an_account_of_their_own(config, requests):
    project = config["provider"]["project_id"]
    for name, request in requests.items():
        assert request["labels"] == {"project": "mars-search"}
        accounts = [account["email"] for account in request.get("serviceAccounts", [])]
        # Ray gives the head its own.
        assert accounts == ([] if name == "head" else [f"mars-search-worker@{project}.iam.gserviceaccount.com"])
