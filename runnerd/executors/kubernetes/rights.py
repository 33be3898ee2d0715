"""What the executor must be allowed to do, and whether it is."""

from collections.abc import Iterable

from runnerd.executors.kubernetes.api import Api, Object

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
NEEDED = {
    ("batch", "jobs"): ("create", "delete", "get", "list", "watch"),
    ("", "secrets"): ("create", "delete", "get"),
    ("", "pods"): ("list", "patch", "watch"),
    ("", "pods/log"): ("get",),
    ("", "events"): ("list",),
    ("", "namespaces"): ("get",),
}


async def missing_rights(api: Api, namespace: str) -> list[str]:
    """Give what we may not do in the namespace, as in ``create jobs``."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    status = (await api.create(REVIEWS, review)).get("status", {})
    if status.get("incomplete"):  # not every authorizer can list its rules
        return []
    rules = status.get("resourceRules") or ()
    return [
        f"{verb} {resource}"
        for (group, resource), verbs in NEEDED.items()
        for verb in verbs
        if not any(_allows(rule, verb, group, resource) for rule in rules)
    ]


def _allows(rule: Object, verb: str, group: str, resource: str) -> bool:
    return (
        _has(rule.get("verbs"), verb)
        and _has(rule.get("apiGroups"), group)
        and _has(rule.get("resources"), resource)
        and not rule.get("resourceNames")
    )


def _has(listed: Iterable[str] | None, wanted: str) -> bool:
    return bool({"*", wanted} & set(listed or ()))
