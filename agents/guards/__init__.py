"""The guards: plain functions that look at a text before and after the answer is made."""
