"""Settings as people may see them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from runnerd.settings.keys import PLUGINS, KeyPath, PluginModels, known_keys
from runnerd.settings.load import Loaded
from runnerd.settings.problems import MASK, is_secret


@dataclass(frozen=True, slots=True)
class Row:
    """A dotted key, its value as JSON has it (secrets masked), and where the value came from."""

    key: str
    value: Any
    source: str


def in_force(loaded: Loaded, plugins: PluginModels) -> Iterator[Row]:
    """Give every key; of plugins those that have what they need.

    ``loaded`` must have been checked by the same ``plugins``.
    """
    dumped = loaded.settings.model_dump(mode="json", exclude={PLUGINS})
    dumped[PLUGINS] = {
        name: _plugin_values(model, loaded.settings.plugins.get(name, {}))
        for name, model in plugins.items()
    }
    for path, field in known_keys(plugins).fields.items():
        tree = _table(dumped, path)
        if tree is not None:
            dotted = ".".join(path)
            yield Row(dotted, _masked(tree[path[-1]], field), loaded.sources[dotted])


def _plugin_values(model: type[BaseModel], table: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        return model.model_validate(table).model_dump(mode="json")
    except ValidationError:
        return None


def _table(tree: Mapping[str, Any], path: KeyPath) -> Mapping[str, Any] | None:
    for name in path[:-1]:
        inner = tree[name]
        if inner is None:
            return None
        tree = inner
    return tree


def _masked(value: Any, field: FieldInfo) -> Any:
    if value is None or not is_secret(field):
        return value
    return [MASK] * len(value) if isinstance(value, list) else MASK
