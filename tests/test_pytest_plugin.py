"""The gate inside a test suite, through pytest itself."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.made_runs import write_run

ROOT = Path(__file__).parents[1]
BEFORE, AFTER = [1.0] * 200 + [0.0] * 200, [0.0] * 60 + [1.0] * 140 + [0.0] * 200


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A test suite with two runs beside it, the candidate 15 points worse."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    write_run(pytester.path / "runs" / "baseline", BEFORE)
    write_run(pytester.path / "runs" / "candidate", AFTER)
    write_run(pytester.path / "runs" / "unclear", [0.0] * 16 + BEFORE[16:388] + [1.0] * 12)
    return pytester


def run(suite: pytest.Pytester, body: str, *arguments: str) -> pytest.RunResult:
    """Run one test with this body."""
    suite.makepyfile(
        "from judgebench.pytest_plugin import assert_no_regression\n"
        "def test_it(judgebench_run):\n"
        "    names = ('baseline', 'candidate', 'unclear')\n"
        "    baseline, candidate, unclear = (judgebench_run(f'runs/{name}') for name in names)\n"
        f"    {body}\n"
    )
    return suite.runpytest_subprocess("-p", "judgebench.pytest_plugin", *arguments)


def test_a_regression_fails_the_test(suite: pytest.Pytester) -> None:
    """The failure is the check's sentence, and the traceback ends in the test."""
    found = run(suite, "assert_no_regression(candidate, baseline, max_drop=2.0)")
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(["*FAIL: gsm8k@chat exact_match_strict 35.00 against 50.00, -15.00*"])
    assert "pytest_plugin.py" not in found.stdout.str()


def test_a_candidate_that_is_as_good_passes(suite: pytest.Pytester) -> None:
    """The result is returned; a run opened twice is read once."""
    body = "assert assert_no_regression(baseline, judgebench_run('runs/baseline'), max_drop=2.0).verdict == 'PASS'"
    run(suite, body + "\n    assert judgebench_run('runs/baseline') is baseline").assert_outcomes(passed=1)


def test_inconclusive_fails_unless_it_may_pass(suite: pytest.Pytester) -> None:
    """By default it fails; ``warn`` is a warning of its own class, ``pass`` is silent."""
    asked = "assert_no_regression(unclear, baseline, max_drop=1.0{})"
    run(suite, asked.format("")).assert_outcomes(failed=1)
    run(suite, asked.format(", on_inconclusive='warn'")).assert_outcomes(passed=1, warnings=1)
    body = asked.format(", on_inconclusive='pass'")
    run(suite, body, "-W", "error::judgebench.pytest_plugin.InconclusiveGate").assert_outcomes(passed=1)


def test_a_policy_file_and_no_policy(suite: pytest.Pytester) -> None:
    """A policy does for ``max_drop``; neither, or a missing run, is an error that says so."""
    (suite.path / "gate.toml").write_text("[tasks.gsm8k]\nmax_drop = 30\n")
    run(suite, "assert_no_regression(candidate, baseline, policy='gate.toml')").assert_outcomes(passed=1)
    found = run(suite, "assert_no_regression(candidate, baseline)")
    found.stdout.fnmatch_lines(["*UsageError: assert_no_regression needs max_drop or policy*"])
    found = run(suite, "judgebench_run('runs/none')")
    found.stdout.fnmatch_lines(["*UsageError: *none*"])


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
