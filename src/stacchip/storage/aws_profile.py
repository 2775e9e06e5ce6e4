"""S3 keys from AWS profiles: the files that AWS's command line keeps.

A profile that holds keys is read here. A profile that says how to get keys (a role to assume,
single sign-on, a program to run) is left to boto3, an extra, which also renews them.
https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

from __future__ import annotations

import configparser
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stacchip.errors import AccessDenied
from stacchip.runtime.per_process import PerProcess
from stacchip.storage.foreign_logs import keep_secrets_out

if TYPE_CHECKING:
    from collections.abc import Mapping

# in botocore's order: the first outrank keys in the credentials file, the others come after them
_BEFORE_KEYS = {
    "role_arn": "assumes a role",
    "web_identity_token_file": "assumes a role",
    "sso_session": "signs in by SSO",
    "sso_account_id": "signs in by SSO",
}
_AFTER_KEYS = {"login_session": "signs in", "credential_process": "runs a program for its keys"}


@dataclass(frozen=True)
class Keys:
    """S3 keys; shown as `Keys()`."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Profile:
    """One profile of both files.

    Attributes:
        name: The profile's name.
        keys: The keys that it holds, unless boto3 gets others for it.
        way: How boto3 gets its keys, for messages; None if boto3 is not needed.
    """

    name: str
    keys: Keys | None = None
    way: str | None = None


def find_profile(env: Mapping[str, str]) -> Profile:
    """Return the profile that the environment names, empty if there is no such profile.

    Args:
        env: `AWS_PROFILE`, `AWS_SHARED_CREDENTIALS_FILE`, `AWS_CONFIG_FILE` and `HOME` count.
    """
    credentials, config = _find_files(env)
    name = env.get("AWS_PROFILE") or "default"
    return _read_profile(name, credentials, _changed_ns(credentials), config, _changed_ns(config))


def ask_boto3(profile: Profile, env: Mapping[str, str]) -> Keys:
    """Return the keys that boto3 gets for a profile, renewed if they are about to expire.

    Raises:
        AccessDenied: boto3 is not installed, or gets no keys.
    """
    try:
        import boto3  # noqa: F401 - botocore serves, but boto3 is what stacchip's extra names
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        raise AccessDenied(
            f"The AWS profile {profile.name!r} {profile.way}, which needs boto3: "
            "pip install 'stacchip[processors]'. Or set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or pass skip_signature=True for a public bucket."
        ) from error
    try:
        credentials = _open_session(profile, env)
        frozen = None if credentials is None else credentials.get_frozen_credentials()
    except (BotoCoreError, ClientError) as error:
        reason = type(error).__name__
    else:
        if frozen is not None and frozen.access_key and frozen.secret_key:
            return Keys(frozen.access_key, frozen.secret_key, frozen.token)
        reason = "there are none"
    # not chained: the text of the original may show a key
    raise AccessDenied(
        f"boto3 gets no keys for the AWS profile {profile.name!r}, which {profile.way} ({reason}). "
        f"Try `aws sts get-caller-identity --profile {profile.name}`; if it fails, sign in again."
    )


_CREDENTIALS: PerProcess[dict[tuple[Any, ...], Any]] = PerProcess(dict)


def _open_session(profile: Profile, env: Mapping[str, str]) -> Any:
    """Return botocore's credentials of a profile, which renew themselves.

    They are kept until one of the files changes.
    """
    import botocore.session

    files = _find_files(env)
    key = (profile, *files, *map(_changed_ns, files))
    kept = _CREDENTIALS.get()
    if key not in kept:
        session = botocore.session.Session(profile=profile.name)
        keep_secrets_out()
        for name, path in zip(("credentials_file", "config_file"), files, strict=True):
            session.set_config_variable(name, str(path))
        kept.setdefault(key, session.get_credentials())  # two threads may both make them
    return kept[key]


def _find_files(env: Mapping[str, str]) -> tuple[Path, Path]:
    """Return the paths of the files with credentials and with configuration."""
    home = env.get("HOME")
    return (
        Path(
            env.get("AWS_SHARED_CREDENTIALS_FILE") or (f"{home}/.aws/credentials" if home else "")
        ),
        Path(env.get("AWS_CONFIG_FILE") or (f"{home}/.aws/config" if home else "")),
    )


def _changed_ns(path: Path) -> int | None:
    """Return when a file was last changed; None if it is no file."""
    try:
        return path.stat().st_mtime_ns if path.is_file() else None
    except OSError:
        return None


@lru_cache(maxsize=8)
def _read_profile(
    name: str, credentials: Path, credentials_ns: int | None, config: Path, config_ns: int | None
) -> Profile:
    """Read a profile; the result is kept until a file changes, since tools renew the keys."""
    first = {} if credentials_ns is None else _read_section(credentials, name)
    second = {} if config_ns is None else _read_section(config, name)
    both = {**second, **first}
    for choices, holder in ((_BEFORE_KEYS, first), (_AFTER_KEYS, second)):
        if way := next((way for key, way in choices.items() if both.get(key)), None):
            return Profile(name, way=way)
        if keys := _keys_in(holder):
            return Profile(name, keys=keys)
    return Profile(name)


def _keys_in(section: Mapping[str, str]) -> Keys | None:
    key, secret = section.get("aws_access_key_id"), section.get("aws_secret_access_key")
    return Keys(key, secret, section.get("aws_session_token")) if key and secret else None


def _read_section(path: Path, name: str) -> dict[str, str]:
    """Return the section of a profile: `[name]`, or `[profile name]` in a file of configuration."""
    parser = configparser.RawConfigParser()
    try:
        parser.read(path)
    except (configparser.Error, UnicodeDecodeError, OSError):
        return {}
    for section in parser.sections():
        if section.removeprefix("profile ").strip().strip("\"'") == name:
            return dict(parser[section])
    return {}
