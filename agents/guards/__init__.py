"""Guards: each is one function that reads a text and returns a verdict. They never change anything themselves."""

from agents.guards.verdict import Guard, Side, Span, Surface, Verdict, installed_guards, without_spans

__all__ = ["Guard", "Side", "Span", "Surface", "Verdict", "installed_guards", "without_spans"]
