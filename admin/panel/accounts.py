"""Accounts in the panel: where a persona can be reached, and connecting it to one more place."""

from __future__ import annotations

from aiohttp import web

from admin.desk import Desk
from admin.errors import FormInvalid, PageNotFound
from admin.form import Form
from admin.ports import ChannelForm, FormField
from knowledge import accounts
from knowledge.tables import Account, Persona

CHANNELS = {"web": "Web page", "terminal": "Terminal", "telegram": "Telegram"}
_OWN = ("web", "terminal")


class AccountPages:
    """The accounts of one persona."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._channels = desk.services.channels

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes of these pages."""
        base = "/admin/personas/{slug}/accounts"
        return [
            web.get(base, self.listing),
            web.get(base + "/connect/{channel}", self.show_form),
            web.post(base + "/connect/{channel}", self.connect),
            web.get(base + "/{account_id}/pace", self.show_pace),
            web.post(base + "/{account_id}/pace", self.set_pace),
            web.post(base + "/{account_id}/check", self.check),
            web.post(base + "/{account_id}/switch", self.switch),
            web.post(base + "/{account_id}/remove", self.remove),
        ]

    async def listing(self, request: web.Request) -> web.Response:
        """Show where the persona can be reached."""
        await self._desk.gate.need(request)
        persona = await self._desk.persona(request)
        return await self._desk.panel_page(
            request,
            "panel/accounts.html",
            here="accounts",
            persona=persona,
            accounts=await self._desk.read(lambda c: accounts.accounts(c, persona.id)),
            forms=self._channels.forms(),
            titles=CHANNELS | {form.channel: form.title for form in self._channels.forms()},
            own=_OWN,
            public_url=self._desk.services.public_url,
        )

    async def show_form(self, request: web.Request) -> web.Response:
        """Show how an account of one channel is connected."""
        await self._desk.gate.need(request, "owner")
        persona = await self._desk.persona(request)
        return await self._form(request, persona, self._wanted(request))

    async def connect(self, request: web.Request) -> web.Response:
        """Check what was filled in against the platform, and connect."""
        form = await self._desk.gate.form(request, "owner")
        persona = await self._desk.persona(request)
        channel = self._wanted(request)
        try:
            values = _values(form, channel)
            form.check()
            _, check = await self._channels.connect(persona.id, channel.channel, values)
        except FormInvalid as error:
            return await self._form(request, persona, channel, form, error)
        words = f"{channel.title} is connected. {check.summary} {check.next_step}".strip()
        return await self._desk.done(request, _address(persona), words, kind="good" if check.is_ok else "warn")

    async def check(self, request: web.Request) -> web.Response:
        """Try an account's credentials."""
        await self._desk.gate.form(request)
        persona, account = await self._account(request)
        check = await self._channels.check(account.id)
        words = f"{check.summary} {check.next_step}".strip()
        return await self._desk.done(request, _address(persona), words, kind="good" if check.is_ok else "bad")

    async def show_pace(self, request: web.Request) -> web.Response:
        """Show how long an account waits for somebody to finish."""
        await self._desk.gate.need(request, "owner")
        persona, account = await self._account(request)
        values = {"quiet_s": _seconds(account.quiet_s), "burst_s": _seconds(account.burst_s)}
        return await self._pace(request, persona, account, values)

    async def set_pace(self, request: web.Request) -> web.Response:
        """Change how long an account waits for somebody to finish."""
        form = await self._desk.gate.form(request, "owner")
        persona, account = await self._account(request)
        try:
            quiet_s = form.seconds("quiet_s", most=60)
            burst_s = form.seconds("burst_s", most=300)
            form.check()
        except FormInvalid as error:
            return await self._pace(request, persona, account, form.values, error)
        await self._desk.write(
            lambda c: accounts.update_account(c, account.id, name=account.name, quiet_s=quiet_s, burst_s=burst_s)
        )
        if account.state == "on":  # it starts again with its new pace
            await self._channels.switch(account.id, is_on=True)
        return await self._desk.done(request, _address(persona), "It waits as you said.")

    async def switch(self, request: web.Request) -> web.Response:
        """Start or stop an account."""
        form = await self._desk.gate.form(request, "owner")
        persona, account = await self._account(request)
        is_on = form.text("to", is_required=False) == "on"
        await self._channels.switch(account.id, is_on=is_on)
        return await self._desk.done(request, _address(persona), "Switched on." if is_on else "Switched off.")

    async def remove(self, request: web.Request) -> web.Response:
        """Disconnect an account and delete its credentials."""
        await self._desk.gate.form(request, "owner")
        persona, account = await self._account(request)
        if account.channel in _OWN:
            return await self._desk.done(
                request, _address(persona), "This one belongs to the persona. Switch it off instead.", kind="bad"
            )
        await self._channels.remove(account.id)
        return await self._desk.done(request, _address(persona), "Disconnected. Its conversations stay readable.")

    def _wanted(self, request: web.Request) -> ChannelForm:
        wanted = request.match_info["channel"]
        found = next((form for form in self._channels.forms() if form.channel == wanted), None)
        if found is None:
            raise PageNotFound("This channel cannot be connected here.")
        return found

    async def _account(self, request: web.Request) -> tuple[Persona, Account]:
        persona = await self._desk.persona(request)
        account_id = request.match_info["account_id"]
        account = await self._desk.read(lambda c: accounts.account(c, account_id))
        if account.persona_id != persona.id or account.state == "removed":
            raise PageNotFound("This persona has no such account.")
        return persona, account

    async def _pace(
        self,
        request: web.Request,
        persona: Persona,
        account: Account,
        values: dict[str, str],
        error: FormInvalid | None = None,
    ) -> web.Response:
        return await self._desk.panel_page(
            request,
            "panel/pace.html",
            here="accounts",
            persona=persona,
            error=error,
            account=account,
            title=CHANNELS.get(account.channel, account.channel),
            values=values,
        )

    async def _form(
        self,
        request: web.Request,
        persona: Persona,
        channel: ChannelForm,
        form: Form | None = None,
        error: FormInvalid | None = None,
    ) -> web.Response:
        secret = {field.name for field in channel.fields if field.is_secret}
        values = {field.name: field.default for field in channel.fields}
        values |= {name: value for name, value in (form.values if form else {}).items() if name not in secret}
        return await self._desk.panel_page(
            request,
            "panel/connect.html",
            here="accounts",
            persona=persona,
            error=error,
            channel=channel,
            needed=[field for field in channel.fields if _is_needed(field)],
            further=[field for field in channel.fields if not _is_needed(field)],
            values=values,
        )


def _address(persona: Persona) -> str:
    return f"/admin/personas/{persona.slug}/accounts"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _is_needed(field: FormField) -> bool:
    """Return whether there is nothing to go by unless a person fills it in."""
    return field.is_required and not field.default


def _values(form: Form, channel: ChannelForm) -> dict[str, str]:
    values = {}
    for field in channel.fields:
        if field.choices:
            chosen = [value for value, _ in field.choices]
            values[field.name] = form.choice(field.name, chosen, default=field.default or None)
        else:
            values[field.name] = form.text(field.name, most=1000, is_required=field.is_required)
    return values
