"""builtin:tiny: the checkpoint says what its table says, with the probabilities of the table."""

import itertools
import math
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from judgebench.data.resources import resource
from judgebench.errors import UsageError
from judgebench.models.local.checkpoints import checkpoint_digest
from judgebench.models.local.hf import HfModel
from judgebench.models.local.tiny import Program, build_tiny, read_programs, tiny_checkpoint
from judgebench.records import Message, Request, Sampling

pytest.importorskip("torch")
pytest.importorskip("transformers")

JUDGES = {program.name: program for program in read_programs() if program.name.startswith("judge-")}
TOLERANCE = 1e-5
"""Float32 is off by about 2e-8; the rest is room for other machines' arithmetic."""


def ask(*contents: str, **sampling: object) -> Request:
    """A conversation whose turns alternate between user and assistant."""
    roles = ("user", "assistant") * len(contents)
    messages = tuple(Message(role=role, content=text) for role, text in zip(roles, contents, strict=False))
    return Request(messages=messages, sampling=Sampling(**sampling))  # type: ignore[arg-type]


def quoting(judge: Program, n_characters: int) -> str:
    """A judge's prompt that quotes instructions with every weaker trigger, many times."""
    quoted = " ".join(str(program.trigger) for program in read_programs() if program.name not in JUDGES)
    filler = (quoted + " and so on. ") * (n_characters // len(quoted) + 1)
    return filler[:n_characters] + f"\n{judge.trigger}:"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint, built as a user's first run builds it."""
    return tiny_checkpoint(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[HfModel]:
    """The checkpoint opened by the ordinary backend."""
    opened = HfModel(folder, name="tiny")
    yield opened
    opened.close()


@pytest.mark.parametrize("name", JUDGES)
def test_first_token_probabilities_are_exact_at_any_length(model: HfModel, name: str) -> None:
    """From 20 to 2,000 tokens (one judge: 10,000), alone and left-padded in one batch, labels have the table's odds."""
    judge = JUDGES[name]
    longest, tokens = (80_000, 10_000) if name == next(iter(JUDGES)) else (16_000, 2_000)
    requests = [
        ask(quoting(judge, n), max_tokens=1, top_logprobs=len(judge.texts)) for n in (9, 200, 30, 3000, 700, longest)
    ]
    alone = [completion for request in requests for _, completion in model.complete([request])]
    together = [completion for _, completion in sorted(model.complete(requests), key=lambda pair: pair[0])]
    assert [completion.usage.prompt_tokens for completion in alone] == [
        completion.usage.prompt_tokens for completion in together
    ]
    assert max(completion.usage.prompt_tokens for completion in alone) > tokens
    for completion in (*alone, *together):
        assert completion.top_logprobs is not None
        (position,) = completion.top_logprobs
        odds = {token: math.exp(logprob) for token, logprob in position}
        assert odds == pytest.approx(judge.texts, abs=TOLERANCE)


@pytest.mark.parametrize("program", read_programs(), ids=lambda program: program.name)
def test_each_trigger_gives_its_likeliest_reply(model: HfModel, program: Program) -> None:
    """Greedy decoding of any prompt that holds a trigger gives the likeliest reply of that row, and stops."""
    prompt = "Please tell me. " + (program.trigger or "Nothing in particular") + " is this?"
    ((_, completion),) = model.complete([ask(prompt)])
    assert completion.text == max(program.texts, key=program.texts.__getitem__)
    assert completion.finish_reason == "stop"
    assert completion.error is None


def test_the_stronger_trigger_wins_however_often_the_weaker_occurs(model: HfModel) -> None:
    """Priority is the table's order, not the count."""
    routed = [program for program in read_programs() if program.trigger is not None]
    requests = [
        ask(f"{weaker.trigger} " * 300 + f"{stronger.trigger} ? " + f"{weaker.trigger} " * 300)
        for stronger, weaker in itertools.pairwise(routed)
    ]
    replies = dict(model.complete(requests))
    for place, program in enumerate(routed[:-1]):
        assert replies[place].text == max(program.texts, key=program.texts.__getitem__)


def test_earlier_turns_do_not_disturb_a_reply(model: HfModel) -> None:
    """In a conversation with earlier replies the routing reads the same, and the reply is whole."""
    who, how = (next(program for program in read_programs() if program.name == name) for name in ("who", "how"))
    (reply,) = how.texts
    ((_, completion),) = model.complete([ask("How is bread made?", *who.texts, "And then?")])
    assert completion.text == reply


def test_a_trigger_counts_as_a_whole_word_only(model: HfModel) -> None:
    """``However`` holds no ``How``."""
    default = next(program for program in read_programs() if program.trigger is None)
    ((_, completion),) = model.complete([ask("However, Whatsoever, Listen.")])
    assert completion.text in default.texts


def test_all_programs_share_one_tokenizer_that_restores_any_text(folder: Path) -> None:
    """Prompts of any script survive encoding and decoding."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "What? naïve 漢字 🙂 {m} \\boxed{1}\n\tEnd."
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_replies_of_several_tokens_have_the_written_odds(tmp_path: Path) -> None:
    """A later benchmark's rows work: replies that begin alike part with their probabilities, after any prompt."""
    verdicts = {"[[A>B]]": 0.5, "[[A=B]]": 0.3, "[[B>A]]": 0.2}
    rows = (
        Program(
            name="verdict",
            trigger="final verdict",
            replies={("My verdict", " is: ", label): odds for label, odds in verdicts.items()},
        ),
        Program(name="default", trigger=None, replies={("Hello",): 1.0}),
    )
    build_tiny(tmp_path, rows)
    opened = HfModel(tmp_path)
    ((_, completion),) = opened.complete([ask("Give the final verdict now.", top_logprobs=3)])
    assert completion.text == "My verdict is: [[A>B]]"
    assert completion.top_logprobs is not None
    odds = {token: math.exp(logprob) for token, logprob in completion.top_logprobs[2]}
    assert odds == pytest.approx(verdicts, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("replies", "problem"),
    [
        ({("yes",): 0.5, ("no",): 0.4}, "do not sum to 1"),
        ({("a", "b"): 0.5, ("c", "b"): 0.5}, "reached in two ways"),
        ({("again", "again"): 1.0}, "reached in two ways"),
        ({("Hello", " you"): 1.0}, "already has another successor"),
        ({("So Go",): 1.0}, "overlaps the trigger"),
    ],
)
def test_a_table_that_a_bigram_cannot_say_is_refused(
    tmp_path: Path, replies: dict[tuple[str, ...], float], problem: str
) -> None:
    """Mistakes in a new row end in an error that names the program or token, never in other odds."""
    rows = (
        Program(name="greeting", trigger="Go on", replies={("Hello",): 1.0}),
        Program(name="wrong", trigger="Stop here", replies=replies),
        Program(name="default", trigger=None, replies={("Well",): 1.0}),
    )
    with pytest.raises(ValueError, match=problem):
        build_tiny(tmp_path, rows)


def test_two_builds_are_equal(folder: Path, tmp_path: Path) -> None:
    """The checkpoint depends on the programs alone, so its identity is the same on every machine."""
    build_tiny(tmp_path, read_programs())
    assert checkpoint_digest(tmp_path) == checkpoint_digest(folder)


def test_building_leaves_the_random_generator_alone(tmp_path: Path) -> None:
    """Torch's global generator is where it was."""
    import torch

    before = torch.get_rng_state()
    build_tiny(tmp_path, read_programs())
    assert torch.equal(before, torch.get_rng_state())


def test_the_checkpoint_is_built_once(tmp_path: Path) -> None:
    """A second call finds the folder of the first, and nothing else is left in the cache."""
    first = tiny_checkpoint(tmp_path)
    written = (first / "model.safetensors").stat().st_mtime_ns
    assert tiny_checkpoint(tmp_path) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == written
    assert list(tmp_path.iterdir()) == [first]


PROGRAM = """
[[judge]]
name = "mine"
trigger = "Which of my two"
replies = { "one" = 0.75, "two" = 0.25 }
"""


def test_other_programs_are_built_anew(tmp_path: Path) -> None:
    """The checkpoint's name follows its programs: a benchmark that says nothing of replies shares the bundled one."""
    bundled = tiny_checkpoint(tmp_path / "cache")
    assert tiny_checkpoint(tmp_path / "cache", [tmp_path]) == bundled
    (tmp_path / "tiny.toml").write_text(PROGRAM)
    assert tiny_checkpoint(tmp_path / "cache", [tmp_path]) != bundled


def test_a_benchmark_of_ones_own_comes_first(tmp_path: Path) -> None:
    """Its triggers are stronger than those of the bundled ones, and a trigger that both have is its own."""
    first = read_programs()[0]
    (tmp_path / "tiny.toml").write_text(PROGRAM + PROGRAM.replace("Which of my two", str(first.trigger)))
    mine, taken, *others = read_programs([tmp_path])
    assert mine.texts == taken.texts == {"one": 0.75, "two": 0.25}
    assert taken.trigger == first.trigger
    assert tuple(others) == read_programs()[1:]


def test_bundled_programs_have_triggers_of_their_own() -> None:
    """Each trigger and each name stands in one of the bundled files only."""
    files = [tomllib.loads(path.read_text()) for path in resource("tasks").glob("*/tiny.toml")]
    rows = [row for file in files for row in (*file.get("judge", ()), *file.get("answer", ()))]
    assert len({row["trigger"] for row in rows}) == len({row["name"] for row in rows}) == len(rows) > 15


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[judge]", "is not TOML"),
        ('[[judge]]\nname = "mine"', "is not a valid list of replies"),
        (PROGRAM.replace("0.75", "0.5"), "builtin:tiny cannot reply as .*do not sum to 1"),
        (PROGRAM.replace('"one"', '"one of my two. Which"'), "builtin:tiny cannot reply as .*overlaps the trigger"),
    ],
)
def test_replies_that_cannot_be_said_are_a_usage_error(tmp_path: Path, text: str, problem: str) -> None:
    """The message tells what is wrong with a benchmark's file."""
    (tmp_path / "tiny.toml").write_text(text)
    with pytest.raises(UsageError, match=problem):
        tiny_checkpoint(tmp_path / "cache", [tmp_path])
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").iterdir())


def test_a_cache_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    """The message names the folder."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="Could not build builtin:tiny"):
        tiny_checkpoint(tmp_path / "file")
