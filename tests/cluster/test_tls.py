"""The chart with certificates of one's own: every way inside the cluster speaks TLS, and the probes still find what they ask."""

import subprocess
from pathlib import Path

from conftest import Cluster, Release

CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def secret(cluster: Cluster, release: Release, folder: Path, part: str) -> None:
    """A Secret with a certificate for a part's Service, and the authority that made it."""
    name = f"talk-repartee-{part}"
    (folder / "names").write_text(f"subjectAltName=DNS:{name}.{release.namespace}.svc\n")
    openssl(folder, "req", "-new", *CURVE, "-keyout", f"{part}.key", "-out", f"{part}.csr", "-subj", f"/CN={part}")
    signing = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
    openssl(folder, "x509", "-req", "-in", f"{part}.csr", "-out", f"{part}.crt", *signing)
    files = [f"--from-file={key}={folder / file}" for key, file in (("tls.crt", f"{part}.crt"), ("tls.key", f"{part}.key"), ("ca.crt", "ca.crt"))]
    cluster.ok("kubectl", "--namespace", release.namespace, "create", "secret", "generic", part, *files)


def test_a_question_is_answered_over_tls(cluster: Cluster, release: Release, tmp_path: Path) -> None:
    openssl(tmp_path, "req", "-x509", *CURVE, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=the tests", "-days", "2")
    for part in ("queue", "gateway"):
        secret(cluster, release, tmp_path, part)
    release.upgraded({"queueService": {"tls": {"secretName": "queue"}}, "restGateway": {"tls": {"secretName": "gateway"}}})
    cluster.ok("helm", "test", "talk", "--namespace", release.namespace, "--timeout=1m")
    (gateway, *_) = release.pods("rest-gateway")
    (queue,) = release.pods("queue-service")
    for pod, port, host in ((gateway, 8080, "gateway"), (queue, 50051, "queue")):
        name = f"talk-repartee-{host}.{release.namespace}.svc"
        told = subprocess.run(
            ["openssl", "s_client", "-connect", f"{pod['status']['podIP']}:{port}", "-servername", name, "-CAfile", "ca.crt", "-verify_return_error"],
            cwd=tmp_path, input="", capture_output=True, text=True, check=False)
        assert "Verify return code: 0 (ok)" in told.stdout, told.stdout + told.stderr
