"""A document as YAML for people: long text as blocks, nothing by reference to another place."""

from __future__ import annotations

from typing import Any

import yaml

HEAD = "# Generated: python -m scripts.contracts write\n"


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Never: an anchor helps no reader."""
        return data is not None or super().ignore_aliases(data)

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002 - its own signature
        """Lists are indented, as people write them."""
        super().increase_indent(flow, False)  # noqa: FBT003


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def as_yaml(document: Any) -> bytes:
    """The bytes of the committed file."""
    return (HEAD + yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)).encode()
