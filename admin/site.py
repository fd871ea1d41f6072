"""The whole site: every page, the static files, the errors and the headers, to be put into one application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from admin.assets import Assets
from admin.auth import Gate
from admin.desk import Desk
from admin.headers import Headers
from admin.mishaps import Mishaps
from admin.panel import panel_routes
from admin.ports import Services
from admin.public import PublicPages
from admin.rendering import environment

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The pages, as an application takes them."""

    routes: list[web.AbstractRouteDef]
    middlewares: list[Middleware]
    on_response_prepare: Callable[[web.Request, web.StreamResponse], Awaitable[None]]

    def add_to(self, application: web.Application) -> None:
        """Put everything into an application."""
        application.middlewares.extend(self.middlewares)
        application.on_response_prepare.append(self.on_response_prepare)
        application.add_routes(self.routes)


def make_site(services: Services) -> Site:
    """Return the site built on these services."""
    assets = Assets(_HERE / "static")
    desk = Desk(services, Gate(services), environment(_HERE / "templates", assets.url, services.said_html))
    return Site(
        routes=[*assets.routes(), *PublicPages(desk).routes(), *panel_routes(desk)],
        middlewares=[Mishaps(desk).middleware],
        on_response_prepare=Headers(is_secure=services.is_secure).prepare,
    )
