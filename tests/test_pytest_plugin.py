"""The gate inside a test suite, through pytest itself."""

import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.made_runs import write_run

ROOT = Path(__file__).parents[1]
BEFORE, AFTER = [1.0] * 200 + [0.0] * 200, [0.0] * 60 + [1.0] * 140 + [0.0] * 200


ASKED = "assert_no_regression(unclear, baseline, max_drop=1.0{})"
BODIES = {
    "regression": "assert_no_regression(candidate, baseline, max_drop=2.0)",
    "as_good": "assert assert_no_regression(baseline, read_again, max_drop=2.0).verdict == 'PASS'",
    "read_once": "assert read_again is baseline",
    "inconclusive": ASKED.format(""),
    "inconclusive_warns": ASKED.format(", on_inconclusive='warn'"),
    "inconclusive_passes": ASKED.format(", on_inconclusive='pass'"),
    "policy": "assert_no_regression(candidate, baseline, policy='gate.toml')",
    "neither": "assert_no_regression(candidate, baseline)",
    "missing_run": "judgebench_run('runs/none')",
    "mirrors": "assert [path.name for path in mirror_folders(())] == ['given', 'set', 'in_environment']",
}
"""Bodies of the tests of the suite, which stops at no warning but in ``inconclusive_passes``."""
TEST = """
{mark}
def test_{name}(judgebench_run):
    baseline, candidate, unclear, read_again = map(judgebench_run, RUNS)
    {body}
"""


@dataclass(frozen=True)
class Suite:
    """How a suite of tests ended."""

    failures: dict[str, str]
    """What each test that failed says."""
    passed: frozenset[str]
    warnings: str


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """A test suite, run once by a pytest of its own, with three runs beside it: a baseline, a candidate 15 points worse
    and one of which it is unclear.
    """
    folder = tmp_path_factory.mktemp("suite")
    write_run(folder / "runs" / "baseline", BEFORE)
    write_run(folder / "runs" / "candidate", AFTER)
    write_run(folder / "runs" / "unclear", [0.0] * 16 + BEFORE[16:388] + [1.0] * 12)
    (folder / "gate.toml").write_text("[tasks.gsm8k]\nmax_drop = 30\n")
    strict = "@pytest.mark.filterwarnings('error::judgebench.pytest_plugin.InconclusiveGate')"
    tests = [
        TEST.format(name=name, body=body, mark=strict if name == "inconclusive_passes" else "")
        for name, body in BODIES.items()
    ]
    runs = [f"runs/{name}" for name in ("baseline", "candidate", "unclear", "baseline")]
    imports = (
        "from judgebench.pytest_plugin import assert_no_regression\nfrom judgebench.run.settings import mirror_folders"
    )
    head = f"import pytest\n{imports}\nRUNS = {runs}\n"
    for name in ("given", "set", "in_environment"):
        (folder / name).mkdir()
    (folder / "pytest.ini").write_text("[pytest]\njudgebench_mirror = set\n")
    (folder / "test_suite.py").write_text(head + "".join(tests))
    command = [sys.executable, "-m", "pytest", "-p", "judgebench.pytest_plugin", "--junitxml", "report.xml"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JUDGEBENCH_MIRROR": str(folder / "in_environment")}
    ended = subprocess.run(
        [*command, "--judgebench-mirror", "given"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    cases = list(ElementTree.parse(folder / "report.xml").iter("testcase"))
    told = {str(case.get("name")).removeprefix("test_"): case.findtext("failure") for case in cases}
    return Suite(
        failures={name: text for name, text in told.items() if text is not None},
        passed=frozenset(name for name, text in told.items() if text is None),
        warnings=ended.stdout.rpartition("warnings summary")[2],
    )


def test_a_regression_fails_the_test(suite: Suite) -> None:
    """The failure is the check's sentence, and the traceback ends in the test."""
    failure = suite.failures["regression"]
    assert "FAIL: gsm8k@chat exact_match_strict 35.00 against 50.00, -15.00" in failure
    assert "pytest_plugin.py" not in failure


def test_a_candidate_that_is_as_good_passes(suite: Suite) -> None:
    """The result is returned; a run opened twice is read once."""
    assert {"as_good", "read_once"} <= suite.passed


def test_inconclusive_fails_unless_it_may_pass(suite: Suite) -> None:
    """By default it fails; ``warn`` is a warning of its own class, ``pass`` is silent."""
    assert "INCONCLUSIVE" in suite.failures["inconclusive"]
    assert {"inconclusive_warns", "inconclusive_passes"} <= suite.passed
    assert "test_inconclusive_warns" in suite.warnings
    assert "InconclusiveGate" in suite.warnings
    assert "1 warning" in suite.warnings


def test_a_policy_file_and_no_policy(suite: Suite) -> None:
    """A policy does for ``max_drop``; neither, or a missing run, is an error that says so."""
    assert "policy" in suite.passed
    assert "UsageError: say how much may be lost, in one of the two ways" in suite.failures["neither"]
    assert re.search(r"UsageError: .*none", suite.failures["missing_run"])


def test_the_plugin_costs_other_suites_nothing() -> None:
    """It is imported in every session of pytest: nothing of judgebench, and no array library, comes with it."""
    code = (
        "import sys, judgebench.pytest_plugin as p; "
        "print(sorted(m for m in sys.modules if m.startswith(('judgebench.', 'numpy', 'scipy', 'msgspec'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "['judgebench.pytest_plugin']"


def test_pytest_finds_the_plugin_by_itself() -> None:
    """The entry point has the module's own name, so that ``-p`` names the same plug-in."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    assert points == {"judgebench.pytest_plugin": "judgebench.pytest_plugin"}
