"""The wired checkpoint behind vLLM's own server: its known answers and odds come back over each protocol."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from judgebench.errors import ModelError
from judgebench.models import Model
from judgebench.models.http.model import anthropic_chat, served_chat
from judgebench.models.http.probing import gives_likelihoods
from judgebench.models.local.hf import HfModel
from judgebench.models.local.tiny import read_programs, tiny_checkpoint
from judgebench.records import Completion, Message, Request, Sampling
from tests.models.llama import answers, ask, prompts, save_random_llama
from tests.models.whole_runs import SHORT_AND_GREEDY, WITHOUT_SYSTEM, Run, assert_same_scores, run_of
from tests.servers.vllm_server import vllm_server
from tests.starter_sets import expected_win_rate

pytestmark = pytest.mark.vllm

KEY = "vk-right-0123456789"
CONTEXT = 16384
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
    asked = [
        ask(f"Please tell me. {program.trigger or 'Nothing'} is this?", temperature=0.0) for program in read_programs()
    ]
    got = replies(opened(thinking=thinking), *asked)
    assert [reply.text for reply in got] == [
        max(program.texts, key=program.texts.__getitem__) for program in read_programs()
    ]
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
    judges = [program for program in read_programs() if program.name.startswith("judge-")]
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


def test_odds_over_anthropics_protocol_are_those_of_its_draws(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no log-probabilities: 400 draws of five labels lie within four standard errors (0.098) of their odds."""
    monkeypatch.setenv("KEY", KEY)
    (judge,) = (program for program in read_programs() if program.name == "judge-labels")
    asked = [ask(f"{judge.trigger}: ", temperature=1.0, max_tokens=1, repeat=repeat) for repeat in range(400)]
    drawn = Counter(
        reply.text for reply in replies(anthropic_chat("tiny", base_url=address, api_key_env="KEY"), *asked)
    )
    assert drawn.keys() == judge.texts.keys()
    for label, odds in judge.texts.items():
        assert drawn[label] / 400 == pytest.approx(odds, abs=0.098)


# Whole runs


@pytest.fixture(scope="module")
def wired_by_hf(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All starter sets, answered and judged by the wired checkpoint in this process."""
    return run_of(tmp_path_factory.mktemp("runs") / "hf", "builtin:tiny", "builtin:tiny")


def test_a_run_over_chat_gives_the_numbers_of_hf_and_of_paper(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wired_by_hf: Run
) -> None:
    """Every task answered and judged over chat completions: answers and numbers are those of the run in this process,
    and AlpacaEval's win rate the 55.00 that the wired odds give on paper.
    """
    monkeypatch.setenv("KEY", KEY)
    spec = f"{address}/v1#tiny"
    ours = run_of(tmp_path / "run", spec, spec, api_key_env="KEY")
    assert ours.answers == wired_by_hf.answers
    assert ours.scores["alpacaeval", "win_rate", None] == pytest.approx(expected_win_rate(), abs=1e-3)
    assert_same_scores(ours, wired_by_hf)


def test_a_run_over_messages_gives_the_numbers_of_hf_and_of_paper(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wired_by_hf: Run
) -> None:
    """Every task answered over Anthropic's protocol. It judges them too, but AlpacaEval, whose verdict is a
    probability: that is judged over chat completions.
    """
    monkeypatch.setenv("KEY", KEY)
    here = {"api_key_env": "KEY", "model_args": {"base_url": address}}
    by_chat = run_of(tmp_path / "one", "anthropic:tiny", f"{address}/v1#tiny", tasks="alpacaeval", **here)
    others = WITHOUT_SYSTEM.removeprefix("alpacaeval,")
    judged = run_of(
        tmp_path / "others", "anthropic:tiny", "anthropic:tiny", tasks=others, judge_args={"base_url": address}, **here
    )
    ours = Run(
        scores=by_chat.scores | judged.scores,
        answers=by_chat.answers | judged.answers,
        tokens=by_chat.tokens | judged.tokens,
    )
    assert ours.answers == wired_by_hf.answers
    assert ours.scores["alpacaeval", "win_rate", None] == pytest.approx(expected_win_rate(), abs=1e-3)
    assert_same_scores(ours, wired_by_hf)


@pytest.fixture(scope="module")
def random(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama on disk."""
    folder = tmp_path_factory.mktemp("random")
    save_random_llama(folder, head_dim=64, context=CONTEXT)
    return folder


@pytest.fixture(scope="module")
def random_address(random: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where it is served, as ``random``."""
    log = tmp_path_factory.mktemp("served") / "log"
    with vllm_server(random, name="random", key=KEY, context=CONTEXT, log=log) as url:
        yield url


@pytest.fixture(scope="module")
def random_by_hf(random: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All starter sets, answered by it in this process and judged by the wired checkpoint."""
    out = tmp_path_factory.mktemp("runs") / "hf"
    return run_of(out, f"hf:{random}", "builtin:tiny", gen=SHORT_AND_GREEDY)


@pytest.mark.parametrize("protocol", ["chat", "messages"])
def test_a_random_model_answers_every_task_as_through_hf(
    random_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, random_by_hf: Run, protocol: str
) -> None:
    """Greedy answers are equal token for token. Their text is, but for bytes at the very end that are not yet a
    character: the server holds them back, in this process they are read as U+FFFD. Only second turns after such an
    answer have another prompt. Numbers that count characters follow the text; all others are equal.
    """
    monkeypatch.setenv("KEY", KEY)
    spec, arguments = (
        (f"{random_address}/v1#random", {})
        if protocol == "chat"
        else ("anthropic:random", {"base_url": random_address})
    )
    ours = run_of(tmp_path / "run", spec, "builtin:tiny", api_key_env="KEY", model_args=arguments, gen=SHORT_AND_GREEDY)
    assert ours.answers.keys() == random_by_hf.answers.keys()
    compared = 0
    for key, (first, *later) in random_by_hf.answers.items():
        assert ours.answers[key][0].rstrip("\ufffd") == first.rstrip("\ufffd")
        if not later or ours.answers[key][0] == first:
            assert ours.tokens[key] == random_by_hf.tokens[key]
            assert [text.rstrip("\ufffd") for text in ours.answers[key]] == [
                text.rstrip("\ufffd") for text in (first, *later)
            ]
            compared += 1
    assert compared > 80
    assert len(set(ours.answers.values())) > 60
    assert_same_scores(ours, random_by_hf, but=("avg_length", "length"))


def test_continuations_of_plain_prompts_are_as_likely_as_to_hf(
    random: Path, random_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's echo gives the log-likelihoods that transformers computes, whatever texts end and begin with."""
    monkeypatch.setenv("KEY", KEY)
    served = served_chat("random", f"{random_address}/v1", api_key_env="KEY")
    assert gives_likelihoods(served) is True
    texts = (" fox", " fox jumps over", " quick brown", " quick brown", "né ☃")
    requests = [ask(text + " " * (place % 2), continuations=texts, raw=True) for place, text in enumerate(prompts(12))]
    ours, expected = replies(served, *requests), replies(HfModel(random), *requests)
    for one, other in zip(ours, expected, strict=True):
        assert one.top_logprobs is not None
        assert other.top_logprobs is not None
        assert [value for _, value in one.top_logprobs[0]] == pytest.approx(
            [value for _, value in other.top_logprobs[0]], abs=TOLERANCE
        )
