"""ops-cli completion: for bash, zsh and fish."""

from __future__ import annotations

from typing import Literal

from services.ops_cli.context import Ctx
from services.ops_cli.noun import noun

app = noun("completion")
HOW = {
    "bash": "ops-cli completion bash > ~/.local/share/bash-completion/completions/ops-cli",
    "zsh": "ops-cli completion zsh > ~/.zfunc/_ops-cli   (and fpath+=~/.zfunc before compinit)",
    "fish": "ops-cli completion fish > ~/.config/fish/completions/ops-cli.fish",
}


@app.default
def completion(shell: Literal["bash", "zsh", "fish"], /, *, ctx: Ctx) -> None:
    """A script that lets your shell complete ops-cli.

    Parameters
    ----------
    shell
        Which one.
    """
    from services.ops_cli.app import app as root  # noqa: PLC0415 - the root reads this module

    ctx.out.raw(root.generate_completion(shell=shell))
    ctx.out.note(f"keep it: {HOW[shell]}")
