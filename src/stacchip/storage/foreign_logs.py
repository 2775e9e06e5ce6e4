"""What the libraries below log of our requests: without secrets, whatever level their user chose.

urllib3 logs the address of each request at debug level, with its query, and botocore its headers
and the bodies of answers, with tokens and keys. Only the loggers of these libraries get a filter,
once they are used; the root logger, its handlers and its level belong to the program.
"""

from __future__ import annotations

import logging
import re
from typing import Final

from stacchip.storage.redaction import redact, redact_text

LIBRARIES: Final = ("urllib3", "requests", "botocore", "boto3", "s3transfer", "pystac_client")
_LOGS_ADDRESSES: Final = ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry")
# modules that botocore imports when it first needs them, and that log headers or bodies
_LOGS_KEYS: Final = tuple(
    f"botocore.{name}"
    for name in ("auth", "credentials", "endpoint", "hooks", "parsers", "tokens", "utils")
)
_TELLING_NAME: Final = (
    r"[\w-]*(?:authorization|cookie|security-token|secret|session-?_?token|access-?_?token"
    r"|id-?_?token|access-?_?key(?:-?_?id)?|password|signature|signed[-_ ]?request|api-?_?key)"
)
_NAMED: Final = re.compile(
    # a header or a field: 'X-Amz-Security-Token': b'abc', x-amz-security-token:abc, <Secret>abc
    rf"(?P<name>{_TELLING_NAME}[\\\"']*\s*(?:[:=]|:?\n)\s*|<{_TELLING_NAME}>)"
    rf"(?P<value>b?\\?'[^']*'|b?\\?\"[^\"]*\"|[^\n<>&,'\"]+)",
    re.IGNORECASE,
)


def keep_secrets_out() -> None:
    """Let the loggers of these libraries that exist now, and urllib3's, log no secret."""
    # adding the filter again changes nothing
    # of a list, since other threads make loggers meanwhile
    names = list(logging.root.manager.loggerDict)
    known = [name for name in names if name.partition(".")[0] in LIBRARIES]
    for name in (*_LOGS_ADDRESSES, *_LOGS_KEYS, *known):
        logging.getLogger(name).addFilter(_hide)


def hide_secrets(text: str) -> str:
    """Return a text of another library without the secrets that its names and addresses tell.

    Example:
        >>> hide_secrets("GET https://h/a?sig=abc {'X-Amz-Security-Token': b'abc', 'Host': b'h'}")
        "GET https://h/a {'X-Amz-Security-Token': ***, 'Host': b'h'}"
    """
    return _NAMED.sub(r"\g<name>***", redact_text(text))


def _hide(record: logging.LogRecord) -> bool:
    """Remove secrets from a record; none is left out."""
    if record.name.startswith("urllib3"):
        if isinstance(record.args, tuple):
            record.args = tuple(_hide_argument(argument) for argument in record.args)
    else:
        record.msg, record.args = hide_secrets(_message(record)), ()
    record.exc_info = record.exc_text = None
    return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a wrong call of `log` is told by `logging` itself
        return str(record.msg)


def _hide_argument(argument: object) -> object:
    if isinstance(argument, Exception):  # its text can quote the server's answer
        return type(argument).__name__
    if isinstance(argument, str):
        return redact(argument)
    return argument if isinstance(argument, int | float) else hide_secrets(str(argument))
