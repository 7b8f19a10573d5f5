"""What ``import judgebench`` gives."""

from importlib.metadata import version

import judgebench


def test_all_is_sorted_and_complete() -> None:
    """``__all__`` lists each public name once, in order, and each can be had."""
    assert sorted(set(judgebench.__all__)) == list(judgebench.__all__)
    for name in judgebench.__all__:
        assert hasattr(judgebench, name)


def test_the_version_is_the_installed_one() -> None:
    """``__version__`` and the metadata of the installed distribution are one number."""
    assert judgebench.__version__ == version("judgebench")
