"""The channels: one adapter per platform, and the words they share. No persona, memory or model is known here."""
