"""A noun's `app`: its own options in a group of their own, apart from those of every command."""

from __future__ import annotations

from cyclopts import App, Group, Parameter


def noun(name: str, help_text: str | None = None) -> App:
    """`help_text` None: a noun without verbs, whose only command says what it is for."""
    return App(
        name=name,
        help=help_text,
        help_format="plaintext",
        help_epilogue="",
        version_flags=[],
        group_parameters=Group("Options", sort_key=1),
        default_parameter=Parameter(negative=(), show_default=False),
    )
