"""Maintenance mode: an admin closes the door for what customers would change, and every replica knows within 2 s."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from services.core_api.domain.maintenance import Maintenance, Off, On, ReasonRequired, SwitchMaintenance
from services.core_api.handlers import maintenance_id
from services.kernel.bulk import commit
from services.kernel.decider import Ask, Unit
from services.kernel.engine import Engine
from services.kernel.group_commit import GroupCommit
from services.kernel.http import json_reply, meta, reply
from services.kernel.problem import Problem, unavailable
from services.kernel.routing import Request, Router
from services.kernel.strict_json import Body, parse
from services.kernel.telemetry import logger
from services.kernel.tokens import Principal, Tokens, require

LOOK_SECONDS = 1.0  # another replica's switch is seen within twice this
RETRY_SECONDS = 30  # what we ask customers to wait
REASON_CHARS_MAX = 200
_STAFF = frozenset({"operator", "admin"})
_LOG = logger("maintenance")


class MaintenanceRequest(Body):
    """On or off, and why. Who is taken from the token; the reason is kept with the event."""

    enabled: bool
    reason: str = Field(default="", max_length=REASON_CHARS_MAX, examples=["database upgrade"])


class MaintenanceReply(Body):
    """How it stands, who said so, why and since when; nulls when it never was on."""

    enabled: bool
    reason: str | None
    by: UUID | None
    since: datetime | None


class MaintenanceGate:
    """See ports.Gate. Before it was read for the first time, whoever changes something is asked to come again."""

    def __init__(self, commands: GroupCommit, reads: Engine, tokens: Tokens, tenant: str) -> None:
        self.closed = True
        self._known = False
        self._switched = 0  # times, here: a look that began before the last one comes too late
        self._state: Maintenance = None
        self._commands = commands
        self._reads = reads
        self._tokens = tokens
        self._stream = maintenance_id(tenant)

    def judge(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """As the port says. Staff go on; a token that is not valid is refused where it is judged, with 401."""
        authorization = next((value for name, value in headers if name == b"authorization"), b"")
        try:
            principal = self._tokens.authenticate({"authorization": authorization.decode("latin-1")})
        except Problem:
            return
        if principal.roles.isdisjoint(_STAFF):
            self._refuse()

    def judge_anybody(self) -> None:
        """As the port says."""
        if self.closed:
            self._refuse()

    def _refuse(self) -> NoReturn:
        if not self._known:
            raise unavailable("Not ready yet: it is not known whether there is maintenance.")
        retry_after = (b"retry-after", b"%d" % RETRY_SECONDS)
        detail = "Maintenance: nothing was changed. Reading goes on; send the same request again later."
        raise Problem(503, "maintenance", detail, headers=(retry_after,))

    async def look(self) -> None:
        """How it stands in the store."""
        switched = self._switched
        found = await self._reads.heads([self._stream])
        if switched == self._switched:
            self._is(found[self._stream][1] if self._stream in found else None)

    def _is(self, state: Maintenance) -> None:
        if self._known and isinstance(state, On) != self.closed:
            _LOG.warning("maintenance", enabled=isinstance(state, On))
        self._state, self._known, self.closed = state, True, isinstance(state, On)

    async def watch(self) -> None:
        """Look again and again; while the database is away it stays as it was. Ends only with its task."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - whatever it is, the door stays as it was
                _LOG.warning("maintenance_not_read", error=type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def switch(self, wish: MaintenanceRequest, principal: Principal) -> Response:
        """Done here at once, by the other replicas at their next look."""
        reason = wish.reason.strip()
        command = SwitchMaintenance(
            maintenance_id=self._stream, enabled=wish.enabled, by=principal.subject, reason=reason
        )  # fmt: skip
        unit = Unit((Ask(self._stream, command),), meta(principal, reason))
        (outcome,) = await commit(self._commands, [unit])
        if not outcome.heads:
            return reply(outcome)
        self._switched += 1
        self._is(outcome.heads[0].state)
        return json_reply(view(self._state))

    async def shown(self) -> Response:
        """As the store has it now."""
        await self.look()
        return json_reply(view(self._state))


def view(state: Maintenance) -> dict[str, Any]:
    """MaintenanceReply."""
    match state:
        case On(started):
            return {"enabled": True, "reason": started.reason, "by": started.started_by, "since": started.started_at}
        case Off(ended):
            return {"enabled": False, "reason": ended.reason, "by": ended.ended_by, "since": ended.ended_at}
        case None:
            return {"enabled": False, "reason": None, "by": None, "since": None}


def maintenance_routes(gate: MaintenanceGate, tokens: Tokens) -> Router:
    """/v1/admin/maintenance."""
    router = Router()

    @router.get("/v1/admin/maintenance", reply=MaintenanceReply)
    async def get_maintenance(request: Request) -> Response:
        """Whether customers may change anything now; who said so, why, and since when."""
        require(tokens.authenticate(request.headers), "operator", "admin")
        return await gate.shown()

    @router.post("/v1/admin/maintenance", status=200, body=MaintenanceRequest, reply=MaintenanceReply,
                 keyed=False, problems=(ReasonRequired,))  # fmt: skip
    async def post_maintenance(request: Request) -> Response:
        """Switch it on or off. What it is already changes nothing, and the first reason stays."""
        principal = tokens.authenticate(request.headers)
        require(principal, "admin")
        return await gate.switch(parse(await request.body(), MaintenanceRequest), principal)

    return router
