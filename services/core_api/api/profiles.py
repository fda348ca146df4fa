"""Profiles and their KYC over HTTP. Parses, calls, answers; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints
from starlette.responses import Response

from contracts.customer.v1 import KycVerdict, ProfileCreated, ProfileKind
from services.core_api.domain.profiles import (
    AccountRequired,
    AccountUnexpected,
    CreateProfile,
    DecideKyc,
    KycAlreadyDecided,
    KycApproved,
    KycPending,
    KycRejected,
    ProfileIdReused,
    ProfileNotFound,
    admit,
)
from services.core_api.ports import Gate
from services.kernel.bulk import Refused, answering, commit, commit_item
from services.kernel.codec import encode
from services.kernel.decider import Answer, Ask, Meta, Outcome, RequestKey, Unit
from services.kernel.engine import Engine
from services.kernel.group_commit import GroupCommit
from services.kernel.http import json_reply, meta, reply
from services.kernel.idempotency import request_key
from services.kernel.problem import rejection
from services.kernel.rejected import Rejected
from services.kernel.routing import Request, Router
from services.kernel.sealed import Sealed
from services.kernel.strict_json import Body, Line, parse, read_uuid
from services.kernel.tokens import Principal, Tokens, require
from services.kernel.vault import Erased, Vault

Known = KycPending | KycApproved | KycRejected


class ProfileRequest(Body):
    """Somebody whom you send for, or to."""

    kind: ProfileKind
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] = Field(description="ISO 3166 alpha-2")
    name: Annotated[Line, Field(max_length=140)] = Field(description="as at the bank (ISO 20022 Max140Text)")
    account: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{4,34}$")] | None = Field(
        default=None, description="of a receiver: IBAN or local number, without blanks (ISO 20022 Max34Text)"
    )


class ProfileReply(Body):
    """A profile. Its name and account are shown by GET, in full to their owner, masked to an operator."""

    profile_id: UUID
    customer_id: UUID
    kind: ProfileKind
    country: str
    kyc: Literal["pending", "approved", "rejected"]
    created_at: datetime
    name: str | None = None
    account: str | None = None


class KycRequest(Body):
    """What was decided and why. The reason is kept with the event: no personal data in it."""

    verdict: KycVerdict
    reason: Annotated[Line, Field(max_length=200)]


def mask(text: str, shown: int) -> str:
    """All but the last `shown` characters hidden; of short texts at least half."""
    shown = min(shown, len(text) // 2)
    return "*" * (len(text) - shown) + text[len(text) - shown :]


def mask_name(name: str) -> str:
    """Initials."""
    return " ".join(word[0] + "***" for word in name.split())


def view(state: Known) -> dict[str, Any]:
    """A profile without what is personal: fit to be stored under a request key."""
    known = state.profile
    return {
        "profile_id": known.profile_id,
        "customer_id": known.customer_id,
        "kind": known.kind,
        "country": known.country,
        "kyc": state.kyc,
        "created_at": known.created_at,
    }


def facts(state: Known) -> dict[str, Any]:
    """A profile for our other services; what is personal stays sealed."""
    return view(state) | {"name": state.profile.name, "account": state.profile.account}


def created(outcome: Outcome) -> Answer:
    """201 with the profile as it stands."""
    return 201, encode(view(outcome.heads[0].state))


def decided(outcome: Outcome) -> Answer:
    """200 with the profile as it stands."""
    return 200, encode(view(outcome.heads[0].state))


class Profiles:
    """What the routes need: one object, built in __main__."""

    def __init__(self, commands: GroupCommit, reads: Engine, vault: Vault) -> None:
        self._commands = commands
        self._reads = reads
        self._vault = vault

    async def create(self, body: ProfileRequest, key: RequestKey, asked: Meta, principal: Principal) -> Outcome:
        """Judge, look the key up, seal, then ask: no command and no event holds a name or an account that can be read.

        Sealing makes a key for the person, for ever: nothing is sealed for what is refused or was answered before.
        A profile may be there although the key tells nothing: request keys expire, and the profile's id follows from
        the key. Then what was sealed first is compared. That refusal is not stored: it would take the key from the
        request that made the profile. Raises ProfileIdReused.
        """
        told = await self._told(body, key, asked)
        if told.answer is not None or told.refusal is not None:
            return told
        profile_id = key.derive("profile")
        standing = await self._standing(profile_id, principal.tenant)
        if standing is None:
            name, account = await self._seal(principal.tenant, profile_id, body)
        elif await self._holds(standing.profile, body, principal.tenant):
            name, account = standing.profile.name, standing.profile.account
        else:
            return await commit_item(self._commands, Refused(asked, key, ProfileIdReused(profile_id)))
        command = CreateProfile(
            profile_id=profile_id,
            customer_id=principal.subject,
            kind=body.kind,
            country=body.country,
            name=name,
            account=account,
        )
        unit = Unit((Ask(profile_id, command),), asked, key, answer=answering(created))
        return (await commit(self._commands, [unit]))[0]

    async def _told(self, body: ProfileRequest, key: RequestKey, asked: Meta) -> Outcome:
        """What the key was answered before, or the refusal that the request gets now and for ever."""
        try:
            admit(body.kind, has_account=body.account is not None)
        except Rejected as refusal:
            refused = rejection(refusal)
            unit = Unit((), asked, key, answer=lambda _: refused)
        else:
            unit = Unit((), asked, key)
        return (await commit(self._commands, [unit]))[0]

    async def _holds(self, profile: ProfileCreated, body: ProfileRequest, tenant: str) -> bool:
        """Whether it was made with this body. Of a person who was forgotten no name and no account can differ."""
        if (profile.kind, profile.country) != (body.kind, body.country):
            return False
        name, account = await self._open(tenant, profile)
        return name is None or (name, account) == (body.name, body.account)

    async def _seal(self, tenant: str, profile_id: UUID, body: ProfileRequest) -> tuple[Sealed, Sealed | None]:
        items = [(profile_id, "name", body.name)]
        if body.account is not None:
            items.append((profile_id, "account", body.account))
        sealed = await self._vault.seal_many(tenant, items)
        return sealed[0], sealed[1] if len(sealed) > 1 else None

    async def decide(self, profile_id: UUID, body: KycRequest, asked: Meta) -> Outcome:
        """Looked up first: the engine takes a profile of another tenant for a bug of ours."""
        await self._known(profile_id, asked.tenant)
        command = DecideKyc(profile_id=profile_id, verdict=body.verdict)
        unit = Unit((Ask(profile_id, command),), asked, answer=answering(decided))
        return (await commit(self._commands, [unit]))[0]

    async def find(self, profile_id: UUID, principal: Principal) -> dict[str, Any]:
        """The profile with its name and account as this caller may see them. Raises ProfileNotFound."""
        state = await self._known(profile_id, principal.tenant)
        owner = state.profile.customer_id == principal.subject
        if not owner and principal.roles.isdisjoint({"operator", "admin"}):
            raise ProfileNotFound(profile_id)
        name, account = await self._open(principal.tenant, state.profile)
        if not owner:
            name, account = name and mask_name(name), account and mask(account, 4)
        return view(state) | {"name": name, "account": account}

    async def facts(self, tenant: str, profile_ids: Sequence[UUID]) -> dict[UUID, Any]:
        """Those of the profiles that exist in this tenant."""
        found = await self._reads.heads(profile_ids)
        return {
            profile_id: facts(state)
            for profile_id, (head, state) in found.items()
            if head.tenant == tenant and isinstance(state, Known)
        }

    async def _known(self, profile_id: UUID, tenant: str) -> Known:
        state = await self._standing(profile_id, tenant)
        if state is None:
            raise ProfileNotFound(profile_id)
        return state

    async def _standing(self, profile_id: UUID, tenant: str) -> Known | None:
        head, state = (await self._reads.heads([profile_id])).get(profile_id, (None, None))
        return state if head is not None and head.tenant == tenant and isinstance(state, Known) else None

    async def _open(self, tenant: str, profile: ProfileCreated) -> tuple[str | None, str | None]:
        """Both None once the person was forgotten."""
        items = [(profile.name, "name")] + ([(profile.account, "account")] if profile.account else [])
        try:
            opened = await self._vault.open_many(tenant, items)
        except Erased:
            return None, None
        return opened[0], opened[1] if len(opened) > 1 else None


def profile_routes(profiles: Profiles, gate: Gate, tokens: Tokens) -> Router:
    """/v1/profiles."""
    router = Router()

    @router.post(
        "/v1/profiles", body=ProfileRequest, reply=ProfileReply,
        problems=(AccountRequired, AccountUnexpected, ProfileIdReused),
    )  # fmt: skip
    async def post_profile(request: Request) -> Response:
        """A sender or a receiver; KYC is pending until we have decided it. Needs an Idempotency-Key."""
        principal = tokens.authenticate(request.headers)
        require(principal, "customer")
        gate.judge_anybody()
        raw = await request.body()
        key = request_key(request, principal, raw)
        return reply(await profiles.create(parse(raw, ProfileRequest), key, meta(principal), principal))

    @router.get("/v1/profiles/{profile_id}", reply=ProfileReply, problems=(ProfileNotFound,))
    async def get_profile(request: Request) -> Response:
        """A profile of yours, or for an operator any, masked."""
        principal = tokens.authenticate(request.headers)
        return json_reply(await profiles.find(read_uuid(request.path_params["profile_id"]), principal))

    @router.post(
        "/v1/profiles/{profile_id}/kyc", status=200, body=KycRequest, reply=ProfileReply,
        problems=(ProfileNotFound, KycAlreadyDecided),
    )  # fmt: skip
    async def post_kyc(request: Request) -> Response:
        """An operator's verdict. The same one again changes nothing."""
        principal = tokens.authenticate(request.headers)
        require(principal, "operator")
        body = parse(await request.body(), KycRequest)
        profile_id = read_uuid(request.path_params["profile_id"])
        return reply(await profiles.decide(profile_id, body, meta(principal, body.reason)))

    return router
