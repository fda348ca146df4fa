"""How stored events of an older version are read: old type -> (next type, dict -> dict). Pure, one version at a time.

A service's steps are in contracts/<service>/upcast.py and are listed here. Nothing has a second version yet.
"""

from __future__ import annotations

from services.kernel.codec import Upcasts

UPCASTS: Upcasts = {}
