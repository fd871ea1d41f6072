"""The top floor: builds everything once, runs it, and moves messages between channels and agents."""
