"""The panel: where the people who look after the personas see and change everything."""

from __future__ import annotations

from aiohttp import web

from admin.desk import Desk
from admin.panel.accounts import AccountPages
from admin.panel.conversations import ConversationPages
from admin.panel.entrance import EntrancePages
from admin.panel.home import HomePages
from admin.panel.imports import ImportPages
from admin.panel.live import LiveStream
from admin.panel.memories import MemoryPages
from admin.panel.operators import OperatorPages
from admin.panel.people import PeoplePages
from admin.panel.personas import PersonaPages
from admin.panel.profiles import ProfilePages

_PAGES = (
    EntrancePages,
    HomePages,
    OperatorPages,
    PersonaPages,
    ProfilePages,
    ConversationPages,
    MemoryPages,
    PeoplePages,
    ImportPages,
    AccountPages,
    LiveStream,
)


def panel_routes(desk: Desk) -> list[web.AbstractRouteDef]:
    """Return the routes of the whole panel."""
    return [route for pages in _PAGES for route in pages(desk).routes()]
