"""What is made of the settings without any engine: devices, credentials, addresses."""

import base64
from pathlib import Path

import pytest
from pydantic import ValidationError

from runnerd.executors.docker.containers import Image, container_for, user_of, variables_inside
from runnerd.executors.docker.handle import Place
from runnerd.executors.docker.images import login_for, registry_of
from runnerd.executors.docker.settings import DockerSettings
from runnerd.jobs import EnvironmentPlan
from runnerd.plugins import LaunchRequest

PLAN = EnvironmentPlan("0" * 16, "", "/python", "3.11.7", "/root", "/cache", "/uv")
IMAGE = Image("team/image", "sha256:0123", "")


def test_devices_are_asked_for_and_counted_anew(tmp_path: Path) -> None:
    request = LaunchRequest(
        attempt_id="job-1",
        folder=tmp_path,
        script_name="train.py",
        script="",
        environment=PLAN,
        timeout=1,
        grace_seconds=1,
        log_limit=1,
        variables={"CUDA_VISIBLE_DEVICES": "2,5"},
        gpus=(2, 5),
    )
    made = container_for(Place("job-1", tmp_path), request, IMAGE, DockerSettings(), "owner")
    assert made["HostConfig"]["DeviceRequests"] == [
        {"Driver": "nvidia", "DeviceIDs": ["2", "5"], "Capabilities": [["gpu"]]}
    ]
    assert variables_inside(request) == {"CUDA_VISIBLE_DEVICES": "0,1"}


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("python:3.11", "https://index.docker.io/v1/"),
        ("team/image", "https://index.docker.io/v1/"),
        ("localhost/image", "localhost"),
        ("registry.example:5000/a/b@sha256:00", "registry.example:5000"),
    ],
)
def test_an_image_belongs_to_a_registry(image: str, registry: str) -> None:
    assert registry_of(image) == registry


def test_credentials_are_those_of_the_images_registry() -> None:
    packed = base64.b64encode(b"ada:pass:word").decode()
    auths = {"registry.example": {"auth": packed}, "docker.io": {"username": "b", "password": "c"}}
    assert login_for("registry.example/a", auths) == {
        "username": "ada",
        "password": "pass:word",
        "serveraddress": "registry.example",
    }
    found = login_for("python:3.11", auths)
    assert found is not None
    assert found["username"] == "b"
    assert login_for("other.example/a", auths) is None


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"host": "http://engine"}, "unix:///PATH"),
        ({"host": "tcp://engine:2375"}, "without TLS"),
        ({"host": "tcp://engine:2376", "tls_ca": "/ca"}, "go together"),
        ({"user": "nobody"}, "user"),
    ],
)
def test_what_can_not_be_meant_is_refused(given: dict[str, str], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        DockerSettings.model_validate(given)


def test_an_images_own_user_must_be_a_number() -> None:
    assert user_of(IMAGE, DockerSettings()) == (0, 0)
    assert user_of(Image("i", "sha256:1", "1000:50"), DockerSettings()) == (1000, 50)
    named = Image("i", "sha256:1", "app")
    assert user_of(named, DockerSettings()) is None
    assert user_of(named, DockerSettings(user="7")) == (7, 7)
