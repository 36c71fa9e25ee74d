"""Who may reach whom, by the chart's NetworkPolicies: exactly what docs/kubernetes.md draws."""

from typing import Any

from conftest import Helm, Object, of_kind, pods, selected
from matrix import HELPER, PEER

ANYWHERE = "anywhere"
PEERS = "the peers of the values"


def port_number(port: str | int, spec: Object) -> int:
    """The number of a port that a policy names."""
    if isinstance(port, int):
        return port
    (number,) = [one["containerPort"] for box in spec["containers"] for one in box["ports"] if one["name"] == port]
    return number


def ends(rule: Object, key: str, found: dict[str, Object]) -> set[str]:
    """Which pods, or which others, the `from` or `to` of a rule means."""
    if key not in rule:
        return {ANYWHERE}
    named: set[str] = set()
    for peer in rule[key]:
        inner = {name for name, pod in found.items() if "podSelector" in peer and selected(peer["podSelector"], pod["labels"])}
        named |= inner or {PEERS}
    return named


def ways(objects: list[Object]) -> tuple[set[Any], set[Any]]:
    """What is let in, as (from, to, port), and what is let out, by all policies together."""
    found, inward, outward = pods(objects), set(), set()
    for policy in of_kind(objects, "NetworkPolicy").values():
        spec = policy["spec"]
        assert spec["policyTypes"] == ["Ingress", "Egress"], "the other direction would be open"
        chosen = [name for name, pod in found.items() if selected(spec["podSelector"], pod["labels"])]
        for name in chosen:
            for rule in spec["ingress"]:
                for port in rule["ports"]:
                    inward |= {(end, name, port_number(port["port"], found[name]["spec"])) for end in ends(rule, "from", found)}
            for rule in spec["egress"]:
                for port in rule["ports"]:
                    outward |= {(name, end, int(port["port"])) for end in ends(rule, "to", found)}
    return inward, outward


QUEUE, GATEWAY, ECHO, HELPER_BOT, TEST = (f"talk-repartee-{part}" for part in ("queue", "gateway", "bot-echo", "bot-helper", "test"))


def dns(*names: str) -> set[Any]:
    return {(name, ANYWHERE, 53) for name in names}


def test_by_default_browsers_reach_gateways_and_these_reach_the_queue(helm: Helm) -> None:
    inward, outward = ways(helm.render())
    assert inward == {(ANYWHERE, GATEWAY, 8080), (GATEWAY, QUEUE, 50051), (ECHO, QUEUE, 50051)}
    assert outward == {(GATEWAY, QUEUE, 50051), (ECHO, QUEUE, 50051), (TEST, GATEWAY, 8080)} | dns(GATEWAY, ECHO, TEST)


def test_a_bot_reaches_its_model_and_what_its_values_add(helm: Helm) -> None:
    _, outward = ways(helm.render({"bots": [HELPER]}))
    assert {way for way in outward if way[0] == HELPER_BOT} == {
        (HELPER_BOT, QUEUE, 50051),
        (HELPER_BOT, ANYWHERE, 8443),
        (HELPER_BOT, ANYWHERE, 443),
    } | dns(HELPER_BOT)


def test_a_model_without_a_port_is_reached_at_that_of_its_scheme(helm: Helm) -> None:
    for url, port in (("https://llm.example/v1", 443), ("http://llm.example/v1", 80), ("http://[fd00::7]:11434/v1", 11434)):
        bot = {"name": "helper", "entities": ["helper"], "model": "llama3", "baseUrl": url}
        _, outward = ways(helm.render({"bots": [bot]}))
        assert (HELPER_BOT, ANYWHERE, port) in outward, url


def test_behind_services_it_is_the_port_of_the_pods_that_is_open(helm: Helm) -> None:
    bot = {"name": "helper", "entities": ["helper"], "model": "llama3", "baseUrl": "http://llm.models.svc/v1", "modelPort": 11434, "modelTo": [PEER]}
    values = {
        "bots": [bot],
        "telemetry": {"endpoint": "http://collector.front"},
        "networkPolicy": {"collectorPort": 14317, "dnsPort": 5353},
    }
    _, outward = ways(helm.render(values))
    assert {way for way in outward if way[0] == HELPER_BOT} == {
        (HELPER_BOT, QUEUE, 50051),
        (HELPER_BOT, PEERS, 11434),
        (HELPER_BOT, ANYWHERE, 14317),
        (HELPER_BOT, ANYWHERE, 5353),
    }


def test_peers_of_the_values_close_the_rest(helm: Helm) -> None:
    policy = {"gatewayFrom": [PEER], "metricsFrom": [PEER], "collectorTo": [PEER]}
    inward, outward = ways(helm.render({"networkPolicy": policy, "telemetry": {"endpoint": "http://collector.front:4317"}}))
    own = {(GATEWAY, QUEUE, 50051), (ECHO, QUEUE, 50051), (TEST, GATEWAY, 8080)}
    metrics = {(PEERS, name, 9464) for name in (QUEUE, GATEWAY, ECHO)}
    assert inward == own | metrics | {(PEERS, GATEWAY, 8080)}
    assert outward == own | dns(QUEUE, GATEWAY, ECHO, TEST) | {(name, PEERS, 4317) for name in (QUEUE, GATEWAY, ECHO)}
