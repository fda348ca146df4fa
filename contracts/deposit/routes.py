"""How money is addressed: the reference that a customer puts on a deposit, and the stream that it is judged on.

Whoever opens a transfer and whoever sees its money compute the same id from here. Pure; changing anything here cuts old
references off from their streams, so the golden values of its test never change.
"""

from __future__ import annotations

from uuid import UUID

from services.kernel.ids import derive

REFERENCE_LENGTH = 21  # the most that ISO 11649 allows after RF and the check digits: 108 bits in base 36
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def route_reference(transfer_id: UUID) -> str:
    """The ISO 11649 creditor reference of a transfer: RF, two check digits, 21 characters that follow from its id."""
    number = derive("route_reference", transfer_id).int
    characters = []
    for _ in range(REFERENCE_LENGTH):
        number, digit = divmod(number, 36)
        characters.append(DIGITS[digit])
    reference = "".join(characters)
    return f"RF{98 - remainder_97(reference + 'RF00'):02d}{reference}"


def is_reference(route: str) -> bool:
    """Whether the normalised `route` is an ISO 11649 reference whose check digits hold: no typing error."""
    return (
        5 <= len(route) <= 25
        and route.startswith("RF")
        and route[2:4].isdecimal()
        and all(character in DIGITS for character in route)
        and remainder_97(route[4:] + route[:4]) == 1
    )


def remainder_97(text: str) -> int:
    """ISO 7064 MOD 97-10: the remainder of `text` read as a number in which A is 10 and Z is 35."""
    return int("".join(str(DIGITS.index(character)) for character in text)) % 97


def normalised_route(route: str) -> str:
    """Upper case, no blanks: banks and customers group and spell a reference as they like."""
    return "".join(route.split()).upper()


def route_id(tenant: str, route: str) -> UUID:
    """The stream on which all money sent to `route` is judged."""
    return derive("route", tenant, normalised_route(route))
