"""The kubelet's probes, as a pod says them."""

import http.client
import socket
import ssl
import subprocess

import grpc
from api import Object
from grpc_health.v1 import health_pb2, health_pb2_grpc


def number(port: int | str, container: Object) -> int:
    """The number of a port that may be named."""
    if isinstance(port, int):
        return port
    return next(one["containerPort"] for one in container["ports"] if one["name"] == port)


def passes(probe: Object, container: Object, address: str, process: int) -> bool:
    """One try of a probe of the container of a pod at this address, whose process has this id."""
    timeout = probe.get("timeoutSeconds", 1)
    try:
        if "httpGet" in probe:
            return http_passes(probe["httpGet"], container, address, timeout)
        if "grpc" in probe:
            return grpc_passes(probe["grpc"], address, timeout)
        if "tcpSocket" in probe:
            socket.create_connection((address, number(probe["tcpSocket"]["port"], container)), timeout).close()
            return True
        inside = ["nsenter", f"--target={process}", "--net", "--mount", "--root", "--wd=/", "--setuid=65532", "--setgid=65532"]
        command = [*inside, "--", *probe["exec"]["command"]]
        return subprocess.run(command, capture_output=True, timeout=timeout, check=False).returncode == 0
    except (OSError, http.client.HTTPException, subprocess.TimeoutExpired):
        return False


def http_passes(get: Object, container: Object, address: str, timeout: float) -> bool:
    """Any answer from 200 to 399; no certificate is checked."""
    port = number(get["port"], container)
    if get.get("scheme", "HTTP") == "HTTPS":
        anyone = ssl.create_default_context()
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(address, port, timeout=timeout, context=anyone)
    else:
        connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request("GET", get["path"])
        return 200 <= connection.getresponse().status < 400
    finally:
        connection.close()


def grpc_passes(ask: Object, address: str, timeout: float) -> bool:
    """The standard health check of a service, or of the whole server."""
    with grpc.insecure_channel(f"{address}:{ask['port']}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=ask.get("service", "")), timeout=timeout)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
