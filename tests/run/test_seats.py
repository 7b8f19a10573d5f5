"""The models of a run: the judges there are to turn to, and what is looked at before any model is opened."""

import datetime
import tomllib

import pytest

from judgebench import tasks
from judgebench.data.resources import resource
from judgebench.errors import ModelError
from judgebench.models.call_store import CallStore, default_store_path
from judgebench.models.opening import OpenSettings, open_model, parse_model
from judgebench.models.wrappers import Stored
from judgebench.records import Message, Request, Sampling
from judgebench.run.loading import load_tasks
from judgebench.run.seats import ModelPool, alternatives
from judgebench.run.settings import Settings
from tests.servers.launch import Server, chat_server

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


def test_a_judge_that_answered_before_may_be_gone() -> None:
    """Its verdicts may all be in the store. One that never answered is looked for before a checkpoint is opened."""
    with chat_server() as known, chat_server() as unknown:
        pass_the_check(known)
        pass_the_check(unknown)
        store = CallStore(default_store_path())
        model = open_model(parse_model(spec_of(known))[0], OpenSettings())
        asked = Request(messages=(Message(role="user", content="Which is better?"),), sampling=Sampling())
        list(Stored(model, store).complete([asked]))
        model.close()
        store.close()
    pass_the_check(known)
    with pytest.raises(ModelError, match="cannot be reached"):
        pass_the_check(unknown)


def spec_of(server: Server) -> str:
    """The server's model."""
    return f"{server.base_url}#judge"


def pass_the_check(judge: Server) -> None:
    """Look at the models of a run with a checkpoint as candidate."""
    settings = Settings(tasks="alpacaeval", model="builtin:tiny", judges=(spec_of(judge),), starter=True)
    (loaded,) = load_tasks(settings)
    pool = ModelPool(settings)
    try:
        pool.require_ready(parse_model("builtin:tiny"), [loaded])
    finally:
        pool.close()
