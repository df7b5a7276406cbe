"""The fields of KubeRay 1.6's RayCluster and RayJob, as JSON schema; unknown ones are refused.

Written from its API reference: no package carries its CRDs (helm-chart/kuberay-operator/crds).
Pods, accounts and claims are Kubernetes's own and validated by its schemas.
"""

from __future__ import annotations

from typing import Any

TEXT, WHOLE, NUMBER, FLAG = ({"type": kind} for kind in ("string", "integer", "number", "boolean"))
TEXTS = {"type": "object", "additionalProperties": TEXT}
ANY = {"type": "object"}
COUNT = WHOLE | {"minimum": 0}
LIST = {"type": "array"}


def one_of(*words: str) -> dict[str, Any]:
    return {"enum": list(words)}


def record(required: tuple[str, ...] = (), **fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


def resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return record(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": "ray.io/v1"},
        kind={"const": kind},
        metadata=record(("name",), name=TEXT, namespace=TEXT, labels=TEXTS, annotations=TEXTS),
        spec=spec,
    )


GROUP = {"template": ANY, "rayStartParams": TEXTS, "resources": TEXTS, "labels": TEXTS}

CLUSTER = record(
    ("headGroupSpec",),
    rayVersion=TEXT,
    authOptions=record(mode=one_of("disabled", "token"), secretName=TEXT, enableK8sTokenAuth=FLAG),
    enableInTreeAutoscaling=FLAG,
    autoscalerOptions=record(
        version=one_of("v1", "v2"),
        idleTimeoutSeconds=COUNT,
        upscalingMode=one_of("Default", "Aggressive", "Conservative"),
        image=TEXT,
        imagePullPolicy=one_of("Always", "Never", "IfNotPresent"),
        resources=ANY,
        securityContext=ANY,
        env=LIST,
        envFrom=LIST,
        volumeMounts=LIST,
    ),
    headGroupSpec=record(
        ("template",),
        **GROUP,
        serviceType=one_of("ClusterIP", "NodePort", "LoadBalancer"),
        headService=ANY,
        enableIngress=FLAG,
    ),
    workerGroupSpecs={
        "type": "array",
        "items": record(
            ("groupName", "minReplicas", "maxReplicas", "template"),
            **GROUP,
            groupName=TEXT,
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            numOfHosts=COUNT,
            idleTimeoutSeconds=COUNT,
            suspend=FLAG,
            scaleStrategy=record(workersToDelete=LIST),
        ),
    },
    headServiceAnnotations=TEXTS,
    gcsFaultToleranceOptions=ANY,
    upgradeStrategy=record(type=one_of("Recreate", "None")),
    managedBy=TEXT,
    suspend=FLAG,
)

JOB = record(
    entrypoint=TEXT,
    entrypointNumCpus=NUMBER,
    entrypointNumGpus=NUMBER,
    entrypointResources=TEXT,
    rayClusterSpec=CLUSTER,
    clusterSelector=TEXTS,
    submissionMode=one_of("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),
    submitterPodTemplate=ANY,
    submitterConfig=record(backoffLimit=COUNT),
    runtimeEnvYAML=TEXT,
    jobId=TEXT,
    metadata=TEXTS,
    activeDeadlineSeconds=WHOLE | {"minimum": 1},
    backoffLimit=COUNT,
    ttlSecondsAfterFinished=COUNT,
    shutdownAfterJobFinishes=FLAG,
    deletionStrategy=ANY,
    managedBy=TEXT,
    suspend=FLAG,
)

SCHEMAS = {"RayCluster": resource("RayCluster", CLUSTER), "RayJob": resource("RayJob", JOB)}
