"""The list of judges to turn to: until when the official ones are served, and what does in their place."""

import datetime
import tomllib

import pytest

from judgebench import tasks
from judgebench.bench import alternatives
from judgebench.models.opening import parse_model
from judgebench.resources import resource

TABLE = tomllib.loads((resource("templates") / "shutdowns.toml").read_text())
JUDGED = [name for name in tasks.names() if tasks.load(tasks.TaskSpec(name))[0].judge_models]


@pytest.mark.parametrize("name", JUDGED)
def test_every_judged_task_has_a_judge_that_is_not_shut_down(name: str) -> None:
    """One without a known last day among them, and none that was gone when the list was made."""
    judges = tasks.load(tasks.TaskSpec(name))[0].other_judges
    ends = [TABLE["shutdown"].get(spec, "9999-12-31") for spec in judges]
    assert max(ends) == "9999-12-31"
    assert min(ends) > TABLE["as_of"]
    for spec in judges:
        parse_model(spec)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        *(("alpacaeval", version) for version in ("2", "1")),
        *(("mtbench", version) for version in ("1", "vicuna")),
        *(("wildbench", version) for version in ("v2.0625", "v2.0522")),
        *(("arenahard", version) for version in ("v2.0", "v0.1")),
    ],
)
def test_the_end_of_an_official_judge_is_known(name: str, version: str) -> None:
    """The last day of every model that a protocol names is in the list, and in what is said when it is missing."""
    task, _ = tasks.load(tasks.TaskSpec(name, version))
    assert task.judge_models
    for spec in task.judge_models.values():
        day = TABLE["shutdown"][spec]
        assert datetime.date.fromisoformat(day)
        assert f"{spec} (its vendor serves it until {day})" in alternatives(task)
