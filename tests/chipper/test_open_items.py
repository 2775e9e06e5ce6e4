"""Items that are opened, that fail, and that are let go of."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from stacchip.chipper.open_items import OpenItems
from stacchip.errors import ObjectNotFound

A, B = ("mine", "a"), ("mine", "b")


@dataclass(eq=False)
class Item:
    """An open item."""

    is_read_by_gdal: bool = False


class Opener:
    """Counts how often an item is opened; its first openings end otherwise."""

    def __init__(self, *endings: BaseException | Callable[[], None], by_gdal: bool = False) -> None:
        self.endings = list(endings)
        self.by_gdal = by_gdal
        self.count = 0

    def __call__(self) -> Item:
        self.count += 1
        if self.endings:
            ending = self.endings.pop(0)
            if isinstance(ending, BaseException):
                raise ending
            ending()
        return Item(self.by_gdal)


def test_an_item_is_opened_once():
    items, opener = OpenItems(2), Opener()
    assert items.get(A, opener) is items.get(A, opener)
    assert opener.count == 1


def test_the_items_that_were_used_last_are_kept():
    items, opener = OpenItems(2), Opener()
    kept = items.get(A, opener)
    items.get(B, opener)
    assert items.get(A, opener) is kept
    items.get(("mine", "c"), opener)
    assert items.get(A, opener) is kept, "b was used longer ago"
    assert opener.count == 3
    items.get(B, opener)
    assert opener.count == 4


def test_items_of_two_platforms_are_not_taken_for_each_other():
    items, opener = OpenItems(2), Opener()
    assert items.get(("mine", "a"), opener) is not items.get(("yours", "a"), opener)


def test_few_items_that_gdal_reads_are_kept():
    items, by_gdal, opener = OpenItems(10, most_by_gdal=2), Opener(by_gdal=True), Opener()
    items.get(A, opener)
    for number in range(5):
        items.get(("mine", str(number)), by_gdal)
    items.get(("mine", "4"), by_gdal)
    items.get(("mine", "3"), by_gdal)
    assert by_gdal.count == 5
    items.get(("mine", "2"), by_gdal)
    assert by_gdal.count == 6
    items.get(A, opener)
    assert opener.count == 1


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), RuntimeError("a bug")])
def test_an_opening_that_was_interrupted_is_not_kept(ending):
    items, opener = OpenItems(2, keep_failures=True), Opener(ending)
    with pytest.raises(type(ending)):
        items.get(A, opener)
    assert isinstance(items.get(A, opener), Item)


def test_who_waits_for_an_opening_that_is_interrupted_opens_it():
    begun, waited = threading.Event(), threading.Event()

    def interrupt() -> None:
        begun.set()
        waited.wait(30)
        raise KeyboardInterrupt

    items, opener, found = OpenItems(2), Opener(interrupt), []
    threads = [
        threading.Thread(target=pytest.raises, args=(KeyboardInterrupt, items.get, A, opener)),
        threading.Thread(target=lambda: found.append(items.get(A, opener))),
    ]
    threads[0].start()
    begun.wait(30)
    threads[1].start()
    waited.set()
    for thread in threads:
        thread.join(30)
    assert len(found) == 1
    assert opener.count == 2


def test_threads_that_ask_for_an_item_share_one_opening():
    ready = threading.Event()
    items, opener, found = OpenItems(2), Opener(lambda: ready.wait(30)), []
    threads = [
        threading.Thread(target=lambda: found.append(items.get(A, opener))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    ready.set()
    for thread in threads:
        thread.join(30)
    assert opener.count == 1
    assert len(set(map(id, found))) == 1 < len(found)


def test_an_item_that_is_prepared_is_opened_in_the_background():
    begun, ready = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        ready.wait(30)

    items, opener = OpenItems(2), Opener(wait)
    items.prepare(A, opener)
    assert begun.wait(30)
    items.prepare(A, opener)
    ready.set()
    items.get(A, opener)
    assert opener.count == 1


def test_an_item_opened_ahead_in_vain_is_opened_by_who_asks():
    items, opener = OpenItems(2), Opener(RuntimeError("a bug"))
    items.prepare(A, opener)
    assert isinstance(items.get(A, opener), Item)


def test_a_failure_is_kept_until_it_is_forgotten():
    items, opener = OpenItems(2, keep_failures=True), Opener(ObjectNotFound("gone", href="a"))
    errors = []
    for _ in range(3):
        with pytest.raises(ObjectNotFound) as raised:
            items.get(A, opener)
        errors.append(raised.value)
    assert opener.count == 1
    assert len({len(list(traces(error))) for error in errors}) == 1, "no traceback grows"
    assert errors[0].facts == errors[1].facts == {"href": "a"}
    items.forget_failures()
    assert isinstance(items.get(A, opener), Item)


def traces(error: BaseException):
    trace = error.__traceback__
    while trace is not None:
        yield trace
        trace = trace.tb_next


def test_a_failure_is_tried_again_unless_it_is_kept():
    cause = OSError("reset")
    error = ObjectNotFound("gone", href="a")
    error.__cause__ = cause
    items, opener = OpenItems(2), Opener(error)
    with pytest.raises(ObjectNotFound, match="gone") as raised:
        items.get(A, opener)
    assert raised.value.__cause__ is cause
    assert isinstance(items.get(A, opener), Item)


def test_a_pickle_has_the_limits_and_no_item():
    items, opener = OpenItems(1, keep_failures=True), Opener(ObjectNotFound("gone"))
    again = pickle.loads(pickle.dumps(items))
    for _ in range(2):
        with pytest.raises(ObjectNotFound):
            again.get(A, opener)
    assert opener.count == 1
    again.get(B, opener)
    again.get(A, opener)
    again.get(B, opener)
    assert opener.count == 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_waits_for_nothing_of_its_parent():
    begun, done = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        done.wait(20)

    items, opener = OpenItems(2), Opener(hang)
    thread = threading.Thread(target=items.get, args=(A, opener))
    thread.start()
    begun.wait(30)
    process = os.fork()
    if not process:
        threading.Timer(5, os._exit, (1,)).start()
        found = items.get(A, opener)
        os._exit(0 if isinstance(found, Item) else 2)
    done.set()
    thread.join(30)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0
