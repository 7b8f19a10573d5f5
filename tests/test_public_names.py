"""What ``import judgebench`` gives."""

from importlib.metadata import version
from pathlib import Path

import judgebench


def test_all_is_sorted_and_complete() -> None:
    """``__all__`` lists each public name once, in order, and each can be had."""
    assert sorted(set(judgebench.__all__)) == list(judgebench.__all__)
    for name in judgebench.__all__:
        assert hasattr(judgebench, name)


def test_the_version_is_the_installed_one() -> None:
    """``__version__`` and the metadata of the installed distribution are one number."""
    assert judgebench.__version__ == version("judgebench")


def test_no_module_hides_a_public_name() -> None:
    """A submodule becomes an attribute of the package once it is imported, so none is called like a public name."""
    modules = {path.stem for path in Path(judgebench.__path__[0]).iterdir()}
    assert not modules & set(judgebench.__all__)
