"""The media of one account: bytes by their hash, and the ids under which the platform already has them."""

from __future__ import annotations

import asyncio

from knowledge.database import Database
from knowledge.media import MediaFolder, platform_id


class AccountMedia:
    """What an adapter reads when it sends media."""

    def __init__(self, account_id: str, *, database: Database, folder: MediaFolder) -> None:
        self._account_id = account_id
        self._database = database
        self._folder = folder

    async def read(self, sha256: str) -> bytes:
        return await asyncio.to_thread(self._folder.read, sha256)

    async def platform_id(self, sha256: str) -> str | None:
        return await self._database.read(lambda c: platform_id(c, self._account_id, sha256))
