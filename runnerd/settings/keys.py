"""The keys that exist, as paths into the tables, and the variables that set them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from runnerd.settings.models import Settings

PREFIX = "RUNNERD_"
PLUGINS = "plugins"

KeyPath = tuple[str, ...]
PluginModels = Mapping[str, type[BaseModel]]


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """Every key with its field, and every section.

    ``free_plugins`` are the plugins whose tables are taken as they are; None stands for all.
    """

    fields: Mapping[KeyPath, FieldInfo]
    sections: frozenset[KeyPath]
    free_plugins: frozenset[str] | None

    def is_free(self, plugin: str) -> bool:
        return self.free_plugins is None or plugin in self.free_plugins

    def dotted(self) -> list[str]:
        return [".".join(path) for path in self.fields]

    def variables(self) -> dict[str, KeyPath]:
        """Give the key that each variable sets, in both spellings.

        A hyphen in a plugin's name is an underscore in its variables: no shell takes another.
        """
        return {
            PREFIX + joint.join(path).upper().replace("-", "_"): path
            for path in self.fields
            for joint in ("_", "__")
        }


def known_keys(plugins: PluginModels | None) -> KnownKeys:
    """Collect the keys of the settings and, where they are given, of the plugins' models."""
    fields = dict(_fields(Settings))
    for name, model in (plugins or {}).items():
        fields.update(((PLUGINS, name, *path), field) for path, field in _fields(model))
    sections = {path[:-1] for path in fields if len(path) > 1}
    sections |= {(PLUGINS,), *((PLUGINS, name) for name in plugins or {})}
    free = (name for name, model in (plugins or {}).items() if _takes_any_key(model))
    return KnownKeys(
        fields, frozenset(sections), free_plugins=None if plugins is None else frozenset(free)
    )


def _takes_any_key(model: type[BaseModel]) -> bool:
    return model.model_config.get("extra") == "allow"


def _fields(model: type[BaseModel]) -> Iterator[tuple[KeyPath, FieldInfo]]:
    for name, field in model.model_fields.items():
        if model is Settings and name == PLUGINS:
            continue
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from (((name, *path), leaf) for path, leaf in _fields(inner))
        else:
            yield (name,), field
