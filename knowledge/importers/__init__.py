"""The importers: one file per kind of export, behind one contract. None is loaded before it is needed.

An installed package adds one by an entry point of the group `memoras.importers`: a name, and a class that is an
`Importer` and takes no arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module, metadata

from knowledge.importers.contract import Importer
from knowledge.importers.tree import SafeTree, TreeView

ENTRY_POINTS = "memoras.importers"

_BUILT_IN = {
    "instagram": "knowledge.importers.instagram:Instagram",
    "whatsapp": "knowledge.importers.whatsapp:WhatsApp",
    "documents": "knowledge.importers.documents:Documents",
}


@dataclass(frozen=True, slots=True)
class Share:
    """What one importer takes of an import."""

    importer: Importer
    view: TreeView
    score: float


def names() -> list[str]:
    """Return the names of every importer there is, also of installed packages."""
    return [*_BUILT_IN, *(point.name for point in _points() if point.name not in _BUILT_IN)]


def make_importer(name: str) -> Importer:
    """Return a new importer of this name.

    Raises:
        LookupError: when there is none.
    """
    if name in _BUILT_IN:
        module, _, class_name = _BUILT_IN[name].partition(":")
        made: Importer = getattr(import_module(module), class_name)()
        return made
    for point in _points():
        if point.name == name:
            added: Importer = point.load()()
            return added
    raise LookupError(f"there is no importer called {name}")


def recognise(tree: SafeTree) -> tuple[list[Share], list[str]]:
    """Share a tree out among the importers, the surest first; return the shares and the members nobody takes."""
    left = [member.path for member in tree.members()]
    sure: list[tuple[float, int, Importer]] = []
    whole = TreeView(tree, left)
    for place, name in enumerate(names()):
        importer = make_importer(name)
        score = importer.recognises(whole)
        if score > 0:
            sure.append((-score, place, importer))
    shares: list[Share] = []
    for negative, _, importer in sorted(sure, key=lambda one: one[:2]):
        view = TreeView(tree, left)
        claimed = set(importer.claims(view))
        if claimed:
            shares.append(Share(importer, TreeView(tree, claimed), -negative))
            left = [path for path in left if path not in claimed]
    return shares, left


def _points() -> list[metadata.EntryPoint]:
    return sorted(metadata.entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
