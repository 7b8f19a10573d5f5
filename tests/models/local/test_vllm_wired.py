"""The vllm backend on the wired checkpoint, whose probabilities are known, from one request up to a whole run."""

import gc
import math
import multiprocessing
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from judgebench.models.local.tiny import read_programs, tiny_checkpoint
from judgebench.models.local.vllm import VllmModel, _ParallelEngines
from tests.models.llama import answers, ask, save_random_llama
from tests.models.whole_runs import SHORT_AND_GREEDY, assert_same_scores, run_of
from tests.starter_sets import expected_win_rate

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

TOLERANCE = 1e-4
JUDGES = {program.name: program for program in read_programs() if program.name.startswith("judge-")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wired checkpoint on disk."""
    return tiny_checkpoint(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[VllmModel]:
    """The wired checkpoint in an engine; the tests of this module share it."""
    opened = VllmModel(folder, name="tiny", max_model_len=8192, max_num_seqs=16, enforce_eager=True)
    yield opened
    opened.close()


@pytest.mark.parametrize("name", JUDGES)
def test_judges_have_the_wired_odds(model: VllmModel, name: str) -> None:
    """As likeliest tokens and as scored labels, from short prompts up to 2,000 tokens."""
    judge = JUDGES[name]
    texts = [f"{'x ' * n}\n{judge.trigger}: " for n in (0, 30, 1000)]
    spoken = answers(model, [ask(text, max_tokens=1, top_logprobs=len(judge.texts)) for text in texts])
    scored = answers(model, [ask(text, choices=tuple(reversed(judge.texts))) for text in texts])
    for reply in (*spoken, *scored):
        assert reply.top_logprobs is not None
        (position,) = reply.top_logprobs
        assert {label: math.exp(value) for label, value in position} == pytest.approx(judge.texts, abs=TOLERANCE)
        assert reply.text == position[0][0]


@pytest.mark.parametrize("program", read_programs(), ids=lambda program: program.name)
def test_each_trigger_gives_its_likeliest_reply(model: VllmModel, program: object) -> None:
    """Greedy decoding of a prompt that holds a trigger gives the likeliest reply of that row, and stops."""
    trigger, texts = program.trigger, program.texts  # type: ignore[attr-defined]
    (reply,) = answers(model, [ask(f"Please tell me. {trigger or 'Nothing in particular'} is this?")])
    assert reply.text == max(texts, key=texts.__getitem__)
    assert (reply.finish_reason, reply.error) == ("stop", None)


def test_max_tokens_and_stop_strings_end_a_reply(model: VllmModel) -> None:
    """An end token counts but is no text; a stop string is found across tokens and left out."""
    short, exact, whole, stopped = answers(
        model,
        [
            ask("Explain", max_tokens=2),
            ask("Who", max_tokens=3),
            ask("Who"),
            ask("Who", stop=("zzz", "ful librarian fr")),
        ],
    )
    assert (short.text, short.finish_reason, short.usage.completion_tokens) == ("Think of it as", "length", 2)
    assert (exact.finish_reason, exact.usage.completion_tokens) == ("length", 3)
    assert (whole.text, whole.finish_reason) == ("A careful librarian from Lisbon.", "stop")
    assert (stopped.text, stopped.finish_reason, stopped.usage.completion_tokens) == ("A care", "stop", 2)


def test_sampling_follows_the_models_probabilities(model: VllmModel) -> None:
    """300 draws from odds of 0.7 lie within four standard errors (0.106); repeats are what tells draws apart.

    At temperature 0.5 the odds become 0.845, and the log-probabilities stay those of 0.7.
    """
    for temperature, share in ((1.0, 0.7), (0.5, 0.845)):
        replies = answers(
            model,
            [
                ask("Best Model Identifier", temperature=temperature, max_tokens=4, top_logprobs=2, repeat=repeat)
                for repeat in range(300)
            ],
        )
        drawn = Counter(reply.text for reply in replies)
        assert set(drawn) == {"m", "M"}
        assert drawn["m"] / 300 == pytest.approx(share, abs=0.106)
        assert replies[0].top_logprobs is not None
        assert math.exp(dict(replies[0].top_logprobs[0])["m"]) == pytest.approx(0.7, abs=TOLERANCE)


def test_a_json_object_is_one(model: VllmModel) -> None:
    """Where a protocol asks for JSON the engine gives nothing else: prose of a certain model becomes an object."""
    asked, free = answers(model, [ask("Who", json_object=True, max_tokens=4), ask("Who", max_tokens=4)])
    assert asked.text is not None
    assert asked.text.lstrip().startswith("{")
    assert free.text == "A careful librarian from Lisbon."


def test_close_frees_the_memory_and_another_can_be_opened(folder: Path, model: VllmModel) -> None:
    """No network of a closed model is left; it, or another, starts again in the same process."""
    (before,) = answers(model, [ask("Who")])
    engine = model._engine._engine  # type: ignore[union-attr]
    network = weakref.ref(engine.model_executor.driver_worker.worker.model_runner.model)
    del engine
    model.close()
    gc.collect()
    assert network() is None
    other = VllmModel(folder, max_model_len=1024, max_num_seqs=4, enforce_eager=True)
    assert answers(other, [ask("Who")])[0].text == before.text
    other.close()
    model.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_asynchronous_interface_says_the_same(model: VllmModel) -> None:
    """What data parallel runs go through, with one engine: replies, draws, labels and refusals are those of the stepped
    engine, also after an abandoned call.
    """
    requests = [
        ask("Who"),
        ask("Who", stop=("ful librarian fr",)),
        ask("Best Model Identifier", choices=("m", "M", "Mm")),
        ask("hi", temperature=3.0),
        ask("x" * 9000),
        *(ask("Best Model Identifier", temperature=1.0, top_logprobs=2, repeat=repeat) for repeat in range(30)),
    ]
    expected = answers(model, requests)
    model.close()
    model._engine = _ParallelEngines(model._vllm, model._arguments)
    assert answers(model, requests) == expected
    replies = iter(model.complete([ask("Explain", temperature=1.0, repeat=repeat) for repeat in range(20)]))
    next(replies)
    replies.close()  # type: ignore[attr-defined]
    assert answers(model, requests[:3]) == expected[:3]
    model.close()
    gc.collect()
    assert multiprocessing.active_children() == []


ENGINE = {"max_model_len": "16384", "max_num_seqs": "16", "enforce_eager": "true"}


def test_a_run_gives_the_numbers_of_hf_and_of_paper(folder: Path, tmp_path: Path) -> None:
    """All starter sets, answered and judged by the wired checkpoint in vLLM: answers and numbers are those of the run
    through hf, and AlpacaEval's win rate the 55.00 that the wired odds give on paper.
    """
    spec = f"vllm:{folder}"
    ours = run_of(tmp_path / "vllm", spec, spec, model_args=ENGINE, judge_args=ENGINE)
    assert ours.scores["alpacaeval", "win_rate", None] == pytest.approx(expected_win_rate(), abs=1e-4)
    by_hf = run_of(tmp_path / "hf", "builtin:tiny", "builtin:tiny")
    assert ours.answers == by_hf.answers
    assert_same_scores(ours, by_hf)


def test_a_random_model_answers_every_task_as_through_hf(tmp_path: Path) -> None:
    """Greedy answers are equal token for token, and with the same judge so is every number."""
    random = tmp_path / "random"
    random.mkdir()
    save_random_llama(random, head_dim=64, context=16384)
    ours, by_hf = (
        run_of(tmp_path / name, f"{name}:{random}", "builtin:tiny", model_args=arguments, gen=SHORT_AND_GREEDY)
        for name, arguments in (("vllm", ENGINE), ("hf", {}))
    )
    assert ours.answers == by_hf.answers
    assert ours.tokens == by_hf.tokens
    assert len(set(ours.answers.values())) > 60
    assert_same_scores(ours, by_hf)
