"""The patch of the pod template merges as Kubernetes' own strategic merge patch does."""

from typing import Any

import pytest

from runnerd.executors.kubernetes.overlay import OverlayRefused, laid_over

CONTAINER = {
    "name": "job",
    "image": "python",
    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    "command": ["python3", "pod.py"],
}
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"a": "1"}},
    "spec": {
        "containers": [CONTAINER],
        "tolerations": [{"key": "old"}],
        "nodeSelector": {"disk": "ssd"},
    },
}


def spec_with(**patch: Any) -> dict[str, Any]:
    spec: dict[str, Any] = laid_over(TEMPLATE, {"spec": patch})["spec"]
    return spec


def test_objects_are_merged_and_null_removes() -> None:
    patched = laid_over(TEMPLATE, {"metadata": {"labels": {"b": "2"}}})
    assert patched["metadata"]["labels"] == {"a": "1", "b": "2"}
    assert spec_with(nodeSelector={"disk": None, "zone": "x"})["nodeSelector"] == {"zone": "x"}
    assert "nodeSelector" not in spec_with(nodeSelector=None)


def test_lists_with_a_merge_key_are_merged_and_others_replaced() -> None:
    env = [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]
    spec = spec_with(containers=[{"name": "job", "env": env, "command": ["sleep"]}])
    (container,) = spec["containers"]
    assert {each["name"]: each["value"] for each in container["env"]} == {
        "A": "1",
        "B": "3",
        "C": "4",
    }
    assert (container["image"], container["command"]) == ("python", ["sleep"])
    assert spec_with(tolerations=[{"key": "new"}])["tolerations"] == [{"key": "new"}]


def test_another_container_is_added_beside_ours() -> None:
    spec = spec_with(containers=[{"name": "beside", "image": "proxy"}])
    assert [each["name"] for each in spec["containers"]] == ["job", "beside"]


def test_the_directive_replaces_and_deletes() -> None:
    spec = spec_with(
        containers=[{"name": "job", "env": [{"$patch": "delete", "name": "A"}]}],
        nodeSelector={"$patch": "replace", "zone": "x"},
    )
    assert spec["containers"][0]["env"] == [{"name": "B", "value": "2"}]
    assert spec["nodeSelector"] == {"zone": "x"}


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"hostNetwork": True}, "begins with 'hostNetwork'"),
        ({"spec": {"containers": [{"image": "x"}]}}, "needs its 'name'"),
        ({"spec": {"$retainKeys": ["a"]}}, "not known here"),
    ],
)
def test_what_can_not_be_meant_is_refused(patch: dict[str, Any], words: str) -> None:
    with pytest.raises(OverlayRefused, match=words):
        laid_over(TEMPLATE, patch)


def test_the_template_is_left_as_it_is() -> None:
    before = repr(TEMPLATE)
    laid_over(TEMPLATE, {"spec": {"containers": [{"name": "job", "env": None}]}})
    assert repr(TEMPLATE) == before
