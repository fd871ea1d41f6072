"""What connecting a Telegram bot needs, as the panel's form asks for it; free of aiogram, whose import is slow."""

from __future__ import annotations

import re
import secrets
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

CLOUD = "https://api.telegram.org"

STEPS = (
    "In Telegram, open a chat with @BotFather and send /newbot.",
    "Give the bot a name (what people see) and a username that ends in “bot”.",
    "BotFather answers with a token, a line like 123456789:AAE…; copy it here.",
)

_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{1,128}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
_USERNAME = re.compile(r"[A-Za-z0-9_]{1,64}")


class TelegramSettings(BaseModel):
    """One Telegram bot: its token, how its messages arrive, and when it speaks in groups."""

    model_config = ConfigDict(title="Telegram", extra="ignore", hide_input_in_errors=True)

    token: SecretStr = Field(
        title="Bot token",
        description="The line BotFather gave you, such as 123456789:AAE…. Whoever has it is the bot.",
    )
    mode: Literal["auto", "webhook", "polling"] = Field(
        "auto",
        title="How messages arrive",
        description="Auto: Telegram delivers when this server has a public HTTPS address; else this server asks.",
    )
    group_replies: Literal["addressed", "mentioned", "never"] = Field(
        "addressed",
        title="In groups, answer",
        description="Addressed: commands, mentions and replies to the persona. Mentioned: commands and mentions alone.",
    )
    shows_link_previews: bool = Field(
        False, title="Show link previews", description="Let Telegram add a preview below an answer that has a link."
    )
    api_base: str = Field(
        CLOUD,
        title="Bot API server",
        description="Leave it as it is, unless you run a Bot API server of your own.",
    )
    is_local: bool = Field(
        False,
        title="The Bot API server runs with --local",
        description="Only for a server of your own on this machine: files are then read from its disk, of any size.",
    )
    username: str = Field(
        "", title="Bot username", description="Without the @. Leave it empty: Telegram is asked for it."
    )
    secret_token: SecretStr = Field(
        default_factory=lambda: SecretStr(_new_secret()),
        title="Webhook secret",
        description="Proves that a delivery comes from Telegram. Leave it empty and one is made.",
    )

    @field_validator("token")
    @classmethod
    def _is_token(cls, value: SecretStr) -> SecretStr:
        token = value.get_secret_value().strip()
        if not _TOKEN.fullmatch(token):
            raise ValueError("this is not a bot token: copy the whole line that BotFather gave you")
        return SecretStr(token)

    @field_validator("secret_token")
    @classmethod
    def _is_secret(cls, value: SecretStr) -> SecretStr:
        secret = value.get_secret_value().strip()
        if secret and not _SECRET.fullmatch(secret):
            raise ValueError("use 1 to 256 letters, digits, _ and -")
        return SecretStr(secret or _new_secret())

    @field_validator("api_base")
    @classmethod
    def _is_address(cls, value: str) -> str:
        base = value.strip().rstrip("/") or CLOUD
        if not base.startswith(("https://", "http://")) or "{" in base or "}" in base:
            raise ValueError("must be an address that begins with https:// or http://")
        return base

    @field_validator("username")
    @classmethod
    def _is_username(cls, value: str) -> str:
        name = value.strip().removeprefix("@")
        if name and not _USERNAME.fullmatch(name):
            raise ValueError("a username has letters, digits and _ alone")
        return name

    @property
    def own_id(self) -> str:
        """Who this account is on the platform, whatever its token."""
        return str(self.bot_id)

    @property
    def bot_id(self) -> int:
        """The bot's own user id: the digits the token begins with."""
        return int(self.token.get_secret_value().partition(":")[0])

    @property
    def is_cloud(self) -> bool:
        """Whether Telegram's own server is used."""
        return self.api_base == CLOUD


def _new_secret() -> str:
    return secrets.token_urlsafe(32)
