"""Values worth rendering, each with the objects that it adds to those of the default values."""

from typing import Any

# What the default values make.
DEFAULT = {
    "Deployment": 2,
    "NetworkPolicy": 4,
    "Pod": 1,
    "PodDisruptionBudget": 1,
    "Secret": 4,
    "Service": 2,
    "ServiceAccount": 3,
    "StatefulSet": 1,
}

# Kinds of others, which need their definitions in the cluster.
OTHERS = {"Certificate", "HTTPRoute", "PodMonitor", "PrometheusRule", "ServiceMonitor"}

PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "front"}}}
HELPER = {
    "name": "helper",
    "entities": ["helper", "aide"],
    "replicas": 3,
    "model": "llama3",
    "baseUrl": "https://llm.example:8443/v1",
    "apiKeySecret": "llm",
    "systemPrompt": "Be brief.\nBe kind: say {{ please }}.",
    "mcp": "[mcp.clock]\nurl = 'https://clock.example/mcp'\n",
    "secretMounts": ["clock"],
    "settings": {"history": 40, "temperature": 0.5, "stop": ["END", "a: b"]},
    "podDisruptionBudget": True,
    "egress": [{"ports": [{"port": 443}]}],
}

MATRIX: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "defaults": ({}, {}),
    "no bots": ({"bots": []}, {"Deployment": -1, "NetworkPolicy": -1, "Secret": -1, "Pod": -1}),
    "two bots, one with a model": (
        {"bots": [{"name": "echo", "entities": ["echo"], "reply": "echo"}, HELPER]},
        {"Deployment": 1, "NetworkPolicy": 1, "Secret": 1, "ConfigMap": 1, "PodDisruptionBudget": 1},
    ),
    "tokens of one's own": (
        {
            "tokens": {"existingSecret": "accepted"},
            "restGateway": {"tokenSecret": "gateway"},
            "bots": [{"name": "echo", "entities": ["echo"], "reply": "echo", "tokenSecret": "echo"}],
        },
        {"Secret": -4},
    ),
    "TLS from Secrets": (
        {"queueService": {"tls": {"secretName": "queue-tls"}}, "restGateway": {"tls": {"secretName": "gateway-tls"}}},
        {},
    ),
    "TLS by the system's authorities": ({"queueService": {"tls": {"secretName": "queue-tls", "caKey": ""}}}, {}),
    "TLS from cert-manager": (
        {
            part: {"tls": {"certManager": {"enabled": True, "issuer": {"name": "inner", "kind": "ClusterIssuer"}}}}
            for part in ("queueService", "restGateway")
        },
        {"Certificate": 2},
    ),
    "ingress-nginx": (
        {
            "ingress": {
                "enabled": True,
                "controller": "nginx",
                "className": "nginx",
                "hosts": ["talk.example"],
                "tlsSecret": "talk",
                "annotations": {"nginx.ingress.kubernetes.io/proxy-read-timeout": "7200"},
            },
            "restGateway": {"trustedProxies": ["10.0.0.0/8", "fd00::/8"]},
        },
        {"Ingress": 1},
    ),
    "Gateway API": (
        {
            "httpRoute": {"enabled": True, "parentRefs": [{"name": "front"}], "hostnames": ["talk.example"]},
            "restGateway": {"trustedProxies": ["10.0.0.0/8"]},
        },
        {"HTTPRoute": 1},
    ),
    "autoscaling by CPU": ({"restGateway": {"autoscaling": {"enabled": True}}}, {"HorizontalPodAutoscaler": 1}),
    "autoscaling by streams": (
        {"restGateway": {"autoscaling": {"enabled": True, "sseClients": 2000}}},
        {"HorizontalPodAutoscaler": 1},
    ),
    "closed networks, metrics and traces": (
        {
            "networkPolicy": {"gatewayFrom": [PEER], "metricsFrom": [PEER], "collectorTo": [PEER]},
            "metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "monitoring"}}},
            "telemetry": {"endpoint": "http://collector.front:4317"},
        },
        {"ServiceMonitor": 1, "PodMonitor": 1},
    ),
    "without policies and budgets": (
        {"networkPolicy": {"enabled": False}, "restGateway": {"podDisruptionBudget": {"enabled": False}}},
        {"NetworkPolicy": -4, "PodDisruptionBudget": -1},
    ),
    "settings, placement, annotations": (
        {
            "queueService": {
                "settings": {"retention": "90d", "max-pending": 200000, "reserved-name": ["Ann", "Bea"]},
                "entityLimits": "[default]\nper_minute = 600\n",
                "persistence": {"size": "50Gi", "storageClass": "fast", "whenDeleted": "Delete"},
                "podAnnotations": {"a": "b"},
                "nodeSelector": {"disk": "fast"},
                "tolerations": [{"key": "talk", "operator": "Exists"}],
                "affinity": {"nodeAffinity": {}},
                "priorityClassName": "high",
            },
            "restGateway": {"settings": {"cors-origin": ["https://a.example", "https://b.example"]}},
            "image": {
                "registry": "registry.example/talk",
                "tag": "1.2.3",
                "digest": {"queueService": f"sha256:{64 * 'a'}"},
                "pullSecrets": ["registry"],
            },
        },
        {"ConfigMap": 1},
    ),
}

# Values that are refused, each with the sentence that says why.
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"queueService": {"replicas": 2}}, "1, because a queue-service is one process on one disk: there is no replication yet"),
    ({"queueServise": {}}, "additional properties 'queueServise' not allowed"),
    ({"restGateway": {"replica": 3}}, "additional properties 'replica' not allowed"),
    ({"bots": [{"entities": ["a"], "reply": "echo"}]}, "missing property 'name'"),
    ({"bots": [{"name": "a", "entities": ["a"], "reply": "echo", "modle": "x"}]}, "additional properties 'modle' not allowed"),
    ({"bots": [{"name": "Not A Name", "entities": ["a"], "reply": "echo"}]}, "/bots/0/name"),
    ({"bots": [{"name": "a", "entities": [], "reply": "echo"}]}, "/bots/0/entities"),
    ({"bots": [{"name": "a", "entities": ["a"]}]}, "bots: a has nothing to answer with"),
    ({"bots": [{"name": "a", "entities": ["a"], "model": "m"}]}, "bots: a has nothing to answer with"),
    ({"bots": [{"name": "a", "entities": ["a"], "reply": "echo", "model": "m"}]}, "bots: a has a reply and a model or baseUrl"),
    ({"bots": 2 * [{"name": "a", "entities": ["a"], "reply": "echo"}]}, "two entries have the name a"),
    ({"tokens": {"existingSecret": "t"}, "restGateway": {"tokenSecret": "g"}}, "bots: echo has no tokenSecret"),
    ({"tokens": {"existingSecret": "t"}, "bots": []}, "restGateway.tokenSecret is empty"),
    ({"restGateway": {"drainDelay": "60s"}}, "restGateway.terminationGracePeriodSeconds is 30, but has to be 10 more than the 60s"),
    ({"queueService": {"drainDelay": "1m"}}, "queueService.terminationGracePeriodSeconds is 30, but has to be 10 more than the 1m"),
    ({"tokens": {"rotation": 0}}, "/tokens/rotation"),
    ({"tokens": {"renderWithoutCluster": False}}, "tokens.existingSecret is empty, and there is no cluster to look up the tokens in"),
    ({"metrics": {"port": 8080}}, "/metrics/port"),
    ({"metrics": {"port": 50051}}, "/metrics/port"),
    ({"metrics": {"port": 80}}, "/metrics/port"),
    ({"image": {"digest": {"queueService": "sha256:abc"}}}, "/image/digest/queueService"),
    ({"image": {"digest": f"sha256:{64 * 'a'}"}}, "/image/digest"),
    ({"bots": [{"name": "a", "entities": ["a"], "reply": "echo", "modelPort": "http"}]}, "/bots/0/modelPort"),
    ({"ingress": {"enabled": True, "hosts": ["a.example"]}}, "restGateway.trustedProxies is empty"),
    ({"httpRoute": {"enabled": True, "parentRefs": [{"name": "a"}]}}, "restGateway.trustedProxies is empty"),
    ({"ingress": {"enabled": True}, "restGateway": {"trustedProxies": ["10.0.0.0/8"]}}, "ingress.hosts is empty"),
    ({"httpRoute": {"enabled": True}, "restGateway": {"trustedProxies": ["10.0.0.0/8"]}}, "httpRoute.parentRefs is empty"),
    ({"restGateway": {"trustedProxies": ["everybody"]}}, "/restGateway/trustedProxies/0"),
    ({"queueService": {"tls": {"certManager": {"enabled": True}}}}, "queueService.tls.certManager.issuer.name is empty"),
    (
        {"restGateway": {"tls": {"secretName": "a", "certManager": {"enabled": True, "issuer": {"name": "b"}}}}},
        "restGateway.tls names a Secret and enables cert-manager",
    ),
    (
        {"restGateway": {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 3}}},
        "minReplicas is 5, above maxReplicas, which is 3",
    ),
    ({"queueService": {"settings": {"data-dir": "/tmp"}}}, "queueService.settings.data-dir is set by the chart"),
    ({"botDefaults": {"settings": {"token-file": "/tmp"}}}, "the settings of the bot echo.token-file is set by the chart"),
    ({"queueService": {"settings": {"--retention": "90d"}}}, "/queueService/settings"),
    ({"queueService": {"persistence": {"size": "ten"}}}, "/queueService/persistence/size"),
    ({"metrics": {"serviceMonitor": {"interval": "30"}}}, "/metrics/serviceMonitor/interval"),
    ({"queueService": {"drainDelay": "5"}}, "/queueService/drainDelay"),
    ({"queueService": {"cacheBytes": "much"}}, "/queueService/cacheBytes"),
    ({"telemetry": {"endpoint": "collector:4317"}}, "/telemetry/endpoint"),
    ({"ingress": {"controller": "haproxy"}}, "/ingress/controller"),
]
