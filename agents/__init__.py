"""The agents: from a turn to an answer. They never hear of a platform."""
