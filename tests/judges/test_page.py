"""docs/judges.md says what there is: keys, readings, names and filters, and its judge files are valid."""

import re
from pathlib import Path

import pytest

from judgebench.judges.judge_files import KEYS, RULE_KEYS, SAMPLING, read_judge_file
from judgebench.judges.own_prompts import COMMON, FILTERS, OF_ONE, OF_PAIR
from judgebench.judges.verdict_rules import READINGS
from judgebench.run.known_judges import check_file

PAGE = (Path(__file__).parents[2] / "docs" / "judges.md").read_text()
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
