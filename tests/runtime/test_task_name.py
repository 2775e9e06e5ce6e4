from concurrent.futures import ThreadPoolExecutor

from stacchip.runtime.concurrently import map_concurrently, stream_concurrently
from stacchip.runtime.task_name import current_task, in_this_task, named_task


def name_of(_: object) -> str | None:
    return current_task.get()


def test_calls_at_once_belong_to_the_task_of_their_caller():
    with named_task("row 7 (29RKH)"):
        assert map_concurrently(name_of, range(5)) == ["row 7 (29RKH)"] * 5
        assert list(stream_concurrently(name_of, range(3), ahead=2)) == ["row 7 (29RKH)"] * 3
    assert map_concurrently(name_of, range(5)) == [None] * 5


def test_threads_of_several_tasks_do_not_mix():
    def work(number):
        with named_task(f"row {number}"), ThreadPoolExecutor(3) as inner:
            return list(inner.map(in_this_task(name_of), range(6)))

    with ThreadPoolExecutor(4) as outer:
        assert list(outer.map(work, range(8))) == [[f"row {number}"] * 6 for number in range(8)]


def test_a_task_within_a_task_ends_where_it_began():
    with named_task("row 1"):
        with named_task("row 1, item a"):
            assert current_task.get() == "row 1, item a"
        assert current_task.get() == "row 1"
