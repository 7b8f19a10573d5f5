"""A gate inside a test suite: ``judgebench_run`` opens a run, ``assert_no_regression`` fails where the gate does.

    from judgebench.pytest_plugin import assert_no_regression

    def test_checkpoint(judgebench_run):
        assert_no_regression(judgebench_run("runs/candidate"), judgebench_run("runs/baseline.zip"), max_drop=1.0)

pytest finds the fixture by itself where judgebench is installed. Nothing of judgebench is imported before it is used.

``pytest --judgebench-mirror DIR``, or ``judgebench_mirror = DIR`` in pytest's configuration, names a folder with
official files, as ``--mirror`` does for the commands; those of ``JUDGEBENCH_MIRROR`` come after it.
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from judgebench.gating.verdicts import Gate, OnInconclusive
    from judgebench.run.reading import Run


MIRROR = "JUDGEBENCH_MIRROR"


class InconclusiveGate(UserWarning):
    """The items of two runs cannot tell whether the candidate is worse."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the setting that name mirrors. Another plug-in may well have a ``--mirror`` of its own."""
    about = "Folder to search for judgebench's official files, by content. Repeatable. Also JUDGEBENCH_MIRROR."
    group = parser.getgroup("judgebench")
    group.addoption("--judgebench-mirror", action="append", default=[], metavar="DIR", type=Path, help=about)
    parser.addini("judgebench_mirror", about, type="paths", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Let every function and command that the suite calls search the mirrors."""
    given = [config.invocation_params.dir / path for path in config.getoption("--judgebench-mirror")]
    folders = [*map(str, (*given, *config.getini("judgebench_mirror"))), os.environ.get(MIRROR, "")]
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    if folders != [""]:
        patch.setenv(MIRROR, os.pathsep.join(filter(None, folders)))


@pytest.fixture(scope="session")
def judgebench_run(request: pytest.FixtureRequest) -> "Callable[..., Run]":
    """Open a run folder or an archive, each once a session. Relative paths start at pytest's root folder.

    ``judgebench_run(path, tasks="mine/task.py")`` opens a run that was made with a task of your own: a run folder
    cannot name code.
    """
    from judgebench.run.reading import read_run
    from judgebench.tasks import task_files

    root, opened = request.config.rootpath, {}

    def open_once(path: str | Path, tasks: str | Path | None = None) -> "Run":
        asked = root / path, tasks
        if asked not in opened:
            opened[asked] = read_run(root / path, task_files("" if tasks is None else str(root / tasks)))
        return opened[asked]

    return open_once


def assert_no_regression(
    candidate: "Run",
    baseline: "Run | str",
    *,
    max_drop: float | None = None,
    policy: str | Path | None = None,
    on_inconclusive: "OnInconclusive" = "fail",
) -> "Gate":
    """Fail the test unless the gate passes; otherwise return the gate.

    Parameters
    ----------
    candidate
        A run, from ``judgebench_run``.
    baseline
        A run, or ``published:MODEL`` for a row of a published table.
    max_drop
        Largest accepted loss of each task's headline, in its unit.
    policy
        A policy file, instead of ``max_drop``.
    on_inconclusive
        What happens if the items cannot tell: ``fail`` the test, ``warn`` (``InconclusiveGate``), or ``pass``.

    Raises
    ------
    AssertionError
        With a sentence for each check that did not pass.
    UsageError
        If there is nothing to gate, or the protocols differ.
    """
    from judgebench.api import gate
    from judgebench.display import printable
    from judgebench.gating.ci_reports import outcome, sentence
    from judgebench.gating.verdicts import exit_code

    __tracebackhide__ = True
    result = gate(baseline, candidate, max_drop=max_drop, policy=policy).record
    failing = [printable(sentence(check)) for check in result.checks if outcome(check, on_inconclusive) != "passed"]
    if exit_code(result, on_inconclusive):
        raise AssertionError("\n".join(failing))
    for line in failing:
        warnings.warn(line, InconclusiveGate, stacklevel=2)
    return result
