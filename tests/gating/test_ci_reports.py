"""Reports of the gate are what CI systems read, whatever the models and tasks in them are called."""

import re
import unicodedata

import pytest

from judgebench.gating.ci_reports import (
    annotations,
    command_data,
    command_property,
    junit,
    outcome,
    outputs,
    remarks,
    sentence,
)
from tests.junit_schema import require_junit
from tests.made_gates import check, gate_of

HOSTILE = (
    "x\n::error title=owned::boo",
    "::set-output name=verdict::PASS",
    "a%0A::error::b%25",
    "\x1b[31mred\x1b[0m\x07",
    "\u202eneg\u2066",
    "]]></failure><script>alert(1)</script>",
    "nul\x00byte",
    "lone\ud800surrogate",
    "\ufffe\uffff",
    "a,b:c;d=e",
    "##[error]v1",
    "| pipe | *bold* [link](http://x) `code`",
    "verdict=PASS\nother=1",
    "\u2028line\u2029paragraph\r\x85",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_junit_is_valid_and_holds_the_name_as_text(name: str) -> None:
    """A well-formed file of the schema with the same elements for any name, and no control character in it."""
    result = gate_of(check(task=name, reason=name), check("INCONCLUSIVE"), check("PASS"), name=name, notes=(name,))
    content = junit(result, "fail", "2026-01-01T00:00:00Z")
    root = require_junit(content)
    assert [element.tag for element in root.iter()].count("failure") == 2
    assert not root.findall(".//script")
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs") or c == "\n" for c in content.decode())


def test_junit_says_what_failed_and_what_was_skipped() -> None:
    """Failed: a block, and an inconclusive one unless that passes; skipped: what only warns."""
    checks = (check(), check(tier="warn"), check("INCONCLUSIVE", n_to_decide=1200), check("PASS"))
    endings = {}
    for how in ("fail", "warn", "pass"):
        root = require_junit(junit(gate_of(*checks), how, "2026-01-01T00:00:00Z"))
        endings[how] = [case[0].tag if len(case) else "passed" for case in root.iter("testcase")]
    assert endings["fail"] == ["failure", "skipped", "failure", "passed"]
    assert endings["warn"] == ["failure", "skipped", "skipped", "passed"]
    assert endings["pass"] == ["failure", "skipped", "passed", "passed"]
    said = sentence(checks[2])
    assert "needs about 1,200 items (there are 100; about 500 if the models are equal)" in said
    assert len(remarks(checks[2])) < len(said)


@pytest.mark.parametrize("name", HOSTILE)
def test_an_annotation_is_one_command_whatever_the_name(name: str) -> None:
    """One line for each check that did not pass, with one property, whose value and message decode to shown text."""
    lines = annotations(gate_of(check(task=name), check("PASS"), check("INCONCLUSIVE", metric=name), name=name), "warn")
    assert len(lines) == 2
    for line, command in zip(lines, ("error", "warning"), strict=True):
        assert len(line.splitlines()) == 1
        # As the runner parses it: up to the first "::" after the command are properties, split at commas.
        parsed = re.fullmatch(r"::(\w+) ([^:]*)::(.*)", line)
        assert parsed is not None
        assert parsed[1] == command
        assert parsed[2].count("=") >= 1
        assert "," not in parsed[2]
        assert parsed[2].startswith("title=judgebench gate")
        assert not re.search(r"%(?!25|3A|2C|0A|0D)", line)
        assert line.isprintable()


def test_escapes_are_those_of_the_runner() -> None:
    """The toolkit's table: per cent, line ends, and in properties colon and comma."""
    assert command_data("50 % a%0Ab") == "50 %25 a%250Ab"
    assert command_property("a:b,c%") == "a%3Ab%2Cc%25"


@pytest.mark.parametrize("name", HOSTILE)
def test_outputs_hold_no_name(name: str) -> None:
    """Four lines of our own words, so that no name can set another output."""
    text = outputs(gate_of(check(task=name), name=name, notes=(name,)), 1)
    assert text == "verdict=FAIL\nexit-code=1\nfailed=1\ninconclusive=0\n"


def test_a_check_without_a_difference_has_a_sentence() -> None:
    """Nothing is formatted that is not there."""
    bare = check("INCONCLUSIVE", difference=None, low=None, high=None, baseline_value=None, candidate_value=None)
    assert "no difference can be computed" in sentence(bare)
    assert outcome(bare, "pass") == "passed"
