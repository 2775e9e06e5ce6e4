"""Mutants of JSON documents: other types, odd numbers and texts, lost and doubled keys, depth."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

from .damage import damage
from .kinds import weighted

if TYPE_CHECKING:
    from random import Random

TEXTS: Final = (
    *(
        "",
        " ",
        "\0",
        "a\0b",
        "\ud800",
        "\udfff\ud800",
        "\x1b[2J\x1b]0;x\x07",
        "..",
        "../../etc",
        "/",
    ),
    *("a" * 5000, "é", "\u202e", "null", "NaN", "1e999", "-1", "0x10", "x\ny", "%00", "%2e%2e%2f"),
    *("2020-02-30T00:00:00Z", "9999-12-31T23:59:59Z", "0000-00-00", "2020-01-01T00:00:00+99:99"),
    *("EPSG:0", "EPSG:99999999", "EPSG:4326", "IAU_2015:30100", "+proj=longlat", "WGS 84", "uint7"),
    *("Item", "Feature", "FeatureCollection", "Collection", "Catalog", "1.0.0", "0.4.0", "9.9.9"),
)
HREFS: Final = (
    *("", "/", ".", "..", "//", "///", "http://", "http:///", "https://[", "http://[::1", "s3://"),
    *("s3:///key", "gs://", "az://", "az://a", "abfs://c@a/b", "file:///etc/passwd", "file://h/a"),
    *(
        "/dev/zero",
        "/dev/stdin",
        "/proc/self/mem",
        "/vsicurl/http://127.0.0.1:1/a",
        "/vsizip/a.zip",
    ),
    *(
        "http://127.0.0.1:1/a.tif",
        "http://localhost:1/",
        "http://169.254.169.254/latest",
        "http://0/",
    ),
    *("http://user:pw@h:99999/a", "http://h:port/a", "http://h\0/a", "http://h/\ud800", "a\nb.tif"),
    *("ftp://h/a", "data:,a", "javascript:1", "HTTP://H/A.TIF", "http://ü/ü", "s3://b/../k", "~/a"),
    *("C:\\a.tif", "\\\\host\\a", "a" * 70000, "http://" + "a" * 300 + "/b", "./" * 3000, "?", "#"),
    *("<VRTDataset/>", "GTIFF_DIR:1:a.tif", "NETCDF:a:b", "http://h/a.tif?sig=x#y", "s3://b/%zz"),
)
NUMBERS: Final = (
    *(0, -0.0, -1, 1, 2, 0.5, 255, 256, 65536, 2**31, 2**32, 2**53 + 1, 2**63, 2**64, 10**18),
    *(
        10**100,
        10**400,
        -(10**400),
        1e-320,
        1e308,
        -1e308,
        float("nan"),
        float("inf"),
        -float("inf"),
    ),
)


def mutate_json(record: Any, dice: Random) -> bytes:
    """Return a JSON document that is the record but for one or several mutations."""
    record = copy.deepcopy(record)
    text = json.dumps(record).encode()
    for _ in range(weighted(dice, {1: 5, 2: 3, 4: 2, 12: 0.5})):
        try:
            record = _mutate_once(record, dice)
            text = json.dumps(record).encode()
        except RecursionError:  # Python copies and writes no deeper; what there is, is deep enough
            break
    drawn = dice.random()
    if drawn < 0.05:
        return damage(text, dice)
    if drawn < 0.12:
        return _double_key(text, dice)
    if drawn < 0.14:
        return _as_text(text, dice)
    return text


def _mutate_once(record: Any, dice: Random) -> Any:
    holders = list(_holders(record))
    if not holders:
        return odd_value(dice, "")
    holder, key = dice.choice(holders)
    act = dice.choice(("replace", "replace", "replace", "drop", "wrap", "move", "double", "add"))
    if act == "replace":
        holder[key] = odd_value(dice, str(key))
    elif act == "drop":
        del holder[key]
    elif act == "wrap":
        holder[key] = dice.choice(([holder[key]], {"a": holder[key]}, [holder[key]] * 3))
    elif act == "move":
        other, place = dice.choice(holders)
        other[place] = copy.deepcopy(holder[key])
    elif act == "double" and isinstance(holder, list):
        holder.insert(0, copy.deepcopy(holder[key]))
    elif isinstance(holder, dict):
        holder[dice.choice((*TEXTS, *(str(k) for _, k in holders[:50])))] = odd_value(dice, "")
    return record


def _holders(record: Any) -> list[tuple[Any, Any]]:
    """Return each place of a value: its holder and its key, or index."""
    found: list[tuple[Any, Any]] = []
    waiting = [record] if isinstance(record, dict | list) else []
    while waiting:
        each = waiting.pop()
        places = each.items() if isinstance(each, dict) else enumerate(each)
        for key, value in places:
            found.append((each, key))
            if isinstance(value, dict | list):
                waiting.append(value)
    return found


def odd_value(dice: Random, key: str) -> Any:
    """Return a value that does not belong there; for hrefs, mostly an odd href."""
    if "href" in key and dice.random() < 0.8:
        return dice.choice(HREFS)
    made = dice.random()
    if made < 0.3:
        return dice.choice(NUMBERS)
    if made < 0.6:
        return dice.choice(TEXTS)
    if made < 0.85:
        return dice.choice(
            (None, True, False, [], {}, [[]], [None], {"": None}, [0, 0], [1e308] * 6)
        )
    if made < 0.9:
        return dice.choice(HREFS)
    if made < 0.95:
        return _deep(dice.choice((5, 50, 99, 101, 500, 900)), dice)
    return dice.choice(NUMBERS[:15]) * dice.choice((1, -1)), dice.choice(NUMBERS)


def _deep(levels: int, dice: Random) -> Any:
    value: Any = 1
    key = dice.choice((None, "a", "properties", "coordinates"))
    for _ in range(levels):
        value = [value] if key is None else {key: value}
    return value


def _double_key(text: bytes, dice: Random) -> bytes:
    """Let an object have a key twice."""
    places = [place for place, byte in enumerate(text) if byte == ord("{")]
    if not places:
        return text
    at = dice.choice(places) + 1
    key = dice.choice(("id", "type", "assets", "properties", "href", "bbox", "datetime", "links"))
    comma = b"" if text[at : at + 1] == b"}" else b","
    return text[:at] + json.dumps({key: odd_value(dice, key)}).encode()[1:-1] + comma + text[at:]


def _as_text(text: bytes, dice: Random) -> bytes:
    """Write the document in a form that is nearly JSON, or JSON that is unusual."""
    return dice.choice(
        (
            b"\xef\xbb\xbf" + text,
            text.decode().encode("utf-16"),
            b"[" * 200_000 + text,
            text + text,
            text.replace(b"null", b"NaN"),
            text.replace(b"1", b"1e9999"),
            text.replace(b"0", b"0" * 20),
            b" " * 100_000 + text,
            b'"' + text,
            b"\x1f\x8b" + text,
            text.replace(b'"', b"'"),
            text[:-1] + b"," + b'"x": ' + b"9" * 5000 + b"}",
        )
    )
