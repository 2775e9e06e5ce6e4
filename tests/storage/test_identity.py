from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacchip.storage import Blob, Identity
from stacchip.storage.identity import file_tag, strong_etag

IDENTITIES = st.builds(
    Identity,
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, '"a"', 'W/"a"', '"b"', "a"]),
    st.sampled_from([None, "Mon", "Tue"]),
)


@pytest.mark.parametrize(
    ("one", "other", "matches"),
    [
        (Identity(10), Identity(10), True),
        (Identity(10), Identity(11), False),
        (Identity(None), Identity(11), True),
        (Identity(10, '"a"'), Identity(10, '"a"'), True),
        (Identity(10, '"a"'), Identity(10, "a"), True),
        (Identity(10, 'W/"a"'), Identity(10, '"a"'), True),
        (Identity(10, '"a"'), Identity(10, '"b"'), False),
        (Identity(10, '"a"'), Identity(11, '"a"'), False),
        (Identity(10, '"a"', "Mon"), Identity(10, '"a"', "Tue"), True),
        (Identity(10, None, "Mon"), Identity(10, '"a"', "Tue"), False),
        (Identity(10, None, "Mon"), Identity(10, '"a"', "Mon"), True),
        (Identity(10, '"a"'), Identity(10, None, "Mon"), True),
        (Identity(10, '"a"', "Mon"), Identity(10, '"b"', "Mon"), False),
    ],
)
def test_what_both_know_must_agree(one: Identity, other: Identity, matches: bool) -> None:
    assert one.matches(other) is matches


@pytest.mark.parametrize(
    ("one", "other", "matches"),
    [
        (Identity(10, '"a"', "Mon"), Identity(10, '"b"', "Mon"), True),
        (Identity(10, '"a"', "Mon"), Identity(10, '"b"', "Tue"), False),
        (Identity(10, '"a"', "Mon"), Identity(11, '"b"', "Mon"), False),
        (Identity(10, '"a"', "Mon"), Identity(10, '"b"'), False),
        (Identity(10, '"a"'), Identity(10, '"b"'), False),
        (Identity(None, '"a"', "Mon"), Identity(None, '"b"', "Mon"), False),
    ],
)
def test_mirrors_agree_by_size_and_time(one: Identity, other: Identity, matches: bool) -> None:
    assert one.matches(other, is_mirrored=True) is matches


SECOND = 10**9
WRITTEN = 1_700_000_000 * SECOND + 123_456_789


@pytest.mark.parametrize(
    ("one", "other", "matches"),
    [
        (file_tag(WRITTEN, 16), file_tag(WRITTEN, 16), True),
        (file_tag(WRITTEN, 16), file_tag(WRITTEN + 1, 16), False),
        (file_tag(WRITTEN, 16), file_tag(WRITTEN // SECOND * SECOND, 16), True),
        (file_tag(WRITTEN, 16), file_tag((WRITTEN // SECOND + 1) * SECOND, 16), False),
        (file_tag(WRITTEN, 16), file_tag(WRITTEN // 1000 * 1000, 16), True),
        (file_tag(WRITTEN, 16), file_tag(WRITTEN // 100 * 100, 16), True),
        (file_tag(-5, 16), file_tag(-5, 16), True),
        (f'"1a-{WRITTEN:x}-10"', file_tag(WRITTEN, 16), True),
        (f'"1a-{WRITTEN + 1:x}-10"', file_tag(WRITTEN, 16), False),
        (f'"1a-{WRITTEN:x}-10"', f'"2b-{WRITTEN:x}-10"', True),
        # a web server's tags are its own business: here time and size
        ('"653f2000-10"', '"653f2001-10"', False),
        ('"1a-10-653f2000"', '"2b-10-653f2000"', False),
    ],
)
def test_a_local_file_is_known_by_its_time_and_not_by_its_inode(
    one: str, other: str, matches: bool
) -> None:
    assert Identity(16, one).matches(Identity(16, other)) is matches
    assert Identity(16, other).matches(Identity(16, one)) is matches


@given(IDENTITIES, IDENTITIES)
def test_it_does_not_matter_who_asks(one: Identity, other: Identity) -> None:
    assert one.matches(one)
    assert one.matches(other) == other.matches(one)


@given(IDENTITIES)
def test_a_version_of_which_nothing_is_known_may_be_any(one: Identity) -> None:
    assert one.matches(Identity(None))


def test_an_etag_without_its_marks() -> None:
    assert strong_etag('W/"a"') == strong_etag('"a"') == strong_etag("a") == "a"


def test_a_blob_is_not_printed_whole() -> None:
    blob = Blob(bytes(10_000), Identity(20_000, '"a"'), 5)
    assert len(repr(blob)) < 200
    assert "10000 bytes from 5" in repr(blob)


def test_identities_are_values() -> None:
    one = Identity(10, '"a"', "Mon")
    assert pickle.loads(pickle.dumps(one)) == one
    assert len({one, Identity(10, '"a"', "Mon"), Identity(10, '"a"')}) == 2
