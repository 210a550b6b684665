"""Reads the file of providers, which says how the command line refreshes, begins and ends a connection.

One table for each provider, in TOML. Its name is the first part of a connection's: ``xero`` of ``xero/tenant-42``.

    [xero]                                # a provider that Daypass knows
    client_id = "0123456789ABCDEF"
    client_secret_env = "XERO_SECRET"     # or client_secret_file = "/run/secrets/xero"
    scope = "offline_access accounting.transactions"

    [acme]                                # any other OAuth 2 server
    issuer = "https://id.acme.example"
    client_id = "reports"
    idle_ttl = "30d"

All other options are arguments of `daypass.client.oauth.OAuth`, or of the provider's function in
`daypass.client.providers`. The file contains no secret: it names an environment variable or another file.
"""

import inspect
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from daypass import secret_file
from daypass.client import providers
from daypass.client.oauth import OAuth
from daypass.errors import ConfigurationError
from daypass.unknown_options import refuse_unknown

NEVER = "never"
"""The ``idle_ttl`` of a server whose refresh tokens do not expire from disuse."""

_SECRETS = ("client_secret", "private_key")
_NOT_TEXT: Mapping[str, Any] = {
    "parameters": dict,
    "authorization_parameters": dict,
    "repeats": bool,
    "allow_http": bool,
    "ends": list,
    "token_types": list,
    "resource": (str, list),
}
_NOT_IN_FILES = {"clock", "options", "grant"}


def read_providers(path: Path, environment: Mapping[str, str] = os.environ) -> dict[str, OAuth]:
    """Return the strategy of each provider in a file.

    Raises:
        ConfigurationError: the file, or a file or variable that it names, cannot be read; or an option is invalid.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(f"the file of providers {path} cannot be read: {reason}") from None
    return {name: _provider(name, table, path, environment) for name, table in tables.items()}


def _provider(name: str, table: Any, path: Path, environment: Mapping[str, str]) -> OAuth:
    try:
        if not isinstance(table, dict):
            raise ConfigurationError(f"expected a table: write [{name}] on a line, and its options below")
        make, options = _function(name, dict(table))
        _check(options, make)
        secrets = {each: found for each in _SECRETS if (found := _secret(options, each, path, environment)) is not None}
        if options.get("idle_ttl") == NEVER:
            options["idle_ttl"] = None
        return make(**options, **secrets)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: [{name}]: {error}") from None


def _function(name: str, options: dict[str, Any]) -> tuple[Callable[..., OAuth], dict[str, Any]]:
    """Return the function that makes the strategy, and its options."""
    preset = options.pop("preset", None)
    if preset is None and not {"issuer", "token_endpoint"} & options.keys():
        preset = name
    if preset is None:
        return OAuth, options
    if preset not in providers.__all__:
        known = ", ".join(providers.__all__)
        raise ConfigurationError(f"Daypass does not know {preset!r}: give issuer or token_endpoint, or preset: {known}")
    return getattr(providers, preset), options


def _check(options: Mapping[str, Any], make: Callable[..., OAuth]) -> None:
    """Refuse options that are unknown, missing or of a wrong type."""
    arguments = {**inspect.signature(OAuth).parameters, **inspect.signature(make).parameters}
    known = arguments.keys() - _NOT_IN_FILES - set(_SECRETS)
    for secret in _SECRETS:
        if secret in options:
            raise ConfigurationError(f"{secret} is not kept in this file: write {secret}_file or {secret}_env")
    refuse_unknown(options, {*known, *(f"{secret}_{where}" for secret in _SECRETS for where in ("file", "env"))})
    for option, value in options.items():
        if not isinstance(value, _NOT_TEXT.get(option, str)):
            raise ConfigurationError(f"invalid {option}: expected {_kind(option)}")
    needed = [each.name for each in inspect.signature(make).parameters.values() if _is_needed(each)]
    if missing := [each for each in needed if each not in {*options, *_SECRETS}]:
        raise ConfigurationError(f"{missing[0]} is missing")
    if "client_secret" in needed and not any(option.startswith("client_secret_") for option in options):
        raise ConfigurationError("client_secret is missing: write client_secret_file or client_secret_env")


def _is_needed(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD


def _kind(option: str) -> str:
    return {dict: "a table", bool: "true or false", list: "a list", str: "text"}.get(_NOT_TEXT.get(option, str), "text")


def _secret(options: dict[str, Any], name: str, path: Path, environment: Mapping[str, str]) -> str | None:
    """Return the secret from a variable or a file; a file's path is relative to the folder of the file of providers."""
    variable, file = options.pop(f"{name}_env", None), options.pop(f"{name}_file", None)
    if variable is not None and file is not None:
        raise ConfigurationError(f"give one of {name}_env and {name}_file")
    if variable is not None:
        if not environment.get(variable):
            raise ConfigurationError(f"the variable {variable} is not set; it has the {name}")
        return environment[variable]
    return None if file is None else secret_file.read_text(path.parent / Path(file).expanduser())
