"""The registry: which channels there are, what each needs to be connected, and an adapter when one is wanted.

An installed package adds a channel with an entry point in the group `memoras.channels` that names a `Channel`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from channels import CHANNELS
from channels.contract import AccountConfig, Adapter, Ports

log = logging.getLogger(__name__)

GROUP = "memoras.channels"


@dataclass(frozen=True, slots=True)
class Channel:
    """Where a channel's adapter and settings are, as "module:class". Neither is imported before it is needed."""

    adapter: str
    settings: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldInForm:
    """One setting as a form asks for it."""

    name: str
    label: str
    help: str = ""
    is_secret: bool = False
    is_required: bool = True
    choices: tuple[tuple[str, str], ...] = ()
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelInfo:
    """What a person sees of a channel before it is connected. Without `fields` there is nothing to connect."""

    name: str
    title: str
    docs: str
    fields: tuple[FieldInForm, ...]
    steps: tuple[str, ...]


def channels() -> list[ChannelInfo]:
    """Return every channel in the order of registration. No SDK is imported."""
    return [_info(name) for name in _registered()]


def settings_model(name: str) -> type[BaseModel]:
    """Return the class of a channel's settings. No SDK is imported.

    Raises:
        KeyError: when no channel has this name.
    """
    return cast(type[BaseModel], _imported(_channel(name).settings))


def build(name: str, account: AccountConfig, ports: Ports) -> Adapter:
    """Return the adapter of one account; its platform's SDK is imported here, which may take seconds.

    Raises:
        KeyError: when no channel has this name.
        NotConfigured: when the account lacks something.
    """
    return cast(Adapter, _imported(_channel(name).adapter)(account, ports))


def _channel(name: str) -> Channel:
    # The entry points are read only for a name of no channel of our own: it means looking at every installed package.
    return Channel(*CHANNELS[name]) if name in CHANNELS else _registered()[name]


@cache
def _registered() -> dict[str, Channel]:
    found = {name: Channel(*paths) for name, paths in CHANNELS.items()}
    for entry in entry_points(group=GROUP):
        try:
            channel = entry.load()
        except Exception as error:
            log.warning("an installed channel could not be loaded", extra={"channel": entry.name, "error": repr(error)})
            continue
        if isinstance(channel, Channel):
            found.setdefault(entry.name, channel)
        else:
            log.warning(
                "an installed channel is none: its entry point must name a Channel", extra={"channel": entry.name}
            )
    return found


def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


@cache
def _info(name: str) -> ChannelInfo:
    model = settings_model(name)
    return ChannelInfo(
        name=name,
        title=str(model.model_config.get("title") or name.capitalize()),
        docs=f"docs/channels/{name}.md",
        fields=tuple(_field(field_name, field) for field_name, field in model.model_fields.items()),
        steps=tuple(getattr(import_module(model.__module__), "STEPS", ())),
    )


def _field(name: str, field: FieldInfo) -> FieldInForm:
    kinds = set(_kinds(field.annotation))
    return FieldInForm(
        name=name,
        label=field.title or name.replace("_", " ").capitalize(),
        help=field.description or "",
        is_secret=bool(kinds & {SecretStr, SecretBytes}),
        is_required=field.is_required(),
        choices=_choices(field),
        default=_default(field),
    )


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _choices(field: FieldInfo) -> tuple[tuple[str, str], ...]:
    for kind in _kinds(field.annotation):
        if get_origin(kind) is Literal:
            return tuple((str(value), str(value).replace("_", " ").capitalize()) for value in get_args(kind))
        if kind is bool:
            return (("false", "No"), ("true", "Yes"))
    return ()


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value is PydanticUndefined or isinstance(value, SecretStr | SecretBytes):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
