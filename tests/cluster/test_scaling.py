"""Which machines Ray's autoscaler starts for what trials ask for."""

from __future__ import annotations

import pytest
from ray.autoscaler._private.util import prepare_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.core.generated.autoscaler_pb2 import GangResourceRequest

from tests.cluster.machines.files import launcher_file


@pytest.fixture(params=["gpu", "gcp"])
def started(request):
    """Machines by type for so many trials, each of which asks for bundles of resources at once."""
    config = AutoscalingConfig(prepare_config(launcher_file(request.param)), skip_content_hash=True)

    def decide(trials, bundles):
        one = GangResourceRequest()
        one.bundle_selectors.add().resource_requests.extend(ResourceRequestUtil.make(bundle) for bundle in bundles)
        reply = ResourceDemandScheduler().schedule(
            SchedulingRequest(
                disable_launch_config_check=False,
                node_type_configs=config.get_node_type_configs(),
                max_num_nodes=config.get_max_num_worker_nodes(),
                gang_resource_requests=[one] * trials,
            )
        )
        return {launch.instance_type: launch.count for launch in reply.to_launch}

    return decide


@pytest.mark.parametrize(
    ("trials", "bundles", "expected"),
    [
        (0, [{"CPU": 1, "GPU": 1}], {}),
        (1, [{"CPU": 1, "GPU": 1}], {"l4": 1}),
        (8, [{"CPU": 1, "GPU": 0.5}], {"l4": 4}),
        (50, [{"CPU": 1, "GPU": 1}], {"l4": 6, "l4x4": 2}),
        # Worker groups that README.md keeps on one machine: no worker fits the smaller ones.
        (1, [{"CPU": 8, "GPU": 1}] * 4, {"l4x4": 1}),
        (3, [{"CPU": 8, "GPU": 1}] * 2, {"l4x4": 2}),
        (50, [{"CPU": 8, "GPU": 1}] * 4, {"l4x4": 2}),
    ],
)
def test_no_more_machines_than_needed_and_allowed(started, trials, bundles, expected):
    assert started(trials, bundles) == expected
