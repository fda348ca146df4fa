"""What topics and tables must agree on. Pure; written from the public description of events, not from our code."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from scripts.demo.evidence import SCHEMA_OF, Evidence, Record

Finding = tuple[list[str], str]  # what is wrong; what to say when nothing is

# event -> the state after it; None: the same as before. From docs: states and deadlines
FOLD: Mapping[str, str | None] = {
    "transfer.opened": "AWAITING_FUNDING",
    "transfer.funding_confirmed": "FUNDING_CONFIRMED",
    "transfer.cancelled": "CANCELLED",
    "transfer.expired": "EXPIRED",
    "transfer.payout_initiated": "PAYOUT_INITIATED",
    "transfer.payout_review_required": "PAYOUT_REVIEW_REQUIRED",
    "transfer.payout_completed": "PAYOUT_COMPLETED",
    "transfer.late_funding_recorded": None,
    "transfer.overdue": None,
    "payout.requested": "REQUESTED",
    "payout.approved": "APPROVED",
    "payout.submitting": "SUBMITTING",
    "payout.sent": "SENT",
    "payout.deferred": "APPROVED",
    "payout.refused": "MANUAL_REVIEW",
    "payout.unknown": "UNKNOWN",
    "payout.not_known_to_partner": "APPROVED",
    "payout.confirmed": "CONFIRMED",
    "payout.review_required": "MANUAL_REVIEW",
    "payout.contradicted": None,
    "payout.overdue": None,
    "quote.created": "OFFERED",
    "quote.accepted": "ACCEPTED",
    "quote.expired": "EXPIRED",
    "deposit.expected": "EXPECTED",
    "deposit.confirmed": "CONFIRMED",
    "deposit.route_closed": "CLOSED",
    "deposit.reference_mismatched": None,
}
# (state, event) -> state, where the event alone does not say it
FOLD_AT: Mapping[tuple[str, str], str] = {
    ("", "deposit.observed"): "UNEXPECTED",
    ("UNEXPECTED", "deposit.mismatched"): "MISMATCHED",
    ("EXPECTED", "deposit.mismatched"): "MISMATCHED",
}
STAY = {"deposit.observed", "deposit.mismatched"}  # in every other state
# the name under which the store keeps a stage -> the state
STAGES: Mapping[str, Mapping[str, str]] = {
    "transfer": {
        "AwaitingFunding": "AWAITING_FUNDING", "Funded": "FUNDING_CONFIRMED", "PayingOut": "PAYOUT_INITIATED",
        "ReviewUnsent": "PAYOUT_REVIEW_REQUIRED", "ReviewSent": "PAYOUT_REVIEW_REQUIRED",
        "Completed": "PAYOUT_COMPLETED", "Cancelled": "CANCELLED", "Expired": "EXPIRED",
    },
    "payout": {
        "Requested": "REQUESTED", "Approved": "APPROVED", "Submitting": "SUBMITTING", "Sent": "SENT",
        "Unknown": "UNKNOWN", "ManualReview": "MANUAL_REVIEW", "Confirmed": "CONFIRMED",
    },
    "quote": {"Offered": "OFFERED", "Accepted": "ACCEPTED", "Expired": "EXPIRED"},
    "deposit": {
        "Unexpected": "UNEXPECTED", "Unmatched": "MISMATCHED", "Expected": "EXPECTED", "Mismatched": "MISMATCHED",
        "Confirmed": "CONFIRMED", "Closed": "CLOSED",
    },
}  # fmt: skip


def states_of(records: Iterable[Record]) -> dict[str, str]:
    """The state of each stream, folded from its events in the order of their versions."""
    states: dict[str, str] = {}
    for record in sorted(records, key=lambda each: each.version):
        states[record.stream] = after(states.get(record.stream, ""), record.kind)
    return states


def after(state: str, kind: str) -> str:
    """The state after an event. KeyError for one that the table does not know."""
    if (state, kind) in FOLD_AT:
        return FOLD_AT[state, kind]
    if kind in STAY:
        return state
    following = FOLD[kind]
    return state if following is None else following


def fold_is_store(evidence: Evidence) -> Finding:
    """The state folded from the topic is the state in the store, for every transfer, payout, route and quote."""
    wrong, counts = [], []
    for service, stages in STAGES.items():
        folded = states_of(evidence.events(service))
        stored = {
            str(row["stream_id"]): stages.get(row["stage"], row["stage"])
            for row in evidence.stores[service].streams
            if row["stage"] in stages
        }
        wrong += [
            f"{service} {one}: {folded.get(one, 'nothing')} on the topic, {stored.get(one, 'nothing')} in the store"
            for one in folded.keys() | stored.keys()
            if folded.get(one) != stored.get(one)
        ]
        counts.append(f"{len(folded)} {service}s")
    return wrong, ", ".join(counts)


def topic_is_store(evidence: Evidence) -> Finding:
    """The same events with the same bytes on the topic as in the table, and the heads that follow from them."""
    wrong, total = [], 0
    for topic, schema in SCHEMA_OF.items():
        published = {
            record.event_id: (record.text("ce_hash"), record.value)
            for record in evidence.records
            if record.topic == topic
        }
        rows = evidence.stores[schema].events
        stored = {str(row["event_id"]): (row["hash"], bytes(row["data"])) for row in rows}
        total += len(stored)
        wrong += [
            f"{schema}: event {one} is {_where(one in published, one in stored)}"
            for one in published.keys() | stored.keys()
            if published.get(one) != stored.get(one)
        ]
        wrong += _wrong_heads(evidence, schema)
    if not total:
        wrong.append("no event at all")
    return wrong, f"{total} events, byte for byte"


def _where(on_topic: bool, in_store: bool) -> str:  # noqa: FBT001 - two of a kind
    if on_topic and in_store:
        return "different on the topic and in the store"
    return "only on the topic" if on_topic else "only in the store"


def _wrong_heads(evidence: Evidence, schema: str) -> list[str]:
    last = {str(row["stream_id"]): (row["version"], row["hash"]) for row in evidence.stores[schema].events}
    heads = {str(row["stream_id"]): (row["version"], row["hash"]) for row in evidence.stores[schema].streams}
    return [
        f"{schema}: head of {one} is not its last event"
        for one in last.keys() | heads.keys()
        if last.get(one) != heads.get(one)
    ]


def chains_hold(evidence: Evidence) -> Finding:
    """Versions of each stream are 1, 2, 3 ... on the topic, each hash is right and names the one before it."""
    streams: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in {each.event_id: each for each in evidence.records}.values():
        streams[record.topic, record.stream].append(record)
    wrong = []
    for (_, stream), records in streams.items():
        records.sort(key=lambda each: each.version)
        if [record.version for record in records] != list(range(1, len(records) + 1)):
            wrong.append(f"{stream}: versions {[record.version for record in records]}")
        wrong += _broken_links(records)
    return wrong, f"{len(streams)} chains"


def _broken_links(records: Sequence[Record]) -> list[str]:
    wrong, before = [], bytes(32).hex()
    for record in records:
        if record.text("ce_prevhash") != before:
            wrong.append(f"{record.stream} version {record.version}: does not follow the one before it")
        before = record.text("ce_hash")
        if chain_hash(record) != before:
            wrong.append(f"{record.stream} version {record.version}: its hash is not that of its content")
    return wrong


def chain_hash(record: Record) -> str:
    """SHA-256 over the length-prefixed fields, in this order."""
    kind = record.headers["ce_type"]
    schema = int(kind.rpartition(b".v")[2])
    fields = (
        bytes.fromhex(record.text("ce_prevhash")), _uuid_bytes(record.stream), record.version.to_bytes(4, "big"),
        _uuid_bytes(record.event_id), kind, schema.to_bytes(2, "big"), record.headers["ce_time"],
        record.headers["ce_meta"], record.value,
    )  # fmt: skip
    digest = hashlib.sha256()
    for field in fields:
        digest.update(str(len(field)).encode() + b":" + field)
    return digest.hexdigest()


def _uuid_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("-", ""))


def published_in_order(evidence: Evidence) -> Finding:
    """A stream stays on one partition, where its versions never jump ahead: a repeat is possible, a gap is not."""
    wrong, repeats = [], 0
    seen: dict[tuple[str, str], tuple[int, int]] = {}
    for record in evidence.records:
        partition, version = seen.get((record.topic, record.stream), (record.partition, 0))
        repeats += record.version <= version
        if record.partition != partition:
            wrong.append(f"{record.stream}: on partitions {partition} and {record.partition}")
        if record.version > version + 1:
            wrong.append(f"{record.stream}: version {record.version} came after {version}")
        seen[record.topic, record.stream] = partition, max(version, record.version)
    return wrong, f"{len(evidence.records)} records, {repeats} of them repeats"


def nothing_waits(evidence: Evidence) -> Finding:
    """Outboxes are empty and no stream is parked."""
    wrong = [
        f"{schema}: {count} in {name}"
        for schema, store in evidence.stores.items()
        for name, count in store.waiting.items()
        if count
    ]
    return wrong, "outboxes empty, nothing parked"
