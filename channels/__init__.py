"""The channels: one adapter per platform, and the words they share. No persona, memory or model is known here."""

CHANNELS = {
    "web": ("channels.web:WebAdapter", "channels.own_settings:WebSettings"),
    "terminal": ("channels.terminal:TerminalAdapter", "channels.own_settings:TerminalSettings"),
    "telegram": ("channels.telegram:TelegramAdapter", "channels.telegram_settings:TelegramSettings"),
}
"""name -> (adapter, settings), both as "module:class". The settings' module must not import the platform's SDK."""
