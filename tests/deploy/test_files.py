"""The files in ``deploy/``: linted, checked against schemas, and true to the service's own settings."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml

from daypass.duration import milliseconds
from daypass.server import settings

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
UNIT = DEPLOY / "systemd" / "daypass.service"
HADOLINT = Path(sys.executable).with_name("hadolint")
VERSIONS = ("1.31", "1.34")
"""Of Kubernetes."""


def documents() -> Iterator[dict[str, Any]]:
    """Yield what kustomize would apply, without its generated names."""
    for name in yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]:
        yield from yaml.safe_load_all((KUBERNETES / name).read_text())


def the(kind: str) -> dict[str, Any]:
    (found,) = [each for each in documents() if each["kind"] == kind]
    return found


# ---- the image


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    """Not even a matter of style."""
    if not HADOLINT.exists():
        pytest.skip(f"there is no {HADOLINT}: it is for Linux")
    done = subprocess.run([HADOLINT, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False, timeout=60)
    assert (0, "") == (done.returncode, done.stdout + done.stderr)


def test_the_image_is_not_root_s_and_needs_only_what_is_copied() -> None:
    """It runs as a numeric user; what is copied exists and is not excluded by ``.dockerignore``."""
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER [1-9]\d+:[1-9]\d+$", text, re.MULTILINE)
    copied = [name for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for name in line.split()]
    seen = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {"pyproject.toml", "README.md", "LICENSE", "src"} == set(copied)
    assert all((DEPLOY.parent / name).exists() and f"!{name}" in seen for name in copied)
    extras = re.search(r"\.\[([a-z,]+)\]", text)
    assert extras is not None
    known = re.findall(r"^([a-z]+) = \[", (DEPLOY.parent / "pyproject.toml").read_text(), re.MULTILINE)
    assert set(extras[1].split(",")) <= set(known)


# ---- compose


def test_compose_has_three_nodes_that_write_nothing() -> None:
    """Three nodes with a read-only root and no capabilities, behind a proxy that they trust; no secret in the file."""
    compose = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    nodes = [each for name, each in compose["services"].items() if name.startswith("node")]
    assert 3 == len(nodes)
    (subnet,) = compose["networks"]["inside"]["ipam"]["config"]
    for node in nodes:
        assert (True, ["ALL"]) == (node["read_only"], node["cap_drop"])
        assert "ports" not in node
        assert subnet["subnet"] == node["environment"]["DAYPASS_TRUSTED_PROXIES"]
        given = {name.removeprefix("DAYPASS_").lower(): value for name, value in node["environment"].items()}
        assert set(given) <= set(settings.Settings.model_fields)
        stop = milliseconds(node["stop_grace_period"])
        assert stop > milliseconds(given["drain_delay"]) + milliseconds(settings.Settings().drain_timeout)
    example = (DEPLOY / "compose" / "env.example").read_text()
    assert re.search(r"^DAYPASS_SECRET=$", example, re.MULTILINE)
    upstream = (DEPLOY / "compose" / "nginx.conf").read_text()
    assert [f"node{n}:8000" for n in (1, 2, 3)] == re.findall(r"server (\S+:\d+) max_fails", upstream)


# ---- Kubernetes


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_fit_the_schemas(version: str) -> None:
    """Each manifest is valid, strictly, for old and new versions of Kubernetes."""
    for each in documents():
        kubernetes_validate.validate(each, version, strict=True)


def test_kustomize_renders_the_manifests() -> None:
    """The configuration is mounted under the name that kustomize gives it."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run([kubectl, "kustomize", KUBERNETES], capture_output=True, text=True, check=True, timeout=60)
    rendered = list(yaml.safe_load_all(done.stdout))
    (configuration,) = [each["metadata"]["name"] for each in rendered if each["kind"] == "ConfigMap"]
    (deployment,) = [each for each in rendered if each["kind"] == "Deployment"]
    assert [{"name": configuration}] == [
        each["configMap"] for each in deployment["spec"]["template"]["spec"]["volumes"]
    ]


def test_pods_fit_the_restricted_standard_and_end_in_time() -> None:
    """As the namespace enforces it; a pod has longer to end than the service takes; probes use the right paths."""
    pod = the("Deployment")["spec"]["template"]["spec"]
    assert "restricted" == the("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert (True, "RuntimeDefault") == (
        pod["securityContext"]["runAsNonRoot"],
        pod["securityContext"]["seccompProfile"]["type"],
    )
    for container in (*pod["initContainers"], *pod["containers"]):
        context = container["securityContext"]
        assert (False, True, ["ALL"]) == (
            context["allowPrivilegeEscalation"],
            context["readOnlyRootFilesystem"],
            context["capabilities"]["drop"],
        )
        assert {"requests", "limits"} == set(container["resources"])
    (serving,) = pod["containers"]
    paths = {probe: serving[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}
    assert {"livenessProbe": "/healthz", "readinessProbe": "/readyz"} == paths
    assert pod["enableServiceLinks"] is False
    given = settings.read({"config": str(KUBERNETES / "daypass.toml")}).settings
    drain = milliseconds(given.drain_delay) + milliseconds(given.drain_timeout)
    assert pod["terminationGracePeriodSeconds"] * 1000 > drain
    assert milliseconds(given.drain_delay) > serving["readinessProbe"]["periodSeconds"] * 1000


def test_services_find_the_pods() -> None:
    """Every selector is the label of the pods."""
    labels = the("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels == the("Service")["spec"]["selector"]
    for kind, field in (
        ("Deployment", "selector"),
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
    ):
        assert labels == the(kind)["spec"][field]["matchLabels"]


# ---- systemd


def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    """Nothing in it is unknown, and its exposure is below 2 of 10."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/daypass/bin/daypass", sys.executable))
    verified = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False, timeout=60)
    assert (0, "") == (verified.returncode, verified.stderr)
    command: list[str | Path] = [analyze, "security", "--offline=yes", "--threshold=20", "--no-pager", unit]
    rated = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert 0 == rated.returncode, rated.stdout[-500:]
