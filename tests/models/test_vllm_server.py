"""The wired checkpoint behind vLLM's own server: its known answers and odds come back over each protocol."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from judgebench.errors import ModelError
from judgebench.evaluate import Runner
from judgebench.models import Model
from judgebench.models.http_chat import anthropic_chat, served_chat
from judgebench.models.tiny import PROGRAMS, tiny_checkpoint
from judgebench.records import Completion, Message, Request, Sampling
from judgebench.settings import Settings
from tests.models.llama import answers, ask
from tests.servers.vllm_server import vllm_server

pytestmark = pytest.mark.vllm

KEY = "vk-right-0123456789"
CONTEXT = 4096
TOLERANCE = 1e-4
Opener = Callable[..., Model]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the checkpoint is served, as ``tiny``, to whoever has the key."""
    folder = tmp_path_factory.mktemp("served")
    with vllm_server(tiny_checkpoint(folder), name="tiny", key=KEY, context=CONTEXT, log=folder / "log") as url:
        yield url


@pytest.fixture(params=["messages", "chat", "responses"])
def opened(request: pytest.FixtureRequest, address: str, monkeypatch: pytest.MonkeyPatch) -> Opener:
    """A function that opens the model, asked over one of the protocols."""
    monkeypatch.setenv("KEY", KEY)
    if request.param == "messages":
        return lambda **options: anthropic_chat("tiny", base_url=address, api_key_env="KEY", **options)
    return lambda **options: served_chat("tiny", f"{address}/v1", api=request.param, api_key_env="KEY", **options)


def replies(model: Model, *requests: Request) -> list[Completion]:
    """The reply to each request; the model is closed."""
    try:
        return answers(model, requests)
    finally:
        model.close()


@pytest.mark.parametrize("thinking", ["auto", "off", "on"])
def test_each_trigger_gives_its_likeliest_reply(opened: Opener, thinking: str) -> None:
    """Greedy, all sampling settings taken, whatever is said of thinking to a model that cannot."""
    asked = [ask(f"Please tell me. {program.trigger or 'Nothing'} is this?", temperature=0.0) for program in PROGRAMS]
    got = replies(opened(thinking=thinking), *asked)
    assert [reply.text for reply in got] == [max(program.texts, key=program.texts.__getitem__) for program in PROGRAMS]
    assert {(reply.finish_reason, reply.error, reply.left_out) for reply in got} == {("stop", None, ())}


def test_system_limit_and_stop_strings_reach_the_model(opened: Opener) -> None:
    """A long system prompt, marked for the cache where the protocol has that, is read; so is the limit; a reply ends
    before a stop string.
    """
    system, user = Message(role="system", content="rule " * 600), Message(role="user", content="hi")
    sampling = Sampling(temperature=0.0, max_tokens=2)
    limited, stopped = replies(
        opened(),
        Request(messages=(system, user), sampling=sampling),
        ask("hi", temperature=0.0, max_tokens=50, stop=(" to help",)),
    )
    assert (limited.finish_reason, limited.usage.completion_tokens) == ("length", 2)
    assert limited.usage.prompt_tokens > 600
    assert (stopped.text, stopped.finish_reason) == ("I would be glad", "stop")


def test_judges_have_the_wired_odds(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over both protocols that give log-probabilities."""
    monkeypatch.setenv("KEY", KEY)
    judges = [program for program in PROGRAMS if program.name.startswith("judge-")]
    for api in ("chat", "responses"):
        asked = [ask(f"{judge.trigger}: ", max_tokens=1, top_logprobs=len(judge.texts)) for judge in judges]
        got = replies(served_chat("tiny", f"{address}/v1", api=api, api_key_env="KEY"), *asked)
        for judge, reply in zip(judges, got, strict=True):
            assert reply.top_logprobs is not None
            odds = {label: math.exp(value) for label, value in reply.top_logprobs[0]}
            assert odds == pytest.approx(judge.texts, abs=TOLERANCE)


def test_a_prompt_longer_than_the_context_is_a_row(opened: Opener) -> None:
    """The others are answered."""
    long, short = replies(opened(), ask("word " * (2 * CONTEXT)), ask("hi"))
    assert long.error is not None
    assert "context length" in long.error
    assert short.error is None


def test_a_server_that_wants_a_key_is_told_from_one_without_the_model(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each ends the run with the server's words."""
    monkeypatch.setenv("KEY", KEY)
    with pytest.raises(ModelError, match="refused a request without a key"):
        replies(anthropic_chat("tiny", base_url=address), ask("hi"))
    with pytest.raises(ModelError, match="does not exist"):
        replies(anthropic_chat("other", base_url=address, api_key_env="KEY"), ask("hi"))


def test_a_run_gives_the_win_rate_computed_on_paper(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AlpacaEval's starter set, answered and judged over chat completions: the 55.00 of a run in this process."""
    monkeypatch.setenv("KEY", KEY)
    settings = Settings(
        tasks="alpacaeval",
        model=f"{address}/v1#tiny",
        judges=(f"{address}/v1#tiny",),
        api_key_env="KEY",
        starter=True,
        out=tmp_path / "run",
    )
    scores = Runner(settings, lambda *_: None).evaluate().scores
    (win_rate,) = (score.value for score in scores if (score.metric, score.group) == ("win_rate", None))
    assert win_rate == pytest.approx(55.0, abs=1e-3)
