"""Laying a patch over a pod template, as ``kubectl patch --type strategic`` does.

Objects are merged key by key, null removes, ``$patch: replace`` and ``$patch: delete`` do as they
say, and lists that Kubernetes merges by a key of their items are merged by it; other lists are
replaced. The directives for the order of lists and for retained keys are refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any

DIRECTIVE = "$patch"
# The lists of a pod that are merged, and by which key of their items.
MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
}


class OverlayRefused(ValueError):
    """The patch can't be laid over a pod template; the text says what is wrong with it."""


def laid_over(template: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Give the template with the patch laid over it. Raises ``OverlayRefused``."""
    if unknown := sorted(set(patch) - {"metadata", "spec"}):
        raise OverlayRefused(
            f"it begins with {unknown[0]!r}: a pod template has 'metadata' and 'spec', so write "
            "as in {spec = {hostNetwork = true}}"
        )
    return _merged(template, patch)


def _merged(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    if patch.get(DIRECTIVE) == "replace":
        return {key: value for key, value in patch.items() if key != DIRECTIVE}
    merged = dict(base)
    for key, value in patch.items():
        if key.startswith("$"):
            raise OverlayRefused(f"the directive {key} is not known here: use $patch")
        if value is None or (isinstance(value, Mapping) and value.get(DIRECTIVE) == "delete"):
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            under = merged.get(key)
            merged[key] = _merged(under if isinstance(under, Mapping) else {}, value)
        elif isinstance(value, list | tuple) and key in MERGE_KEYS:
            merged[key] = _merged_list(key, merged.get(key) or [], value)
        else:
            merged[key] = value
    return merged


def _merged_list(name: str, base: Sequence[Any], patch: Sequence[Any]) -> list[Any]:
    merge_key = MERGE_KEYS[name]
    if {DIRECTIVE: "replace"} in patch:
        return [item for item in patch if item != {DIRECTIVE: "replace"}]
    merged = {item[merge_key]: item for item in base}
    for item in patch:
        if not isinstance(item, Mapping) or merge_key not in item:
            raise OverlayRefused(f"each item of {name!r} needs its {merge_key!r}")
        if item.get(DIRECTIVE) == "delete":
            merged.pop(item[merge_key], None)
        else:
            merged[item[merge_key]] = _merged(merged.get(item[merge_key], {}), item)
    return list(merged.values())
