"""A clone without the published data: its tests pass or are left out, and the last lines say for want of what."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.shared_data import CONTENTS, VARIABLE

ROOT = Path(__file__).parents[1]
WANTING = """
import pytest
from tests.shared_data import SHARED, SharedData, each

MATH = SharedData("math", "responses")


def test_needs_nothing() -> None:
    assert not (SharedData("gsm8k").is_here and MATH.is_here)


def test_reads_a_file(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (MATH / "answers.txt").read_text() == "42"


@pytest.fixture(scope="module")
def mirror(shared_data):
    return shared_data / "upstream"


@pytest.mark.parametrize("number", [1, 2])
def test_reads_through_a_fixture(mirror, number) -> None:
    assert mirror.is_dir()


def sizes():
    return [(path.name, path.stat().st_size) for path in MATH.path.iterdir()]


@pytest.mark.parametrize(("name", "size"), each(sizes, names=2))
def test_reads_while_it_is_collected(name: str, size: int) -> None:
    assert (name, size) == ("answers.txt", 2)


def test_needs_a_package() -> None:
    pytest.importorskip("mlflow.no_such_module")
"""
WHOLE_FILE = """
import pytest

pytest.importorskip("no_such_package")
"""
Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs those tests in a process of its own, with the variable as given."""
    pytester.makepyfile(test_wanting=WANTING, test_whole_file=WHOLE_FILE)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("JUDGEBENCH_TEST_READERS", raising=False)

    def with_data(value: str | Path, *flags: str) -> pytest.RunResult:
        monkeypatch.setenv(VARIABLE, str(value))
        monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
        return pytester.runpytest_subprocess("-p", "tests.shared_data", "-p", "tests.left_out", *flags)

    return with_data


def last_lines(ended: pytest.RunResult) -> list[str]:
    """What is said between the heading and the count of everything."""
    at = next(number for number, line in enumerate(ended.outlines) if re.fullmatch("=+ left out =+", line))
    return [line for line in ended.outlines[at + 1 : -2] if line]


@pytest.mark.parametrize(
    ("value", "flags"), [("", ()), ("/no/such/folder", ("-n", "2"))], ids=["one process", "two processes"]
)
def test_what_is_left_out_is_said_last(value: str, flags: tuple[str, ...], run: Run) -> None:
    """How many tests, for want of which data and packages, and how to get them; the run passes."""
    ended = run(value, *flags)
    ended.assert_outcomes(passed=1, skipped=6)
    assert ended.ret == 0
    data, variable, *rest = last_lines(ended)
    assert data.startswith("4 tests: the published data")
    assert variable.startswith(f"{VARIABLE} (now: {value or 'empty'}) must name a folder")
    assert sorted(rest) == [
        f"    math/ (2 tests): {CONTENTS['math']}",
        f"    upstream/ (2 tests): {CONTENTS['upstream']}",
        "1 test: needs mlflow; pip install 'judgebench[mlflow]'",
        "1 whole file: needs no_such_package; pip install no-such-package",
    ]
    count, *reasons = re.split(": |; (?=needs)", ended.outlines[-1].removeprefix("left out: "))
    assert count == "5 tests and 1 whole file"
    assert reasons[0] == "no published data here (math 2, upstream 2)"
    assert sorted(reasons[1:]) == [
        "needs mlflow; pip install 'judgebench[mlflow]' (1 test)",
        "needs no_such_package; pip install no-such-package (1 whole file)",
    ]


def test_a_run_that_leaves_nothing_out_says_nothing_of_it(pytester: pytest.Pytester, run: Run) -> None:
    """Its last line is pytest's own."""
    ended = run("", "test_wanting.py::test_needs_nothing")
    assert ended.ret == 0
    assert "1 passed" in ended.outlines[-1]
    assert not any("left out" in line for line in ended.outlines)


def test_data_that_are_there_are_read(run: Run, tmp_path: Path, pytester: pytest.Pytester) -> None:
    """From wherever a test works; a part of them is enough for the tests that want no other."""
    (tmp_path / "data" / "math" / "responses").mkdir(parents=True)
    (tmp_path / "data" / "math" / "responses" / "answers.txt").write_text("42")
    ended = run(os.path.relpath(tmp_path / "data", pytester.path))
    ended.assert_outcomes(passed=3, skipped=4)
    assert [line for line in last_lines(ended) if line.startswith(" ")] == [
        f"    upstream/ (2 tests): {CONTENTS['upstream']}"
    ]


def test_without_data_only_those_run_again_that_ask_for_them(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first run with data writes down who asks, the first of those that share it; the next leaves out the rest."""
    (tmp_path / "data" / "upstream").mkdir(parents=True)
    monkeypatch.setenv("JUDGEBENCH_TEST_READERS", str(tmp_path / "readers"))
    run(tmp_path / "data").assert_outcomes(passed=3, skipped=4)
    asked = {line.partition("::")[2] for line in (tmp_path / "readers").read_text().splitlines()}
    assert asked == {"test_needs_nothing", "test_reads_a_file", "test_reads_through_a_fixture[1]"}
    run("").assert_outcomes(passed=1, skipped=4, deselected=2)


def test_the_folder_is_named_in_one_place() -> None:
    """No other file of the tests reads the variable, or knows where the data lie."""
    knows = re.compile(rf'"{VARIABLE}"|"shared" / |\.\./shared/data')
    files = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py") if knows.search(path.read_text())
    }
    assert files == {"tests/shared_data.py", "tests/test_left_out.py"}


def test_every_kind_of_data_is_asked_for() -> None:
    """CONTENTS holds no folder that no test asks for."""
    texts = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py") if path.name != "shared_data.py")
    assert [kind for kind in CONTENTS if f'"{kind}"' not in texts and f'"{kind}/' not in texts] == []
