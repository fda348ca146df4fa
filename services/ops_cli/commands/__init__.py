"""One module for each noun, with a cyclopts `app` of that name. A command returns an exit code, or None for 0."""
