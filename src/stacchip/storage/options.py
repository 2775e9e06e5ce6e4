"""Options of storage: credentials, endpoint, and how long to try."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_args

from stacchip.errors import UsageError
from stacchip.storage.aws_profile import Keys, ask_boto3, find_profile
from stacchip.storage.identity import Strictness
from stacchip.storage.limits import DEFAULT_LIMITS, Limits
from stacchip.storage.origin import web_origin
from stacchip.storage.redaction import redact

SECRET_FIELDS = frozenset({"access_key_id", "secret_access_key", "session_token", "headers"})
TRUE_WORDS = frozenset({"1", "true", "yes", "on", "requester"})


@dataclass(frozen=True)
class StorageOptions:
    """Options for one place, or for all.

    S3 options left at None come from the usual `AWS_*` variables, including GDAL's
    `AWS_NO_SIGN_REQUEST`, `AWS_S3_ENDPOINT` and `AWS_HTTPS`. Keys also come from the profile
    `AWS_PROFILE` of `~/.aws/credentials` and `~/.aws/config`; a profile that assumes a role, signs
    in by SSO or runs a program needs boto3. Google and Azure keys come from their own variables
    (`GOOGLE_*`, `AZURE_STORAGE_*`).

    Attributes:
        region: The region of an S3 bucket; if it is unknown, the store is asked.
        endpoint: URL of an S3-compatible, Google or Azure service of your own.
        access_key_id: S3 key.
        secret_access_key: S3 secret.
        session_token: S3 token of temporary keys.
        skip_signature: Read a public bucket without credentials.
        requester_pays: Agree to pay for requests (S3).
        headers: Headers such as `{"Authorization": "Bearer ..."}`. They go to one server, whose
            scheme, host and port must agree: that of the prefix in `overrides`; in
            `Storage(options=...)` that of `endpoint`, or of the first address that you name.
            They never follow a redirect to another server.
        timeout_s: How long a server may be silent before an attempt counts as failed.
        deadline_s: The time limit for all attempts of one request together.
        max_attempts: The most attempts of one request; answers with a Retry-After do not count.
        max_connections: The most idle connections to keep for each host.
        identity: What must agree for a file to count as the version that was read before, so that
            its bytes go with the header that an index keeps. "etag" compares ETags and sizes (of
            local files the size and the time of the last change). Web servers may give one file
            several ETags, so that ETags that differ count as one if size and Last-Modified agree.
            "size" compares sizes only, and "none" nothing.
        account: Azure account, for addresses that name none.
        alternate: Name of the alternate address at which to read an asset whose own address these
            options are for, such as "s3", if its item gives one (Alternate Assets extension).
        limits: The most that one file, answer or item of the place may make stacchip hold.
        allow_local: Let items and files of the place name what only this machine can reach: local
            files, and loopback and link-local addresses.

    Example:
        >>> StorageOptions(region="us-west-2", headers={"Authorization": "Bearer abc"})
        StorageOptions(region='us-west-2', headers=***)
    """

    region: str | None = None
    endpoint: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    skip_signature: bool | None = None
    requester_pays: bool | None = None
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    timeout_s: float = 30.0
    deadline_s: float = 120.0
    max_attempts: int = 8
    max_connections: int = 64
    identity: Strictness = "etag"
    account: str | None = None
    alternate: str | None = None
    limits: Limits = DEFAULT_LIMITS
    allow_local: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("timeout_s", "deadline_s", "max_attempts", "max_connections"):
            if getattr(self, name) <= 0:
                raise UsageError(f"StorageOptions.{name} must be more than 0.")
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise UsageError("Pass both access_key_id and secret_access_key, or neither.")
        if self.identity not in get_args(Strictness):
            known = ", ".join(map(repr, get_args(Strictness)))
            raise UsageError(f"StorageOptions.identity is {self.identity!r}; it is one of {known}.")
        if not isinstance(self.headers, Mapping) or not all(
            isinstance(text, str) for pair in self.headers.items() for text in pair
        ):
            raise UsageError(
                "StorageOptions.headers must map names to strings, such as "
                "{'Authorization': 'Bearer ...'}."
            )
        if self.endpoint and not self.endpoint.startswith(("http://", "https://")):
            # without a scheme, a password cannot be told from the rest
            shown = "" if "@" in self.endpoint else f" {redact(self.endpoint)!r}"
            raise UsageError(f"The endpoint{shown} must begin with http:// or https://.")
        if self.endpoint and web_origin(self.endpoint) is None:  # obstore would panic
            shown = redact(self.endpoint)
            raise UsageError(f"The endpoint {shown!r} has no host, or an impossible port.")

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Pickles of earlier versions answer as before: then there was no such rule. For the same
        # reason it is not part of the `repr`.
        self.__dict__.update({"allow_local": True, **state})

    def __repr__(self) -> str:
        shown = [
            f"{f.name}={self._show(f.name)}"
            for f in fields(self)
            if f.repr and getattr(self, f.name) != (f.default if f.name != "headers" else {})
        ]
        return f"StorageOptions({', '.join(shown)})"

    def _show(self, name: str) -> str:
        value = getattr(self, name)
        if name in SECRET_FIELDS:
            return "***"
        return repr(redact(value) if isinstance(value, str) else value)

    def with_environment(self, environment: Mapping[str, str] | None = None) -> StorageOptions:
        """Return the options with unset S3 options taken from the environment.

        Args:
            environment: `os.environ` by default.
        """
        env = os.environ if environment is None else environment
        keys = None if self.access_key_id else _find_keys(env)
        return replace(
            self if keys is None else self._with_keys(keys),
            region=self.region or env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or None,
            endpoint=self.endpoint or _find_endpoint(env),
            skip_signature=_first(
                self.skip_signature, _is_true(env, "AWS_SKIP_SIGNATURE", "AWS_NO_SIGN_REQUEST")
            ),
            requester_pays=_first(
                self.requester_pays, _is_true(env, "AWS_REQUEST_PAYER", "AWS_REQUESTER_PAYS")
            ),
        )

    def with_profile_keys(self, environment: Mapping[str, str] | None = None) -> StorageOptions:
        """Return the options with keys that boto3 gets for an AWS profile, if requests need them.

        The profile `AWS_PROFILE` may assume a role, sign in by SSO, or run a program for its keys.
        Options that have keys, or do not sign, are returned unchanged; so are those for a profile
        of another kind. Call this for each request: boto3 renews the keys.

        Args:
            environment: `os.environ` by default.

        Raises:
            AccessDenied: boto3 is not installed, or gets no keys.
        """
        if self.access_key_id or self.skip_signature:
            return self
        env = os.environ if environment is None else environment
        profile = find_profile(env)
        return self if profile.way is None else self._with_keys(ask_boto3(profile, env))

    def _with_keys(self, keys: Keys) -> StorageOptions:
        return replace(
            self,
            access_key_id=keys.access_key_id,
            secret_access_key=keys.secret_access_key,
            session_token=keys.session_token,
        )


def _first(given: bool | None, otherwise: bool) -> bool:
    return otherwise if given is None else given


def _is_true(env: Mapping[str, str], *names: str) -> bool:
    return any(env.get(name, "").strip().lower() in TRUE_WORDS for name in names)


def _find_endpoint(env: Mapping[str, str]) -> str | None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_S3_ENDPOINT"):
        endpoint = env.get(name)
        if endpoint and "://" in endpoint:
            return endpoint
        if endpoint:  # GDAL's form is a host and a port
            is_plain = env.get("AWS_HTTPS", "YES").lower() in {"no", "false", "off", "0"}
            return f"{'http' if is_plain else 'https'}://{endpoint}"
    return None


def _find_keys(env: Mapping[str, str]) -> Keys | None:
    """Return S3 keys from variables, else those that a profile holds."""
    if env.get("AWS_ACCESS_KEY_ID") and env.get("AWS_SECRET_ACCESS_KEY"):
        return Keys(
            env["AWS_ACCESS_KEY_ID"],
            env["AWS_SECRET_ACCESS_KEY"],
            env.get("AWS_SESSION_TOKEN") or None,
        )
    return find_profile(env).keys
