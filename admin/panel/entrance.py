"""The entrance: the first owner, signing in and signing out."""

from __future__ import annotations

import re

from aiohttp import web

from admin.desk import Desk, see_other
from admin.errors import FormInvalid
from admin.form import Form

SHORTEST_PASSWORD = 10
_INSIDE = re.compile(r"/admin(?:[/?][!-\[\]-~]*)?")


class EntrancePages:
    """The pages before the panel."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes of these pages."""
        return [
            web.get("/admin/setup", self.show_setup),
            web.post("/admin/setup", self.set_up),
            web.get("/admin/sign-in", self.show_sign_in),
            web.post("/admin/sign-in", self.sign_in),
            web.post("/admin/sign-out", self.sign_out),
        ]

    async def show_setup(self, request: web.Request) -> web.StreamResponse:
        """Show the form for the first owner; the sign-in page once there is one."""
        if await self._desk.gate.has_operators():
            return see_other("/admin/sign-in")
        return await self._page(request, "panel/setup.html")

    async def set_up(self, request: web.Request) -> web.StreamResponse:
        """Make the first owner and sign them in."""
        form = await self._desk.gate.open_form(request)
        try:
            name = form.text("name", most=60)
            code = form.text("code", most=200)
            password = new_password(form)
            form.check()
            operator = await self._desk.gate.set_up(name, password, code)
        except FormInvalid as error:
            return await self._page(request, "panel/setup.html", form=form, error=error)
        response = see_other("/admin")
        await self._desk.gate.open_session(request, response, operator)
        return response

    async def show_sign_in(self, request: web.Request) -> web.StreamResponse:
        """Show the sign-in form."""
        onward = local_path(request.query.get("next", ""))
        if await self._desk.gate.signed_in(request) is not None:
            return see_other(onward)
        if not await self._desk.gate.has_operators():
            return see_other("/admin/setup")
        return await self._page(request, "panel/sign_in.html", onward=onward)

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        """Sign in and go on to where the operator wanted."""
        form = await self._desk.gate.open_form(request)
        onward = local_path(form.text("next", most=2000, is_required=False))
        try:
            name, password = form.text("name", most=60), form.secret("password")
            form.check()
            operator = await self._desk.gate.sign_in(request, name, password)
        except FormInvalid as error:
            return await self._page(request, "panel/sign_in.html", form=form, error=error, onward=onward)
        response = see_other(onward)
        await self._desk.gate.open_session(request, response, operator)
        return response

    async def sign_out(self, request: web.Request) -> web.StreamResponse:
        """Sign this browser out."""
        if await self._desk.gate.signed_in(request) is None:
            return see_other("/admin/sign-in")
        await self._desk.gate.form(request, "reader")
        response = see_other("/admin/sign-in")
        await self._desk.gate.close_session(request, response)
        return response

    async def _page(
        self,
        request: web.Request,
        template: str,
        *,
        form: Form | None = None,
        error: FormInvalid | None = None,
        onward: str = "",
    ) -> web.Response:
        token = self._desk.gate.form_token(request)
        response = await self._desk.public_page(
            request,
            template,
            status=error.status if error else 200,
            form_token=token,
            values=form.values if form else {},
            errors=error.fields if error else {},
            onward=onward,
            least=SHORTEST_PASSWORD,
        )
        self._desk.gate.keep_form_token(response, token)
        response.headers["Cache-Control"] = "no-store"
        return response


def new_password(form: Form) -> str:
    """Return a new password that was typed twice the same."""
    password = form.secret("password", least=SHORTEST_PASSWORD)
    if not form.errors.get("password") and form.secret("password_again") != password:
        form.errors |= {"password_again": "The two passwords are not the same."}
    return password


def local_path(path: str) -> str:
    """Return a path inside the panel to go on to; the panel's home for anything else."""
    return path if _INSIDE.fullmatch(path) else "/admin"
