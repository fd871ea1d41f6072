"""The settings: read once from the environment and `.env`, each with the prefix `MEMORAS_`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Everything that can be set from outside. The defaults run on a laptop with nothing else installed."""

    model_config = SettingsConfigDict(env_prefix="MEMORAS_", env_file=".env", extra="ignore", env_ignore_empty=True)

    data: Path = Field(Path("data"), description="The folder that holds the database, the indexes, media and keys.")
    host: str = Field("127.0.0.1", description="The address the server listens on; 0.0.0.0 for every one.")
    port: int = Field(8080, ge=0, le=65535, description="The port the server listens on; 0 takes a free one.")
    public_url: str = Field(
        "", description="The HTTPS address under which platforms reach this server; empty: none, so Telegram polls."
    )

    model_url: str = Field(
        "", description="Base URL of an OpenAI-compatible endpoint, e.g. http://127.0.0.1:11434/v1 for Ollama."
    )
    model_key: SecretStr = Field(SecretStr(""), description="The endpoint's API key; local servers take any.")
    model_name: str = Field("", description="The chat model's name at that endpoint, e.g. llama3.3 or gpt-5-mini.")
    model_timeout_s: float = Field(
        60.0, gt=0, description="Seconds an answer may take before the offline one goes out."
    )
    model_temperature: float | None = Field(
        None, ge=0, le=2, description="Sampling temperature; empty: the model's own."
    )
    model_max_steps: int = Field(4, ge=1, le=12, description="How many times the model may search before it answers.")
    model_input_price: float = Field(0.0, ge=0, description="Price of a million input tokens, for the cost in traces.")
    model_output_price: float = Field(0.0, ge=0, description="Price of a million output tokens.")
    tracing: bool = Field(False, description="Let LangChain send traces to LangSmith. Off: its variables are ignored.")

    quiet_s: float = Field(1.2, ge=0, le=60, description="How long a person must be quiet before a burst is answered.")
    burst_s: float = Field(8.0, ge=0, le=300, description="The longest a burst is waited for.")
    attempts: int = Field(
        5, ge=1, le=50, description="How often a message is tried before an apology goes out instead."
    )
    sends_per_second: float = Field(
        0.0, ge=0, description="Messages an account may send each second; 0 keeps the platform's own limits."
    )
    sends_at_once: int = Field(
        1,
        ge=1,
        le=100,
        description="Sends under way per account where a platform knows no repeats; more is faster, and more may come "
        "twice after a crash.",
    )
    embedder: bool = Field(True, description="Search by meaning too (about 60 MB of memory); off: by words alone.")
    samples: bool = Field(True, description="Make the two sample personas on the first start.")
    telegram_api: str = Field(
        "https://api.telegram.org",
        description="The Bot API server for new Telegram accounts; your own one, if you run it.",
    )
    region: str = Field("", description="Two-letter country of most visitors, for the right crisis help lines.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR. Logs never hold what people write.")
    drain_s: float = Field(20.0, ge=0, description="How long a stopping server finishes what it has begun.")

    @field_validator("public_url", "model_url", "telegram_api")
    @classmethod
    def _is_http(cls, value: str) -> str:
        value = value.strip().rstrip("/")
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value

    @property
    def has_model(self) -> bool:
        """Whether a chat model is configured."""
        return bool(self.model_url and self.model_name)

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach the pages over HTTPS."""
        return self.public_url.startswith("https://")

    def shown(self) -> dict[str, str]:
        """Return every setting as text for people, secrets reduced to whether they are set."""
        found: dict[str, str] = {}
        for name in type(self).model_fields:
            value: Any = getattr(self, name)
            if isinstance(value, SecretStr):
                value = "(set)" if value.get_secret_value() else "(not set)"
            found[f"MEMORAS_{name.upper()}"] = str(value)
        return found


class SettingsInvalid(Exception):
    """A setting is wrong; the message names it and says what it must be."""


def read_settings(**overrides: Any) -> Settings:
    """Return the settings of the environment, `overrides` first.

    Raises:
        SettingsInvalid: naming each wrong setting without its value.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = "; ".join(
            f"MEMORAS_{str(problem['loc'][0]).upper()}: {problem['msg']}" for problem in error.errors()
        )
        raise SettingsInvalid(f"{problems}. See docs/settings.md.") from None
