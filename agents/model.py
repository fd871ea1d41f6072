"""The chat model: any OpenAI-compatible endpoint, asked through langchain-openai.

NOTE FOR THE TEAM: this file, agents/analyst.py, agents/prompts/ and tests/platforms/openai.py are being written by
the helper MODEL (to take work off AGENTS, who keeps the graph, the offline answerer and the guards).
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass

from pydantic import SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Which model to ask and how long. Prices are per million tokens, in whatever currency the operator counts."""

    base_url: str
    api_key: SecretStr
    name: str
    timeout_s: float = 60.0
    max_steps: int = 4
    input_price: float = 0.0
    output_price: float = 0.0
    temperature: float | None = None


def quiet_tracing(environ: MutableMapping[str, str]) -> None:
    """Switch off LangChain's tracing variables, so that no conversation leaves this machine unasked."""
    for name in ("LANGSMITH_GATEWAY", "LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2"):
        environ[name] = "false"
