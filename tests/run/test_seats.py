"""The models of a run: the judges there are to turn to, and what is looked at before any model is opened."""

import datetime

import pytest

from judgebench import tasks
from judgebench.errors import ModelError
from judgebench.models.call_store import CallStore, store_path
from judgebench.models.opening import OpenSettings, open_model, parse_model, shutdown_of
from judgebench.models.wrappers import Stored
from judgebench.records import Message, Request, Sampling
from judgebench.run.loading import load_tasks
from judgebench.run.seats import ModelPool, alternatives, of_one_family
from judgebench.run.settings import Settings
from tests.servers.launch import Server, chat_server

JUDGED = [name for name in tasks.names() if tasks.load(tasks.TaskSpec(name))[0].judge_models]


@pytest.mark.parametrize("name", JUDGED)
def test_every_judged_task_has_a_judge_that_is_not_shut_down(name: str) -> None:
    """One without a known last day among them, and none that is gone today."""
    ends = [shutdown_of(*parse_model(text)) for text in tasks.load(tasks.TaskSpec(name))[0].other_judges]
    assert None in ends
    assert not any(end.over for end in ends if end is not None)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        *(("alpacaeval", version) for version in ("2", "1")),
        *(("mtbench", version) for version in ("1", "vicuna")),
        *(("wildbench", version) for version in ("v2.0625", "v2.0522")),
        *(("arenahard", version) for version in ("v2.0", "v0.1")),
    ],
)
def test_the_end_of_an_official_judge_is_known(name: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last day of every model that a protocol names is in the list, and in what is said when it is missing, before
    that day and after it.
    """
    task, _ = tasks.load(tasks.TaskSpec(name, version))
    assert task.judge_models
    for spec in task.judge_models.values():
        end = shutdown_of(*parse_model(spec))
        assert end is not None
        monkeypatch.setenv("JUDGEBENCH_TODAY", str(end.day - datetime.timedelta(days=1)))
        assert f"{spec} (served until {end.day})" in alternatives(task)
        monkeypatch.setenv("JUDGEBENCH_TODAY", str(end.day))
        words = f"since {end.day} answered by {end.answered_by}" if end.answered_by else f"not served since {end.day}"
        assert f"{spec} ({words})" in alternatives(task)


def test_a_judge_that_answered_before_may_be_gone() -> None:
    """Its verdicts may all be in the store. One that never answered is looked for before a checkpoint is opened."""
    with chat_server() as known, chat_server() as unknown:
        pass_the_check(known)
        pass_the_check(unknown)
        store = CallStore(store_path())
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


@pytest.mark.parametrize(
    ("candidate", "judges", "vendors"),
    [
        ("openai:gpt-4o-mini-2024-07-18", (), ["openai"]),  # AlpacaEval's official judge is OpenAI's
        ("http://127.0.0.1:9/v1#meta-llama/Llama-3.1-8B-Instruct", ("openai:gpt-4.1",), []),
        ("hf:princeton-nlp/gemma-2-9b-it-SimPO", ("http://127.0.0.1:9/v1#gemini-2.5-pro",), ["google"]),
        ("openai:gpt-5", ("openai:gpt-4.1", "anthropic:claude-opus-4-8"), ["openai"]),
        ("builtin:tiny", ("builtin:tiny",), []),
        ("builtin:tiny", ("nothing of this kind:x",), []),
    ],
)
def test_a_judge_of_the_candidates_family_is_said(candidate: str, judges: tuple[str, ...], vendors: list[str]) -> None:
    """By the names of both: a vendor's own models, and those that somebody trained from its weights."""
    told = of_one_family(Settings(tasks="alpacaeval", model=candidate, judges=judges))
    assert [note.split(" are both of ")[1].split(":")[0] for note in told] == vendors
