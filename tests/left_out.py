"""What a run of the tests says at its end: how many were left out, for want of what, and how to get it.

The section "left out" says it at length, the very last line in short.

``tests/conftest.py`` names this module in ``pytest_plugins``.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.shared_data import CONTENTS, FOLDER, VARIABLE, WANT

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
DISTRIBUTIONS = {"sklearn": "scikit-learn", "fastchat": "fschat"}
"""Of packages whose name on the index is not that of the import."""
Report = pytest.TestReport | pytest.CollectReport


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Below all else that is said after the tests."""
    yield
    if skipped := terminalreporter.stats.get("skipped"):
        terminalreporter.section("left out")
        terminalreporter.write("".join(f"{line}\n" for line in lines(skipped)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Below pytest's own last line."""
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and (skipped := reporter.stats.get("skipped")):
        reporter.write_line(last_line(skipped))


def last_line(skipped: Sequence[Report]) -> str:
    """How many were left out, and why, in one line."""
    data, others = by_want(skipped)
    reasons = [f"{other} ({amount(own)})" for other, own in others.items()]
    if data:
        kinds = ", ".join(f"{kind} {len(own)}" for kind, own in data.items())
        reasons.insert(0, f"no published data here ({kinds})")
    return f"left out: {amount(skipped)}: {'; '.join(reasons)}"


def by_want(skipped: Iterable[Report]) -> tuple[dict[str, list[Report]], dict[str, list[Report]]]:
    """Skipped tests that want published data, by kind, and those that want anything else, by what it is."""
    reports: dict[str, list[Report]] = {}
    for report in skipped:
        reports.setdefault(want(report), []).append(report)
    data = {kind: reports.pop(WANT + kind) for kind in CONTENTS if WANT + kind in reports}
    return data, reports


def lines(skipped: Iterable[Report]) -> Iterator[str]:
    """What is said of skipped tests, grouped by what they want."""
    data, others = by_want(skipped)
    if data:
        number = amount([report for own in data.values() for report in own])
        yield f"{number}: the published data that they need are not here; licences keep them out of this repository."
        yield f"{VARIABLE} (now: {FOLDER or 'empty'}) must name a folder that has in it"
    for kind, own in data.items():
        yield f"    {kind}/ ({amount(own)}): {CONTENTS[kind]}"
    for other, own in others.items():
        yield f"{amount(own)}: {other}"


def want(report: Report) -> str:
    """Why it was skipped, and where a package cannot be imported, what installs it."""
    assert isinstance(report.longrepr, tuple)
    reason = report.longrepr[2].removeprefix("Skipped: ")
    package = re.match(r"could not import '(\w+)", reason)
    return f"needs {package[1]}; pip install {installed_by(package[1])}" if package else reason


def amount(reports: Sequence[Report]) -> str:
    """Their number; a file that is skipped while it is collected does not say how many tests it has."""
    files = sum(isinstance(report, pytest.CollectReport) for report in reports)
    numbers = {"test": len(reports) - files, "whole file": files}
    return " and ".join(f"{number} {what}{'s' * (number > 1)}" for what, number in numbers.items() if number)


def installed_by(package: str) -> str:
    """The extra of ours that holds a package, or else the package's own name."""
    name = DISTRIBUTIONS.get(package, package.replace("_", "-"))
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    ours = [extra for extra, needs in extras.items() if name in {re.split(r"[<>=!~\[ ]", need)[0] for need in needs}]
    return f"'judgebench[{ours[0]}]'" if ours else name
