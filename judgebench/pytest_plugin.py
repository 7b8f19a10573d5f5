"""A gate inside a test suite: ``judgebench_run`` opens a run, ``assert_no_regression`` fails where the gate does.

    from judgebench.pytest_plugin import assert_no_regression

    def test_checkpoint(judgebench_run):
        assert_no_regression(judgebench_run("runs/candidate"), judgebench_run("runs/baseline.zip"), max_drop=1.0)

pytest finds the fixture by itself where judgebench is installed. Nothing of judgebench is imported before it is used.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from judgebench.gating.verdicts import Gate, OnInconclusive
    from judgebench.run.reading import Run


class InconclusiveGate(UserWarning):
    """The items of two runs cannot tell whether the candidate is worse."""


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
