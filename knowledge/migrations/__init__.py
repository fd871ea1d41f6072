"""The steps from one form of the database to the next; `python -m knowledge.migrations` writes a new one."""
