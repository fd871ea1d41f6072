"""Operators: who may sign in, with which role, and one's own password."""

from __future__ import annotations

from aiohttp import web

from admin.desk import Desk, see_other
from admin.errors import FormInvalid
from admin.form import Form
from admin.panel.entrance import SHORTEST_PASSWORD, new_password
from knowledge import operators
from knowledge.errors import Conflict

ROLE_CHOICES = (
    ("owner", "Owner", "May do everything, also connect accounts and add operators."),
    ("curator", "Curator", "May change memories, people, imports and personas."),
    ("reader", "Reader", "May look at everything and change nothing."),
)


class OperatorPages:
    """The list of operators, the form for a new one, and one's own password."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes of these pages."""
        return [
            web.get("/admin/operators", self.listing),
            web.post("/admin/operators", self.add),
            web.get("/admin/password", self.show_password),
            web.post("/admin/password", self.change_password),
        ]

    async def listing(self, request: web.Request) -> web.Response:
        """Show everybody who may sign in."""
        return await self._listing(request)

    async def add(self, request: web.Request) -> web.Response:
        """Add an operator."""
        form = await self._desk.gate.form(request, "owner")
        try:
            name = form.text("name", most=60)
            role = form.choice("role", operators.ROLES)
            password = new_password(form)
            form.check()
            password_hash = await self._desk.gate.hash_password(password)
            at = self._desk.now()
            await self._desk.write(
                lambda c: operators.create_operator(c, name=name, password_hash=password_hash, role=role, at=at)
            )
        except FormInvalid as error:
            return await self._listing(request, form, error)
        except Conflict as error:
            taken = FormInvalid(str(error), fields={"name": str(error)})
            return await self._listing(request, form, taken)
        return await self._desk.done(request, "/admin/operators", f"{name} can sign in now.")

    async def show_password(self, request: web.Request) -> web.Response:
        """Show the form for one's own password."""
        return await self._desk.panel_page(request, "panel/password.html", here="operators", least=SHORTEST_PASSWORD)

    async def change_password(self, request: web.Request) -> web.Response:
        """Change one's own password; every browser must sign in again."""
        form = await self._desk.gate.form(request, "reader")
        signed_in = await self._desk.gate.need(request)
        operator = signed_in.operator
        try:
            current, password = form.secret("password_now"), new_password(form)
            form.check()
            await self._check_current(request, operator.name, current)
        except FormInvalid as error:
            return await self._desk.panel_page(
                request, "panel/password.html", here="operators", error=error, least=SHORTEST_PASSWORD
            )
        password_hash = await self._desk.gate.hash_password(password)
        await self._desk.write(lambda c: operators.set_password(c, operator.id, password_hash))
        response = see_other("/admin")
        await self._desk.gate.open_session(request, response, operator)
        return response

    async def _check_current(self, request: web.Request, name: str, password: str) -> None:
        try:
            await self._desk.gate.sign_in(request, name, password)
        except FormInvalid as error:
            words = error.fields["password"].replace("The name or the password", "This password")
            raise FormInvalid(str(error), fields={"password_now": words}) from error

    async def _listing(
        self, request: web.Request, form: Form | None = None, error: FormInvalid | None = None
    ) -> web.Response:
        await self._desk.gate.need(request)
        return await self._desk.panel_page(
            request,
            "panel/operators.html",
            here="operators",
            error=error,
            operators=await self._desk.read(operators.operators),
            roles=ROLE_CHOICES,
            values=form.values if form else {},
            least=SHORTEST_PASSWORD,
        )
