"""ops-cli quote: prices, as a customer gets them."""

from __future__ import annotations

from services.ops_cli.context import Ctx
from services.ops_cli.noun import noun
from services.ops_cli.options import DryRun, Key
from services.ops_cli.values import money
from services.ops_cli.views import QUOTE

app = noun("quote", "Prices: what a customer pays, what arrives, until when it is promised.")


@app.command
def create(amount: str, /, *, corridor: str, idempotency_key: Key = None, dry_run: DryRun = False, ctx: Ctx) -> None:
    """Ask for a price as a customer.

    Example: ops-cli quote create "125.50 GBP" --corridor GB-ET

    Parameters
    ----------
    amount
        What is paid in, with its currency.
    corridor
        Collected in, paid out in (ISO 3166): GB-ET.
    idempotency_key
        The same key keeps its first price.
    dry_run
        Show the request and send nothing.
    """
    send = money(amount)
    body = {"corridor": corridor, "send_minor": send.minor, "send_currency": send.currency}
    if dry_run:
        ctx.would_send("POST", "/v1/quotes", body)
        return
    ctx.out.record(ctx.http.post("/v1/quotes", body, role="customer", key=idempotency_key), QUOTE)


@app.command
def get(quote_id: str, /, *, ctx: Ctx) -> None:
    """A quote of yours.

    Example: ops-cli quote get 0b0c2c1e-6c1f-5d52-9a3c-6f0f3b1f2a11

    Parameters
    ----------
    quote_id
        As `quote create` answered it.
    """
    ctx.out.record(ctx.http.get(f"/v1/quotes/{quote_id}", role="customer"), QUOTE)
