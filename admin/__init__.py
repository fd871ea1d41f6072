"""The pages: the public ones to talk on, and the panel for those who curate a persona."""
