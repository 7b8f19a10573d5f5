"""Best-of-n, through the command: a reward model chooses among the answers to an item."""

import itertools
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.records import Request
from judgebench.run.folder import RunFolder
from tests.commands import Command, judgebench
from tests.models.llama import WORDS
from tests.models.scorers import bare_reward, save_reward_model

pytest.importorskip("torch")
pytest.importorskip("transformers")

QUESTIONS = ("the quick fox", "seven bright owls", "a lazy dog")
ANSWERS = 4


@pytest.fixture(scope="module")
def rm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random reward model."""
    folder = tmp_path_factory.mktemp("models") / "rm"
    save_reward_model(folder, context=4096)
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A benchmark of ratings and one of pairs."""
    monkeypatch.chdir(tmp_path)
    rows = [{"instruction": question, "gold": "the dog"} for question in QUESTIONS]
    Path("prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("rate.toml").write_text('kind = "rating"\nprompts = "prompts.jsonl"\n[rating]\nscale = [1, 10]\n')
    Path("wins.toml").write_text('kind = "pairwise"\nprompts = "prompts.jsonl"\n[pairwise]\nbaseline = "gold"\n')
    return tmp_path


def answer(question: str, repeat: int) -> str:
    """The answer to a question that is given the so-many-th time."""
    start = len(question) * 5 + repeat * 3
    return " ".join(WORDS[(start + step * (repeat + 1)) % len(WORDS)] for step in range(3 + repeat))


@pytest.fixture
def candidate() -> Iterator[str]:
    """A model that answers otherwise each time."""

    def written(request: Request) -> Any:
        return reply(answer(request.messages[-1].content, request.repeat // 100))

    with playing(ScriptedModel(written, name="candidate")) as spec:
        yield spec


def rating(text: str) -> int:
    """What the judge says of an answer."""
    return 1 + len(text) % 10


def evaluated(*flags: object) -> dict[str, Any]:
    """The numbers of a run by metric."""
    judgebench(["eval", "--gen", "temperature=1", "--repeats", ANSWERS, "--out", "run", *flags])
    return {score.metric: score for score in RunFolder(Path("run")).results().scores if score.group is None}


def chosen(rm: Path, values: dict[str, list[float]], k: int, *, best: bool) -> float:
    """The mean over questions of the chosen answer's value, over all ways to draw k of its answers."""
    means = []
    for question, own in values.items():
        rewards = [bare_reward(rm, question, answer(question, repeat))[0] for repeat in range(ANSWERS)]
        pick = max if best else min
        draws = [pick(draw, key=rewards.__getitem__) for draw in itertools.combinations(range(ANSWERS), k)]
        means.append(statistics.fmean(own[place] for place in draws))
    return statistics.fmean(means)


def test_the_chosen_answers_are_rated(place: Path, rm: Path, candidate: str) -> None:
    """best@k and worst@k are the judge's ratings of the answers that the reward model ranks first and last."""

    def said(request: Request) -> Any:
        text = request.messages[-1].content
        known = [answer(question, repeat) for question in QUESTIONS for repeat in range(ANSWERS)]
        return reply(f"[[{rating(max((own for own in known if own in text), key=len))}]]")

    judge = ScriptedModel(said, name="judge")
    with playing(judge) as spec:
        found = evaluated("--model", candidate, "--tasks", "rate.toml", "--judge", spec, "--select", f"reward:{rm}")
    values = {q: [float(rating(answer(q, repeat))) for repeat in range(ANSWERS)] for q in QUESTIONS}
    assert found["rating"].value == pytest.approx(statistics.fmean(itertools.chain(*values.values())))
    for k in (2, 4):
        assert found[f"best@{k}"].value == pytest.approx(chosen(rm, values, k, best=True))
        assert found[f"worst@{k}"].value == pytest.approx(chosen(rm, values, k, best=False))
    assert (found["best@4"].n, found["best@4"].unit) == (len(QUESTIONS), "rating")
    judgebench(["score", "run", "--tasks", "rate.toml"])
    again = {score.metric: score for score in RunFolder(Path("run")).results().scores if score.group is None}
    assert again["best@4"] == found["best@4"]
    assert "best@4" in judgebench(["compare", "run", "run", "--tasks", "rate.toml", "--format", "json"]).stdout


def test_one_reward_model_chooses_and_rates(place: Path, rm: Path, candidate: str) -> None:
    """The reward of the best of n is the greatest reward, and each answer is scored once for both."""
    found = evaluated(
        "--model", candidate, "--tasks", "rate.toml", "--judge", f"reward:{rm}", "--select", f"reward:{rm}"
    )
    rewards = {q: [bare_reward(rm, q, answer(q, repeat))[0] for repeat in range(ANSWERS)] for q in QUESTIONS}
    assert found["best@4"].value == pytest.approx(statistics.fmean(map(max, rewards.values())), abs=1e-5)
    assert found["worst@4"].value == pytest.approx(statistics.fmean(map(min, rewards.values())), abs=1e-5)
    (session,) = json.loads(Path("run/manifest.json").read_text())["sessions"]
    assert session["counts"]["rate"]["judge"]["asked"] == ANSWERS * len(QUESTIONS)


def test_win_rates_of_chosen_answers(place: Path, rm: Path, candidate: str) -> None:
    """A benchmark of pairs takes several answers to a question, each against the same baseline's."""
    found = evaluated(
        "--model", candidate, "--tasks", "wins.toml", "--judge", f"reward:{rm}", "--select", f"reward:{rm}"
    )
    wins = {
        q: [float(bare_reward(rm, q, answer(q, r))[0] > bare_reward(rm, q, "the dog")[0]) for r in range(ANSWERS)]
        for q in QUESTIONS
    }
    assert found["win_rate"].value == pytest.approx(100 * statistics.fmean(itertools.chain(*wins.values())))
    assert found["best@4"].value == pytest.approx(100 * statistics.fmean(map(max, wins.values())))


def test_verified_answers_are_chosen_too(place: Path, rm: Path) -> None:
    """A verified task has best@k beside its majority vote and pass@k, and no judge's noise is claimed of it."""
    with playing(
        ScriptedModel(lambda request: reply(f"The answer is {request.repeat // 100}."), name="solver")
    ) as spec:
        flags = ("--model", spec, "--tasks", "gsm8k", "--starter", "--limit", 4, "--select", f"reward:{rm}")
        found = evaluated(*flags)
    assert {"best@2", "worst@2", "best@4", "maj@4", "pass@4"} <= set(found)
    assert found["worst@4"].value <= found["best@4"].value or found["pass@4"].value > 0
    assert "interval_lacks" not in found["exact_match_flexible"].details


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--select", "reward:{}"], "say how many with --repeats K"),
        (
            ["--select", "openai:gpt-4.1", "--repeats", 4, "--gen", "temperature=1"],
            "no model that scores single answers",
        ),
        (["--select", "pairrm:{}", "--repeats", 4, "--gen", "temperature=1"], "no model that scores single answers"),
    ],
)
def test_what_cannot_choose_is_refused(
    command: Command, place: Path, rm: Path, candidate: str, flags: list[Any], why: str
) -> None:
    """Several answers are needed, and a model that gives each of them a number."""
    given = [str(flag).format(rm) for flag in flags]
    ended = command("eval", "--model", candidate, "--tasks", "rate.toml", "--judge", f"reward:{rm}", *given)
    assert why in ended.paragraph


@pytest.mark.parametrize("repeats", [(), ("--repeats", 4)])
def test_finished_answers_are_not_chosen_among(command: Command, place: Path, repeats: tuple[Any, ...]) -> None:
    """With and without --repeats one message says that a live model has to answer."""
    Path("answers.jsonl").write_text('{"id": "0", "output": "a"}\n')
    words = ("--model", "file:answers.jsonl", "--tasks", "rate.toml", "--judge", "reward:x", "--select", "reward:x")
    assert "name a model that answers with --model, and how many" in command("eval", *words, *repeats).paragraph
