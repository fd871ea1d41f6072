"""The settings of the channels that have no platform behind them: there is nothing to set."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class WebSettings(BaseModel):
    """The talk page."""

    model_config = ConfigDict(title="Web page")


class TerminalSettings(BaseModel):
    """The talk in the terminal."""

    model_config = ConfigDict(title="Terminal")
