"""Scoring models as judges, through the command: the numbers of a run are those of bare transformers, or on paper."""

import json
import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from judgebench.records import Judgement
from judgebench.run.folder import RunFolder
from tests.commands import Command, judgebench
from tests.kinds.test_kinds import write_rows
from tests.models.scorers import (
    bare_loglikelihood,
    bare_preference,
    bare_reward,
    pairs_of_texts,
    save_pair_ranker,
    save_reward_model,
    save_two_llamas,
)
from tests.patience import wait_for
from tests.processes import kill, started

pytest.importorskip("torch")
pytest.importorskip("transformers")

TEXTS = pairs_of_texts(6)
"""Questions, each with a baseline's answer and the candidate's."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of every kind that scores answers."""
    folder = tmp_path_factory.mktemp("models")
    save_reward_model(folder / "rm")
    save_reward_model(folder / "heads", ("helpfulness", "safety"))
    save_pair_ranker(folder / "pairrm")
    save_two_llamas(folder)
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: Path) -> Path:
    """A folder with a benchmark of pairs, one of ratings, and answers."""
    monkeypatch.chdir(tmp_path)
    rows = [{"instruction": question, "gold": gold} for question, gold, _ in TEXTS]
    Path("prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers = [{"id": str(number), "output": own} for number, (_, _, own) in enumerate(TEXTS)]
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    Path("wins.toml").write_text('kind = "pairwise"\nprompts = "prompts.jsonl"\n[pairwise]\nbaseline = "gold"\n')
    Path("soft.toml").write_text(Path("wins.toml").read_text().replace("[pair", 'reads = "logprob"\n[pair'))
    Path("rate.toml").write_text('kind = "rating"\nprompts = "prompts.jsonl"\n')
    return models


def evaluated(task: str, judge: str, *flags: object) -> tuple[dict[str, Any], list[Judgement]]:
    """The numbers of a run by metric, and its judgements."""
    judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", task, "--judge", judge, "--out", "run", *flags])
    folder = RunFolder(Path("run"))
    found = {score.metric: score for score in folder.results().scores if score.group is None}
    return found, list(folder.task(Path(task).stem).judgements())


def asked(folder: Path = Path("run")) -> int:
    """How often the judge's model computed something."""
    (session,) = folder_sessions(folder)
    (counts,) = session["counts"].values()
    return int(counts["judge"]["asked"])


def folder_sessions(folder: Path) -> list[dict[str, Any]]:
    """What the manifest says of each process that worked on the run."""
    found: list[dict[str, Any]] = json.loads((folder / "manifest.json").read_text())["sessions"]
    return found


def test_the_greater_reward_wins_and_each_pair_is_asked_once(place: Path) -> None:
    """In a benchmark of winners the answer with the greater reward wins; both orders of a pair are one call."""
    found, judgements = evaluated("wins.toml", f"reward:{place / 'rm'}")
    rewards = [[bare_reward(place / "rm", question, text)[0] for text in both] for question, *both in TEXTS]
    assert found["win_rate"].value == 100 * sum(own > gold for gold, own in rewards) / len(TEXTS)
    assert found["position_consistency"].value == 100
    assert len(judgements) == 2 * len(TEXTS)
    assert asked() == len(TEXTS)
    dry = ["eval", "--model", "file:answers.jsonl", "--tasks", "wins.toml", "--judge", f"reward:{place / 'rm'}"]
    (stage,) = json.loads(judgebench([*dry, "--dry-run", "--json"]).stdout)["stages"]
    assert stage["calls"] == len(TEXTS)
    for judgement in judgements:
        gold, own = rewards[int(judgement.example_id)]
        sign = 1 if judgement.candidate == 0 else -1
        assert judgement.verdict.details["margin"] == pytest.approx(sign * (own - gold), abs=1e-5)


def test_show_says_what_a_scoring_model_was_shown_and_found(place: Path) -> None:
    """`show` rebuilds the conversations that were scored, and gives the numbers in the order of the game."""
    _, judgements = evaluated("wins.toml", f"reward:{place / 'rm'}")
    shown = judgebench(["show", "run", "--tasks", "wins.toml", "--item", "0"]).stdout
    assert "exactly as sent" in shown
    for judgement in judgements[:2]:
        first, second = (judgement.verdict.details[name] for name in ("first", "second"))
        assert f"{first:.6g} for the answer shown first, {second:.6g} for the second" in shown


def test_rewards_are_probabilities_where_the_benchmark_reads_those(place: Path) -> None:
    """Where a verdict is a probability, it is Bradley and Terry's: the logistic function of the difference."""
    found, _ = evaluated("soft.toml", f"reward:{place / 'heads'}#safety")
    rewards = [[bare_reward(place / "heads", question, text)[1] for text in both] for question, *both in TEXTS]
    shares = [1 / (1 + math.exp(gold - own)) for gold, own in rewards]
    assert found["win_rate"].value == pytest.approx(100 * sum(shares) / len(TEXTS), abs=1e-3)


def test_a_pair_ranker_is_asked_in_both_orders(place: Path) -> None:
    """A pair ranker's preference depends on the order, so it is asked in the orders that the benchmark shows."""
    found, judgements = evaluated("wins.toml", f"pairrm:{place / 'pairrm'}")
    assert asked() == 2 * len(TEXTS)
    won = 0
    for judgement in judgements:
        question, gold, own = TEXTS[int(judgement.example_id)]
        shown = (own, gold) if judgement.candidate == 0 else (gold, own)
        logit = bare_preference(place / "pairrm", question, *shown)
        assert judgement.verdict.details["margin"] == pytest.approx(logit, abs=1e-5)
        won += (logit > 0) == (judgement.candidate == 0)
    assert found["win_rate"].value == pytest.approx(100 * won / len(judgements))


def test_the_greater_density_ratio_wins(place: Path) -> None:
    """A density ratio names a winner, also where verdicts are probabilities: it is no calibrated reward."""
    found, _ = evaluated("soft.toml", f"ratio:hf:{place / 'strong'}/hf:{place / 'weak'}")
    ratios = [
        [
            bare_loglikelihood(place / "strong", question, text)[0]
            - bare_loglikelihood(place / "weak", question, text)[0]
            for text in both
        ]
        for question, *both in TEXTS
    ]
    assert found["win_rate"].value == pytest.approx(100 * sum(own > gold for gold, own in ratios) / len(TEXTS))


def test_ratings_by_a_reward_have_no_scale(place: Path) -> None:
    """A rating by a reward model is its reward, whatever that is; the interval is not cut at the ends of a scale."""
    found, _ = evaluated("rate.toml", f"reward:{place / 'rm'}")
    rewards = [bare_reward(place / "rm", question, own)[0] for question, _, own in TEXTS]
    assert found["rating"].value == pytest.approx(sum(rewards) / len(rewards), abs=1e-5)
    assert min(rewards) < 1
    assert found["rating"].method == "mean over examples; interval: clustered t over items"
    judgebench(["score", "run", "--tasks", "rate.toml"])
    rescored = {score.metric: score for score in RunFolder(Path("run")).results().scores}
    assert rescored["rating"] == found["rating"]


def test_a_run_goes_on_from_the_store(place: Path) -> None:
    """Whatever was scored is stored: the same command in another folder computes nothing, and says the same."""
    first, _ = evaluated("wins.toml", f"reward:{place / 'rm'}")
    shutil.move("run", "before")
    again, _ = evaluated("wins.toml", f"reward:{place / 'rm'}")
    assert asked() == 0
    assert {name: score.value for name, score in again.items()} == {name: score.value for name, score in first.items()}


def test_repeats_of_a_scoring_model_are_one_call(place: Path) -> None:
    """--judge-repeats asks a scoring model once, because it would say the same again."""
    found, judgements = evaluated("wins.toml", f"reward:{place / 'rm'}", "--judge-repeats", 3)
    assert len(judgements) == 6 * len(TEXTS)
    assert asked() == len(TEXTS)
    assert found["win_rate"].details["sd_over_judges"] == 0


@pytest.mark.parametrize(
    ("task", "judges", "why"),
    [
        ("rate.toml", ["pairrm:{}/pairrm"], "compares two answers"),
        ("rate.toml", ["reward:{}/rm", "builtin:tiny"], "rate on different scales"),
        ("wins.toml", ["reward:{}/heads"], "2 heads (helpfulness, safety)"),
        ("wins.toml", ["ratio:hf:{}/strong"], "ratio:hf:STRONG/hf:WEAK"),
        ("gsm8k", [], "can be a judge"),
        ("wins.toml", ["reward:{}/rm", "prompt"], "reads no prompt"),
    ],
)
def test_what_cannot_be_is_refused(command: Command, place: Path, task: str, judges: list[str], why: str) -> None:
    """A scoring model in a place where its numbers mean nothing is refused before anything is computed."""
    Path("mine.j2").write_text("{{ instruction }} {{ answer_a }} {{ answer_b }} [[A]] [[B]] [[C]]")
    spelled = [flag for judge in judges if judge != "prompt" for flag in ("--judge", judge.format(place))]
    spelled += ["--judge-prompt", "mine.j2"] if "prompt" in judges else []
    model = "file:answers.jsonl" if judges else f"reward:{place / 'rm'}"
    starter = [] if judges else ["--starter"]
    ended = command("eval", "--model", model, "--tasks", task, *spelled, *starter)
    assert ended.code == 2
    assert why in ended.paragraph


def vowels(text: str) -> float:
    """The reward of the built-in model: ten times the share of vowels."""
    data = text.encode()
    return 10 * sum(chr(byte) in "aeiouAEIOU" for byte in data) / max(1, len(data))


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Answers in two files, the candidate's and the baseline's, in the working directory, with a benchmark of pairs."""
    monkeypatch.chdir(tmp_path)
    texts = [("aeb", "xxa"), ("bcd", "aid"), ("", "e"), ("éa", "Idea"), ("sky", "fly")]
    write_rows("prompts.jsonl", [{"instruction": f"Say {n}.", "gold": gold} for n, (_, gold) in enumerate(texts)])
    write_rows("answers.jsonl", [{"id": str(n), "output": own} for n, (own, _) in enumerate(texts)])
    Path("wins.toml").write_text('kind = "pairwise"\nprompts = "prompts.jsonl"\n[pairwise]\nbaseline = "gold"\n')
    Path("rate.toml").write_text('kind = "rating"\nprompts = "prompts.jsonl"\n')
    return texts


def test_the_built_in_reward_is_known_on_paper(counted: list[tuple[str, str]]) -> None:
    """It counts vowels: a mean of them where it rates, and the answer with more of them wins; equal ones tie."""
    found, judgements = evaluated("rate.toml", "reward:builtin:tiny")
    assert [one.verdict.value for one in judgements] == pytest.approx([vowels(own) for own, _ in counted], abs=1e-5)
    assert {one.judge_model for one in judgements} == {"reward:builtin:tiny"}
    assert found["rating"].value == pytest.approx(sum(vowels(own) for own, _ in counted) / 5, abs=1e-5)
    shutil.move("run", "ratings")
    wins, _ = evaluated("wins.toml", "reward:builtin:tiny")
    assert [vowels(own) > vowels(gold) for own, gold in counted] == [True, False, False, False, False]
    assert [wins[name].value for name in ("win_rate", "wins", "ties")] == [30, 20, 20]


def test_there_is_one_built_in_reward_model(counted: list[tuple[str, str]], command: Command) -> None:
    """Another name is refused before anything is built."""
    ended = command(
        "eval", "--model", "file:answers.jsonl", "--tasks", "rate.toml", "--judge", "reward:builtin:smollm2"
    )
    assert "there is no built-in reward model 'builtin:smollm2'; there is reward:builtin:tiny" in ended.paragraph


def test_a_killed_run_computes_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After ``kill -9`` a real process's rewards are in the call store: the second one computes those of the other
    pairs, each once, and the verdicts are those on paper.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "cache"))
    count = 20
    answers = [f"{number} " + "ab" * (1500 + number) for number in range(count)]
    write_rows("prompts.jsonl", [{"instruction": "Go on.", "gold": "abc" * 1000} for _ in answers])
    write_rows("answers.jsonl", [{"id": str(n), "output": text} for n, text in enumerate(answers)])
    Path("wins.toml").write_text('kind = "pairwise"\nprompts = "prompts.jsonl"\n[pairwise]\nbaseline = "gold"\n')
    words = ["eval", "--model", "file:answers.jsonl", "--tasks", "wins.toml", "--judge", "reward:builtin:tiny"]
    words += ["--judge-arg", "batch_size=1", "--out", "run"]
    kept = Path("run/wins/judgements.jsonl")
    with started(words) as process:
        wait_for(lambda: kept.exists() and kept.read_bytes().count(b"\n") >= 6)
        kill(process)
    store = Path("cache/calls.sqlite")
    with closing(sqlite3.connect(store)) as opened:
        ((stored,),) = opened.execute("SELECT COUNT(*) FROM calls")
    judged = kept.read_bytes().count(b"\n") // 2
    assert 3 <= judged <= stored < count
    judgebench(words)
    sessions = folder_sessions(Path("run"))
    assert sessions[-1]["counts"]["wins"]["judge"]["asked"] == count - stored
    with closing(sqlite3.connect(store)) as opened:
        assert list(opened.execute("SELECT COUNT(*) FROM calls")) == [(count,)]
    judgements = list(RunFolder(Path("run")).task("wins").judgements())
    assert len(judgements) == len({one.key for one in judgements}) == 2 * count
    for one in judgements:
        own = vowels(answers[int(one.example_id)])
        assert one.verdict.details["margin"] * (1 - 2 * one.candidate) == pytest.approx(own - vowels("abc"), abs=1e-4)
