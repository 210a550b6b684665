"""``daypass config``: the settings of the service, and where each comes from."""

import argparse
from typing import Any

from daypass.cli.output import require, say_json, say_rows
from daypass.cli.parser import add_json, describe
from daypass.cli.service import add_settings


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options and subcommands of this command."""
    describe(
        parser,
        show,
        "Show the settings that daypass serve would use, and where each comes from: an option, the environment, "
        "daypass.toml, or the default. Secrets are hidden.",
        "daypass config\ndaypass config --json | jq .port.value",
        "exit status: 0 the service would accept them; 1 it would not",
    )
    add_settings(parser)
    add_json(parser)


def show(options: argparse.Namespace) -> int:
    """Show the settings."""
    require("server", "pydantic_settings")
    from daypass.server import settings

    found = settings.read(vars(options)).shown()
    if options.json:
        return say_json({name: {"value": value, "from": origin} for name, (value, origin) in found.items()})
    rows = ((name, _written(value), origin) for name, (value, origin) in found.items())
    return say_rows(("SETTING", "VALUE", "FROM"), rows, for_people=list)


def _written(value: Any) -> str:
    """Return a value as it can be written in the environment."""
    if isinstance(value, list):
        return " ".join(value)
    return "" if value is None else str(int(value)) if isinstance(value, bool) else str(value)
