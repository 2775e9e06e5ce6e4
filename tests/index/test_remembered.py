from __future__ import annotations

import json
import multiprocessing
import threading

import pytest

from stacchip.index.remembered import RememberedItems, unpack
from stacchip.items import ItemKey

QUAD = ItemKey("january", "quad")


def text(**fields: object) -> str:
    return json.dumps({"id": "quad", **fields})


def test_copies_of_an_item_are_one_item_whatever_their_links():
    items = RememberedItems(8)
    items.add({QUAD: text(links=[])})
    items.add({QUAD: text(links=[{"rel": "self", "href": "/a.json"}])})
    assert unpack(items.get(QUAD))["links"]


def test_two_items_of_one_key_leave_none_even_if_one_comes_again():
    items = RememberedItems(8)
    for gsd in (5, 10, 10):
        items.add({QUAD: text(gsd=gsd)})
        items.add({ItemKey("february", "quad"): text(gsd=1)})
    assert items.among([QUAD, ItemKey("february", "quad")]).keys() == {("february", "quad")}
    assert items.differences() == {QUAD: "gsd is 5 and 10"}


def test_the_last_items_are_kept():
    items = RememberedItems(3)
    keys = [ItemKey("january", str(number)) for number in range(5)]
    items.add({key: text() for key in keys})
    assert [key for key in keys if items.get(key)] == keys[2:]
    items.add({keys[2]: text()})
    items.add({keys[0]: text()})
    assert [key for key in keys if items.get(key)] == [keys[0], keys[2], keys[4]]


def test_threads_may_add_at_the_same_time():
    items = RememberedItems(64)

    def add(name: str) -> None:
        for number in range(200):
            items.add({ItemKey(name, str(number)): text()})

    threads = [threading.Thread(target=add, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(items) == 64


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_what_its_parent_had_even_if_a_thread_was_adding():
    items = RememberedItems(8)
    items.add({QUAD: text()})
    with items._lock.get():  # as a thread of the parent would hold it
        child = multiprocessing.get_context("fork").Process(target=_expect, args=(items,))
        child.start()
        child.join(30)
    assert child.exitcode == 0


def _expect(items: RememberedItems) -> None:
    assert items.get(QUAD) is not None
