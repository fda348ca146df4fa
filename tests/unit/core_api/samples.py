"""A customer, a sender and a receiver of theirs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from contracts.customer.v1 import KycDecided, ProfileCreated, UserRegistered
from services.core_api.domain.profiles import CreateProfile, DecideKyc
from services.core_api.domain.users import RegisterUser
from services.kernel.sealed import Sealed

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
USER_ID, PROFILE_ID, OTHER_ID = (UUID(int=number) for number in range(1, 4))
NAME, ACCOUNT = Sealed(PROFILE_ID, 1, "bmFtZQ=="), Sealed(PROFILE_ID, 1, "YWNjb3VudA==")
PASSWORD = Sealed(USER_ID, 1, "YXJnb24y")

REGISTER = RegisterUser(user_id=USER_ID, roles=("operator",), login_digest="d1", password=PASSWORD)
REGISTERED = UserRegistered(
    user_id=USER_ID, roles=("operator",), login_digest="d1", password=PASSWORD, registered_at=AT
)

CREATE = CreateProfile(
    profile_id=PROFILE_ID, customer_id=USER_ID, kind="receiver", country="ET", name=NAME, account=ACCOUNT
)
CREATE_SENDER = replace(CREATE, kind="sender", country="GB", account=None)
CREATED = ProfileCreated(
    profile_id=PROFILE_ID,
    customer_id=USER_ID,
    kind="receiver",
    country="ET",
    name=NAME,
    account=ACCOUNT,
    created_at=AT,
)
APPROVE = DecideKyc(profile_id=PROFILE_ID, verdict="approved")
REJECT = DecideKyc(profile_id=PROFILE_ID, verdict="rejected")
APPROVED = KycDecided(profile_id=PROFILE_ID, customer_id=USER_ID, verdict="approved", decided_at=AT)
REJECTED = KycDecided(profile_id=PROFILE_ID, customer_id=USER_ID, verdict="rejected", decided_at=AT)
