"""What ``import judgebench`` gives."""

import importlib
import inspect
import re
from importlib.metadata import version
from pathlib import Path

import judgebench
from judgebench import errors


def test_all_is_sorted_and_complete() -> None:
    """``__all__`` lists each public name once, in order, and each can be had."""
    assert sorted(set(judgebench.__all__)) == list(judgebench.__all__)
    for name in judgebench.__all__:
        assert hasattr(judgebench, name)


def test_the_version_is_the_installed_one() -> None:
    """``__version__`` and the metadata of the installed distribution are one number."""
    assert judgebench.__version__ == version(errors.DISTRIBUTION)


def test_no_module_hides_a_public_name() -> None:
    """A submodule becomes an attribute of the package once it is imported, so a public name of its own is it."""
    modules = {path.stem for path in Path(judgebench.__path__[0]).iterdir()}
    for name in modules & set(judgebench.__all__):
        assert getattr(judgebench, name) is importlib.import_module(f"judgebench.{name}")


def test_every_error_that_a_function_raises_is_a_public_name() -> None:
    """All but those that end a process, a command of several runs or a single case, which Python never sees."""
    classes = filter(inspect.isclass, vars(errors).values())
    raised = {error.__name__ for error in classes if issubclass(error, BaseException)}
    assert raised - set(judgebench.__all__) == {"Terminated", "Interrupted", "SeveralFailed", "UnfilledPrompt"}


def test_the_page_on_statistics_names_every_module() -> None:
    """But ``arrays``, which only names types, and ``newton`` and ``left_out``, which others compute with."""
    inner = {"__init__", "arrays", "newton", "left_out"}
    modules = {path.stem for path in Path(judgebench.stats.__path__[0]).glob("*.py")} - inner
    assert modules == set(re.findall(r"``(\w+)``", (judgebench.stats.__doc__ or "").partition("====")[2]))
