"""The settings of a service, by its own Settings: which variables there are, what each holds, no secret shown."""

from __future__ import annotations

import dataclasses
import importlib
import re
import typing
from collections.abc import Mapping
from typing import Any

from services.kernel.settings import Kernel, Secret, SharedKey, Unsafe, Var, load
from services.ops_cli.exits import Exit, OpsError

SERVICES = (
    "core_api", "quote", "transfer", "deposit_watcher", "payout_orchestrator", "ledger", "reconciliation", "review",
)  # fmt: skip
HIDDEN = "***"
_CREDENTIAL = re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+(?=@)")  # user:password in an address


def described(service: str, environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row for each variable. Raises OpsError with everything that is wrong with them."""
    module = importlib.import_module(f"services.{service}.__main__")
    kind: type[Kernel] = getattr(module, "Settings", Kernel)
    try:
        settings = load(kind, service, environ)
    except Unsafe as error:
        raise OpsError(
            Exit.PRECONDITION, f"{service} would not start with these settings", detail="; ".join(error.faults),
            hint="without --here: those of the process that runs",
        ) from None  # fmt: skip
    hints = typing.get_type_hints(kind, include_extras=True)
    rows = []
    for each in dataclasses.fields(settings):
        if each.name == "service":
            continue
        var: Var = typing.get_args(hints[each.name])[1]
        rows.append({
            "name": var.name,
            "value": masked(getattr(settings, each.name)),
            "source": "environment" if environ.get(var.name, "").strip() else "default",
            "meaning": each.name,
        })  # fmt: skip
    return rows


def masked(value: Any) -> Any:
    """What may be shown of it: of an address with a password all but the password, of another secret nothing."""
    match value:
        case Secret():
            text = value.reveal()
            return _CREDENTIAL.sub(rf"\1:{HIDDEN}", text) if _CREDENTIAL.search(text) else HIDDEN
        case SharedKey():
            return f"{value.partner}:{value.key_id}:{HIDDEN}"
        case tuple():
            return ", ".join(str(masked(each)) for each in value) or None
        case str():
            return _CREDENTIAL.sub(rf"\1:{HIDDEN}", value)
        case _:
            return value
