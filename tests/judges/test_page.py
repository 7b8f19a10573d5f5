"""docs/judges.md says what there is: keys, readings, names and filters, and its judge files are valid."""

import re
from pathlib import Path

import pytest

from judgebench.auditing.asking import REPEATED_ITEMS
from judgebench.auditing.audits import suites_known
from judgebench.auditing.biases import LEAST_SANE
from judgebench.auditing.protocols import PAIR, RULES
from judgebench.exchange.judge_cards import FIRST
from judgebench.judges.judge_files import KEYS, RULE_KEYS, SAMPLING, read_judge_file
from judgebench.judges.own_prompts import COMMON, FILTERS, OF_ONE, OF_PAIR
from judgebench.judges.verdict_rules import READINGS
from judgebench.run.known_judges import check_file
from tests.commands import judgebench

PAGE = (Path(__file__).parents[2] / "docs" / "judges.md").read_text()
AUDITS = PAGE.partition("## What is a judge worth?")[2]
COMMANDS = re.findall(r"^judgebench (judges .*)$", AUDITS, re.MULTILINE)
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(
    "names",
    [KEYS, (*RULE_KEYS[1:], "read ="), SAMPLING, FILTERS, (*COMMON, *OF_ONE, *OF_PAIR)],
    ids=lambda names: names[0],
)
def test_the_page_names_each(names: tuple[str, ...]) -> None:
    """In code, so that it can be copied."""
    assert [name for name in names if f"`{name}" not in PAGE] == []


def test_the_page_names_every_reading() -> None:
    """As it is written in the file."""
    assert [reading for reading in READINGS if f'`"{reading}"`' not in PAGE] == []


@pytest.mark.parametrize("text", BLOCKS, ids=lambda text: text.split("read = ")[1].split("\n")[0])
def test_its_judge_files_are_valid_and_fit_some_task(text: str, tmp_path: Path) -> None:
    """Each block is a whole file."""
    path = tmp_path / "judge.toml"
    path.write_text(text)
    assert read_judge_file(path).models == ("builtin:tiny",)
    assert check_file(path).fits


def test_the_page_names_every_suite_probe_and_flag_of_an_audit() -> None:
    """What `--on` takes, what the card shows, and the labels and limits that the text speaks of."""
    names = {*suites_known(), *FIRST, "--task", "--limit", "--repeats", "--vendors", "--budget", *RULES[PAIR].labels}
    assert {name for name in names if f"`{name}" not in AUDITS} == set()
    assert f"below {100 * LEAST_SANE:.0f} % must not be used" in AUDITS
    assert f"{REPEATED_ITEMS} pairs of the last suite" in AUDITS


@pytest.mark.parametrize("words", COMMANDS)
def test_its_commands_are_understood(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets as far as it does without a key, a network or an earlier audit: no flag of it is unknown."""
    monkeypatch.chdir(tmp_path)
    Path("judge.toml").write_text(BLOCKS[0])
    if words == "judges audit builtin:tiny":
        assert "nothing was asked" in judgebench([*words.split(), "--dry-run"]).stdout
    elif "compare" in words:
        assert "is on this machine" in judgebench(words.split(), code=2).stderr
    else:
        ended = judgebench([*words.split(), "--offline"], code=None, JUDGEBENCH_MIRROR="")
        assert "not here" in ended.stderr
