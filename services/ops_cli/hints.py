"""What to do next, by the code of a problem; else by its HTTP status."""

KYC = "an operator decides KYC of a profile first (POST /v1/profiles/{id}/kyc)"
BY_CODE = {
    "QUOTE_EXPIRED": 'the price is gone; ask for a new one: ops-cli quote create "100.00 GBP" --corridor GB-ET',
    "QUOTE_USED": "one quote, one transfer; find it: ops-cli transfer list",
    "IDEMPOTENCY_CONFLICT": "this key was used for something else: ops-cli idempotency lookup KEY",
    "IDEMPOTENCY_KEY_MISSING": "give one: --idempotency-key KEY",
    "SENDER_KYC_REQUIRED": KYC,
    "RECEIVER_KYC_REQUIRED": KYC,
    "TRANSFER_NOT_FOUND": "is it of this system? ops-cli transfer list",
    "CORRIDOR_UNSUPPORTED": "the corridors that are served: GET /v1/corridors",
    "MAINTENANCE": "writes of customers are paused; reads go on",
}
BY_STATUS = {
    400: "see the command's --help",
    401: "the token is wrong or has ended: `make up` renews those of this checkout, else set OPS_TOKEN",
    403: "another role may: --as operator, --as admin",
    404: "check the id and the context: ops-cli config show",
    409: "look at its state first; a repeat under the same --idempotency-key gets the first answer",
    412: "it has changed since you looked: get it again",
    422: "the value can be read but means nothing here; see the detail",
    429: "too many requests; safe to try again later",
    500: "a fault of ours; look the trace up in the logs",
    502: "safe to try again",
    503: "safe to try again under the same --idempotency-key: ops-cli status says what is away",
    504: "it may have been done; ask again with the same --idempotency-key",
}


def hint_of(code: str, status: int) -> str:
    """One line, or nothing."""
    return BY_CODE.get(code) or BY_STATUS.get(status, "")
