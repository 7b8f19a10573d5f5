"""What a process says it does beside asking models."""

import threading

from judgebench.activity import current, doing


def test_the_innermost_activity_of_each_thread_is_current() -> None:
    """And nothing is left when a block has ended, however it ends."""
    begun, end = threading.Event(), threading.Event()

    def other() -> None:
        with doing("elsewhere"):
            begun.set()
            end.wait()

    thread = threading.Thread(target=other)
    with doing("outer"):
        thread.start()
        begun.wait()
        try:
            with doing("inner"):
                assert {activity.what for activity in current()} == {"inner", "elsewhere"}
                raise KeyError
        except KeyError:
            assert {activity.what for activity in current()} == {"outer", "elsewhere"}
        end.set()
        thread.join()
    assert current() == []
