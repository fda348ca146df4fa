"""Who may log in, and as what."""

from __future__ import annotations

from dataclasses import replace

from services.core_api.domain import users as d
from services.core_api.handlers import USER, register, user_id
from services.kernel.decider import Claim, Owner, Seen
from tests.support.spec import Spec
from tests.unit.core_api.samples import AT, OTHER_ID, PASSWORD, REGISTER, REGISTERED, USER_ID

SIGN_UP = d.SignUp(user_id=USER_ID, login_digest="d1", password=PASSWORD)
given = Spec(USER, AT).given


def test_a_user_is_registered_with_their_roles() -> None:
    given().when(REGISTER).then(REGISTERED)


def test_roles_are_kept_once_and_in_order() -> None:
    wish = replace(REGISTER, roles=("operator", "admin", "operator"))
    given().when(wish).then(replace(REGISTERED, roles=("admin", "operator")))


def test_registering_again_changes_nothing_not_even_the_password() -> None:
    given(REGISTERED).when(replace(REGISTER, password=replace(PASSWORD, box="b3RoZXI="))).then_nothing()


def test_a_registered_user_keeps_their_roles() -> None:
    given(REGISTERED).when(replace(REGISTER, roles=("admin",))).then_rejected(d.UserRegisteredOtherwise)


def test_a_registered_user_keeps_their_login() -> None:
    given(REGISTERED).when(replace(REGISTER, login_digest="d2")).then_rejected(d.UserRegisteredOtherwise)


def test_a_login_belongs_to_one_user() -> None:
    seen = Seen(owners={"login": Owner(OTHER_ID, "")})
    given().when(replace(REGISTER, seen=seen)).then_rejected(d.LoginTaken)


def test_who_signs_up_is_a_customer() -> None:
    given().when(SIGN_UP).then(replace(REGISTERED, roles=("customer",)))


def test_signing_up_with_a_known_login_is_refused_whoever_has_it() -> None:
    for roles in (("customer",), ("operator",)):
        given(replace(REGISTERED, roles=roles)).when(SIGN_UP).then_rejected(d.LoginTaken)
    seen = Seen(owners={"login": Owner(OTHER_ID, "")})
    given().when(replace(SIGN_UP, seen=seen)).then_rejected(d.LoginTaken)


def test_a_user_has_at_least_one_role() -> None:
    given().when(replace(REGISTER, roles=())).then_rejected(d.RoleRequired)


def test_registering_claims_the_login() -> None:
    ask = register(REGISTER)
    assert (ask.stream_id, ask.claims) == (USER_ID, (Claim("login", "d1"),))


def test_the_same_login_of_two_tenants_is_two_users() -> None:
    assert user_id("a", "d1") == user_id("a", "d1") != user_id("b", "d1")


def test_the_table_holds_exactly_the_steps_that_are_taken() -> None:
    after = given().when(REGISTER).then_state(d.Registered).state
    assert list(d.TRANSITIONS) == [("-", type(REGISTERED), after, "")]
