"""Every topic: its name, who writes it, which events it carries. The one list that deploy, services and tests read."""

from __future__ import annotations

from dataclasses import dataclass

import contracts.customer.v1 as customer
import contracts.deposit.v1 as deposit
import contracts.ledger.v1 as ledger
import contracts.payout.v1 as payout
import contracts.quote.v1 as quote
import contracts.recon.v1 as recon
import contracts.transfer.v1 as transfer

PARTITIONS_DEMO = 4  # one machine: +25-35 % against 12 (design/pitfalls 3b)
PARTITIONS_PRODUCTION = 12


@dataclass(frozen=True)
class Topic:
    """A topic is kept for ever (`retention.ms=-1`, `cleanup.policy=delete`); its number of partitions never changes."""

    name: str
    writer: str  # the service, or "partner"
    events: tuple[type, ...]


CUSTOMER = Topic("corridor.customer.events.v1", "core_api", customer.EVENTS)
QUOTE = Topic("corridor.quote.events.v1", "quote", quote.EVENTS)
TRANSFER = Topic("corridor.transfer.events.v1", "transfer", transfer.EVENTS)
DEPOSIT = Topic("corridor.deposit.events.v1", "deposit_watcher", deposit.EVENTS)
PAYOUT = Topic("corridor.payout.events.v1", "payout_orchestrator", payout.EVENTS)
LEDGER = Topic("corridor.ledger.events.v1", "ledger", ledger.EVENTS)
RECON = Topic("corridor.recon.events.v1", "reconciliation", recon.EVENTS)
PARTNER_DEPOSITS = Topic("partner.deposits.v1", "partner", ())

INTERNAL = (CUSTOMER, QUOTE, TRANSFER, DEPOSIT, PAYOUT, LEDGER, RECON)
ALL = (*INTERNAL, PARTNER_DEPOSITS)
TOPIC_CONFIG = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "max.message.bytes": "1048576",
    "message.timestamp.type": "CreateTime",
}
