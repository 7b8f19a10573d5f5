"""``judgebench arena``: models judged in pairs by the real command, with a judge whose every verdict is known."""

import hashlib
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judgebench.models.scripted import ScriptedModel, failure, last_message, playing, reply
from judgebench.records import Completion, Request
from tests.commands import Command, judgebench
from tests.patience import wait_for
from tests.processes import kill, started
from tests.servers.launch import Server, chat_server

QUESTIONS = 30
MODELS = ("alpha", "beta", "gamma")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that a test names without a folder are its own: prompts, and the answers of three models."""
    monkeypatch.chdir(tmp_path)
    rows = [{"instruction": f"Question {n}?"} for n in range(QUESTIONS)]
    Path("prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for model in MODELS:
        write_answers(model)


def write_answers(model: str, text: str = "says") -> None:
    """A file of a model's answers, each of which tells whose it is and what it is about."""
    rows = [{"id": str(n), "output": f"{model} {text} {n}.", "generator": model} for n in range(QUESTIONS)]
    Path(f"{model}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def files(*models: str) -> str:
    """The models as finished answers."""
    return ",".join(f"file:{model}.jsonl" for model in models or MODELS)


def answers(request: Request) -> tuple[str, str]:
    """The two answers that the house prompt shows, in order."""
    text = last_message(request)
    first, second = (text.partition(f"<{tag}>\n")[2].partition(f"\n</{tag}>")[0] for tag in ("answer_a", "answer_b"))
    return first, second


def chance(*parts: object) -> float:
    """A number from 0 to 1 that depends on the parts alone."""
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:8], 16) / 16**8


def by_strength(strengths: dict[str, float]) -> Callable[[Request], Completion]:
    """A judge that prefers a model with the chance of its share of the two strengths, the same in both orders."""

    def judge(request: Request) -> Completion:
        first, second = answers(request)
        one, other = first.split()[0], second.split()[0]
        low = min(one, other)
        share = strengths[low] / (strengths[one] + strengths[other])
        low_wins = chance(first.split()[-1], low, max(one, other)) < share
        return reply("[[A]]" if low_wins == (one == low) else "[[B]]")

    return judge


STRENGTHS = {"alpha": 1.0, "beta": 2.0, "gamma": 8.0, "delta": 4.0}


def arena(judge: ScriptedModel, *words: object, code: int = 0) -> dict[str, Any]:
    """What an arena by this judge finds."""
    with playing(judge) as spec:
        ended = judgebench(["arena", "--judge", spec, "--out", "arena", "--json", "-q", *words], code=code)
    found: dict[str, Any] = json.loads(ended.stdout) if code == 0 else {"err": ended.stderr}
    return found


def judge(strengths: dict[str, float] | None = None) -> ScriptedModel:
    """A judge by strengths, which keeps its name and its identity."""
    return ScriptedModel(by_strength(strengths or STRENGTHS), identity="by-strength")


ALL = ("--prompts", "prompts.jsonl", "--pairs", "all")


def test_models_are_ranked_as_the_judge_prefers_them() -> None:
    """A whole round robin in both orders: every game is asked once, and the ratings are those of the verdicts."""
    played = judge()
    found = arena(played, "--models", files(), *ALL)
    assert [one["model"] for one in found["models"]] == ["gamma", "beta", "alpha"]
    assert found["pairing"] | {"looks": 0} == {
        "how": "all",
        "games": 6 * QUESTIONS,
        "of": 6 * QUESTIONS,
        "most": 6 * QUESTIONS,
        "stopped": "all",
        "unsettled": [],
        "looks": 0,
        "seed": 0,
    }
    assert len(played.asked) == len({last_message(request) for request in played.asked}) == 6 * QUESTIONS
    assert found["position"] == 0.5
    assert found["consistent"] == 1.0
    best, worst = found["models"][0], found["models"][2]
    assert best["low"] < best["rating"] < best["high"]
    assert (best["rank"], worst["rank_high"]) == (1, 3)
    assert sum(one["games"] for one in found["models"]) == 2 * found["games"]


def test_the_same_arena_again_asks_nothing() -> None:
    """All verdicts are in the folder, and the numbers are the same to the digit."""
    first = arena(judge(), "--models", files(), *ALL)
    again = ScriptedModel(by_strength(STRENGTHS), identity="by-strength")
    assert arena(again, "--models", files(), *ALL) == first
    assert not again.asked


def test_a_model_that_joins_is_asked_about_alone() -> None:
    """The games of the others are kept; only those of the new model are played."""
    arena(judge(), "--models", files(), *ALL)
    write_answers("delta")
    later = judge()
    found = arena(later, "--models", files(*MODELS, "delta"), *ALL)
    assert len(later.asked) == 6 * QUESTIONS
    assert all("delta" in "".join(answers(request)) for request in later.asked)
    assert [one["model"] for one in found["models"]] == ["gamma", "delta", "beta", "alpha"]


def test_adaptive_pairing_plays_less() -> None:
    """At most 40 % of the games by default, the same ranking, and an arena that is played on asks only for the rest."""
    played = judge()
    found = arena(played, "--models", files(), "--prompts", "prompts.jsonl")
    assert len(played.asked) == found["pairing"]["games"] <= 0.4 * 6 * QUESTIONS
    assert [one["model"] for one in found["models"]] == ["gamma", "beta", "alpha"]
    rest = judge()
    arena(rest, "--models", files(), *ALL)
    assert len(rest.asked) == 6 * QUESTIONS - len(played.asked)


def test_calls_limit_the_games() -> None:
    """As a number and as a share."""
    assert arena(judge(), "--models", files(), *ALL, "--calls", "50")["pairing"]["games"] == 50
    assert arena(judge(), "--models", files(), *ALL, "--calls", "0.5")["pairing"]["games"] == 3 * QUESTIONS


def test_a_dry_run_asks_nothing() -> None:
    """It counts at most the calls that are allowed."""
    played = judge()
    with playing(played) as spec:
        words = ["arena", "--models", files(), "--prompts", "prompts.jsonl", "--judge", spec, "--dry-run", "--json"]
        made = json.loads(judgebench(words).stdout)
    assert made["total"]["calls"] == int(0.4 * 6 * QUESTIONS)
    assert made["at_most"]
    assert made["games"] == made["total"]["calls"]
    assert not played.asked
    assert not Path("arenas").exists()


def test_a_dry_run_names_the_judge_and_counts_each_pair_that_it_would_score() -> None:
    """Of models that have not answered yet, too. Both orders of a pair are one call, and the second is not stored."""
    with playing(ScriptedModel("x", name="psi")) as one, playing(ScriptedModel("y", name="chi")) as other:
        models = f"{one},{other},{files().partition(',')[0]}"
        words = ["arena", "--models", models, "--prompts", "prompts.jsonl", "--judge", "reward:builtin:tiny"]
        words += ["--pairs", "all", "--dry-run"]
        made, shown = json.loads(judgebench([*words, "--json"]).stdout), judgebench(words).stdout
    judged = made["stages"][-1]
    assert (judged["stage"], judged["calls"], judged["cached"]) == ("judge", 3 * QUESTIONS, 0)
    assert "judge reward:builtin:tiny" in shown
    assert f"arena: {made['games']} games" in shown
    assert "--stop-when" not in shown


def test_models_answer_first() -> None:
    """Models that are not files are asked the prompts, once; their answers are runs in the arena's folder."""
    one, other = (
        ScriptedModel(
            lambda request, name=name: reply(f"{name} says {last_message(request)}"), identity=name, name=name
        )  # type: ignore[misc]
        for name in ("alpha", "gamma")
    )
    with playing(one) as first, playing(other) as second:
        models = f"{first},{second}"
        found = arena(judge(), "--models", models, *ALL)
        again = arena(judge(), "--models", models, *ALL)
    assert [len(model.asked) for model in (one, other)] == [QUESTIONS, QUESTIONS]
    assert [model["model"] for model in found["models"]] == ["gamma", "alpha"]
    assert again == found
    assert len(list(Path("arena/answers").iterdir())) == 2


def test_runs_play_against_each_other() -> None:
    """Runs that were judged by their own benchmark are compared with each other, by its prompt for pairs."""
    Path("mine.toml").write_text('kind = "pairwise"\nprompts = "prompts.jsonl"\n')
    Path("baseline.jsonl").write_text(Path("alpha.jsonl").read_text())
    with playing(judge()) as spec:
        for model in ("beta", "gamma"):
            own = ["--model", f"file:{model}.jsonl", "--out", f"runs/{model}", "--judge", spec]
            judgebench(["eval", "--tasks", "mine.toml", "--baseline", "baseline.jsonl", *own, "-q"])
    played = judge()
    found = arena(played, "runs", "--tasks", "mine.toml", "--pairs", "all")
    assert [one["model"] for one in found["models"]] == ["gamma", "beta"]
    assert found["task"] == "mine@1"
    assert len(played.asked) == 2 * QUESTIONS


def test_runs_of_a_benchmark_that_rates_are_compared_by_our_prompt() -> None:
    """MT-Bench rates single answers; the arena shows two of them side by side, and says so."""
    Path("rated.toml").write_text('kind = "rating"\nprompts = "prompts.jsonl"\n')
    with playing(ScriptedModel(lambda request: reply("Rating: [[5]]"))) as spec:
        for model in ("beta", "gamma"):
            own = ["--model", f"file:{model}.jsonl", "--out", f"runs/{model}", "--judge", spec]
            judgebench(["eval", "--tasks", "rated.toml", *own, "-q"])
    found = arena(judge(), "runs", "--tasks", "rated.toml", "--pairs", "all")
    assert [one["model"] for one in found["models"]] == ["gamma", "beta"]
    assert "compared by our own prompt for pairs" in found["notes"][0]


def test_a_judge_of_places_tells_nobody_apart() -> None:
    """Where every question comes out alike there is no spread: no interval, and no pair counts as told apart."""
    found = arena(ScriptedModel(lambda request: reply("[[A]]"), identity="first"), "--models", files(), *ALL)
    assert [(one["rating"], one.get("low"), one.get("rank")) for one in found["models"]] == [(1000, None, None)] * 3
    assert found.get("separable") is found.get("told_apart") is None
    assert all("every question came out alike" in one["reason"] for one in found["models"])


def test_fields_name_the_columns_of_the_prompts() -> None:
    """Wrong ones are told with the user's file, and no folder is begun; right ones make the same arena."""
    rows = [{"Ask": f"Question {n}?"} for n in range(QUESTIONS)]
    Path("asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("--models", files(), "--prompts", "asked.jsonl", "--pairs", "all")
    for more in ((), ("--fields", "instruction=Nope")):
        told = arena(judge(), *words, *more, code=2)["err"]
        assert "asked.jsonl:1: a prompt needs" in told
        assert "--fields instruction=NAME" in told
        assert not Path("arena").exists()
    assert "names columns of --prompts" in arena(judge(), *words, "--fields", "answer=Ask", code=2)["err"]
    found = arena(judge(), *words, "--fields", "instruction=Ask")
    assert [one["model"] for one in found["models"]] == ["gamma", "beta", "alpha"]


def test_unread_and_failed_verdicts_are_no_games() -> None:
    """Both are counted; failed ones end with 4, after the ratings are kept, and are asked again by the next arena."""
    strong = by_strength(STRENGTHS)

    def odd(request: Request) -> Completion:
        number = answers(request)[0].split()[-1]
        return reply("no idea") if number == "3." else failure("busy") if number == "4." else strong(request)

    broken = ScriptedModel(odd, identity="by-strength")
    assert "6 of 180 judgements got no reply" in arena(broken, "--models", files(), *ALL, "--reask", "0", code=4)["err"]
    kept = json.loads(Path("arena/ratings.json").read_text())
    assert (kept["games"], kept["unread"], kept["failed"]) == (6 * QUESTIONS - 12, 6, 6)
    mended = judge()
    found = arena(mended, "--models", files(), *ALL, "--reask", "0")
    assert (len(mended.asked), found["failed"], found["unread"]) == (6, 0, 6)


def test_the_budget_ends_an_arena_and_keeps_what_was_paid() -> None:
    """Exit 5; with more money it goes on where it was."""
    price = ("--judge-arg", "usd_per_million=1000000/1000000")
    words = ("--models", files(), *ALL, *price)
    first = judge()
    assert "budget" in arena(first, *words, "--budget", "9000", code=5)["err"].lower()
    rest = judge()
    found = arena(rest, *words, "--budget", "1000000000")
    assert found["games"] == 6 * QUESTIONS
    assert len(first.asked) > 0
    assert len(first.asked) + len(rest.asked) == 6 * QUESTIONS


def test_a_folder_is_of_one_judge_and_of_the_same_answers() -> None:
    """Another judge, or other answers under a name that has played, is refused before anything is asked."""
    arena(judge(), "--models", files(), *ALL)
    other = ScriptedModel(by_strength(STRENGTHS), name="another")
    assert "holds an arena of another judge" in arena(other, "--models", files(), *ALL, code=2)["err"]
    write_answers("alpha", "claims")
    changed = judge()
    assert "games of other answers of alpha" in arena(changed, "--models", files(), *ALL, code=2)["err"]
    assert not changed.asked + other.asked


def test_style_is_held_equal() -> None:
    """A judge of length alone: with length held equal, nobody is far from the others."""
    for model, filler in zip(MODELS, ("x", "x" * 30, "x" * 90), strict=True):
        rows = [
            {"id": str(n), "output": f"{model} {filler * (1 + int(3 * chance(model, n)))} {n}.", "generator": model}
            for n in range(QUESTIONS)
        ]
        Path(f"{model}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def longer(request: Request) -> Completion:
        first, second = map(len, answers(request))
        sure = 0.5 + 0.45 * (first - second) / (first + second)
        return reply("[[A]]" if chance(last_message(request)) < sure else "[[B]]")

    words = ("--models", files(), *ALL, "--style-control", "arena-hard-current", "--elo")
    found = arena(ScriptedModel(longer), *words)
    plain, styled = ([one[name] for one in found["models"]] for name in ("rating", "style_rating"))
    assert max(styled) - min(styled) < 0.8 * (max(plain) - min(plain))
    assert found["style"]["coefficients"]["length"] > 0
    assert all(one["elo"] is not None for one in found["models"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "give the run folders of two or more"),
        (("--models", "file:alpha.jsonl"), "--prompts is missing"),
        (("--prompts", "prompts.jsonl"), "none is named"),
        (("--models", "file:alpha.jsonl", "--prompts", "prompts.jsonl"), "needs two models, and was given alpha"),
        (("--models", "file:alpha.jsonl,file:beta.jsonl", "--prompts", "none.jsonl"), "is not a file"),
        (("--calls", "0", "--models", "a", "--prompts", "prompts.jsonl"), "--calls"),
        (("--wb-elo",), "name their folders"),
    ],
)
def test_what_cannot_be_played_is_refused(words: tuple[str, ...], told: str) -> None:
    """In one paragraph that says what to do."""
    played = judge()
    error = arena(played, *words, code=2)["err"]
    assert told in " ".join(error.split())
    assert error.count("\n") == 1
    assert not played.asked


def test_names_keep_two_runs_of_a_model_apart() -> None:
    """Two runs of one name are refused, with what to do; --name tells them apart."""
    Path("mine.toml").write_text('kind = "pairwise"\nprompts = "prompts.jsonl"\n')
    write_answers("beta")
    with playing(judge()) as spec:
        for folder in ("one", "two"):
            write_answers("beta", folder)
            own = ["--model", "file:beta.jsonl", "--out", f"runs/{folder}", "--judge", spec]
            judgebench(["eval", "--tasks", "mine.toml", "--baseline", "alpha.jsonl", *own, "-q"])
    words = ("runs/one", "runs/two", "--tasks", "mine.toml")
    assert "are both called beta; give one of them another name with --name" in arena(judge(), *words, code=2)["err"]
    two = ScriptedModel(lambda request: reply("[[A]]"))
    found = arena(two, *words, "--name", "runs/two=later", "--pairs", "all")
    assert {one["model"] for one in found["models"]} == {"beta", "later"}
    assert found["position"] == 1.0


def test_verdicts_that_runs_hold_are_rated() -> None:
    """--judged takes each run's own games against its baseline, which is a model like the others, and asks nothing."""
    Path("mine.toml").write_text('kind = "pairwise"\nprompts = "prompts.jsonl"\n')
    with playing(judge()) as spec:
        for model in ("beta", "gamma"):
            own = ["--model", f"file:{model}.jsonl", "--out", f"runs/{model}", "--judge", spec]
            judgebench(["eval", "--tasks", "mine.toml", "--baseline", "alpha.jsonl", *own, "-q"])
    words = ["arena", "runs", "--judged", "--tasks", "mine.toml", "--style-control", "arena-hard-current", "--json"]
    found = json.loads(judgebench(words).stdout)
    assert [one["model"] for one in found["models"]] == ["gamma", "beta", "alpha"]
    assert (found["games"], found["pairing"]["how"]) == (4 * QUESTIONS, "found")
    assert found["style"]["games"] == 4 * QUESTIONS
    # Where the runs have no benchmark in common, the file says which one is meant.
    with playing(judge()) as spec:
        for model, tasks in (("beta", "mine.toml"), ("gamma", "mine.toml"), ("delta", "other.toml")):
            write_answers(model)
            Path(tasks).write_text(Path("mine.toml").read_text())
            own = ["--model", f"file:{model}.jsonl", "--out", f"more/{model}", "--judge", spec]
            judgebench(["eval", "--tasks", tasks, "--baseline", "alpha.jsonl", *own, "-q"])
    again = json.loads(judgebench(["arena", "more", "--judged", "--tasks", "mine.toml", "--json"]).stdout)
    assert [one["model"] for one in again["models"]] == ["gamma", "beta", "alpha"]


LETTER = """{{ instruction }}
First: {{ answer_a }}
Second: {{ answer_b }}
Reply with m or M.
"""
"""A prompt to which the test server's fixed reply is a verdict for the first place."""
LETTERS = """kind = "pairwise"
prompts = "prompts.jsonl"
prompt = "letter.j2"
reads = "logprob"

[verdict]
labels = { m = 1, M = 0 }
"""


def replied(server: Server) -> list[str]:
    """The prompts that a server has replied to, once for each reply."""
    return [event["key"] for event in server.events() if event["event"] == "finish"]


def test_killed_twice_an_arena_buys_nothing_twice() -> None:
    """``kill -9`` in the middle of two batches: what was committed is not asked again, and the ratings are those of an
    arena that nobody killed.
    """
    Path("letter.j2").write_text(LETTER)
    Path("letters.toml").write_text(LETTERS)
    with chat_server(delay_ms=40) as server:
        judge_of = ("--judge", f"http://127.0.0.1:{server.port}/v1#judge", "--judge-concurrency", "2")
        words = ["--models", files(), "--prompts", "letters.toml", *judge_of, "-q"]
        for count in (10, 40):
            with started(["arena", *words, "--out", "killed"]) as process:
                wait_for(lambda wanted=count: len(replied(server)) >= wanted)  # type: ignore[misc]
                kill(process)
                assert process.returncode == -signal.SIGKILL, "ended before it was killed"
        found = json.loads(judgebench(["arena", *words, "--out", "killed", "--json"]).stdout)
        prompts = replied(server)
        alone = json.loads(judgebench(["arena", *words, "--out", "alone", "--json"]).stdout)
        assert replied(server) == prompts
    games = found["pairing"]["games"]
    assert games == int(0.4 * 6 * QUESTIONS)
    # At most what was in flight is bought again.
    assert len(set(prompts)) == games
    assert len(prompts) <= games + 2 * 2 + 2
    assert {**found, "folder": None} == {**alone, "folder": None}
    assert found["position"] == 1.0


def test_a_jury_counts_once_in_pairing() -> None:
    """Two judges make two verdicts of a game, both of which are rated; the limit is of games."""
    one, two = judge(), ScriptedModel(by_strength(STRENGTHS), name="other", identity="other")
    with playing(two) as second:
        found = arena(one, "--judge", second, "--models", files(), "--prompts", "prompts.jsonl")
    games = found["pairing"]["games"]
    assert games <= 0.4 * 6 * QUESTIONS
    assert (len(one.asked), len(two.asked), found["games"]) == (games, games, 2 * games)
    assert len(found["judges"]) == 2


def test_only_some_questions_of_runs_are_played() -> None:
    """--limit takes the first of each run's questions."""
    Path("mine.toml").write_text('kind = "pairwise"\nprompts = "prompts.jsonl"\n')
    with playing(judge()) as spec:
        for model in ("beta", "gamma"):
            own = ["--model", f"file:{model}.jsonl", "--out", f"runs/{model}", "--judge", spec]
            judgebench(["eval", "--tasks", "mine.toml", "--baseline", "alpha.jsonl", *own, "-q"])
    found = arena(judge(), "runs", "--tasks", "mine.toml", "--pairs", "all", "--limit", "10")
    assert (found["questions"], found["games"]) == (10, 20)


def test_the_budget_is_for_answers_and_judge_together() -> None:
    """What the models' answers cost is gone for the judge."""
    price = ("--judge-arg", "usd_per_million=1000000/1000000", "--model-arg", "usd_per_million=1000000/1000000")
    one, other = (
        ScriptedModel(lambda request, name=name: reply(f"{name} says 1."), identity=name, name=name)  # type: ignore[misc]
        for name in ("alpha", "gamma")
    )
    played = judge()
    with playing(one) as first, playing(other) as second:
        words = (
            "--models",
            f"{first},{second}",
            *ALL,
            *price,
            "--gen",
            "max_tokens=10",
            "--judge-gen",
            "max_tokens=10",
        )
        told = arena(played, *words, "--budget", "1000", code=5)["err"]
    assert "budget" in told.lower()
    assert len(one.asked) == QUESTIONS
    assert len(other.asked) == QUESTIONS
    assert len(played.asked) < 2 * QUESTIONS


def test_a_wrong_judge_is_told_before_anybody_answers() -> None:
    """No answer is bought that could not be judged."""
    model = ScriptedModel(lambda request: reply("Yes."))
    with playing(model) as spec:
        words = ["arena", "--models", f"{spec},file:alpha.jsonl", "--prompts", "prompts.jsonl", "-q"]
        assert "name one with --judge" in judgebench(words, code=2).stderr
        assert "nobody" in judgebench([*words, "--judge", "nobody:x"], code=2).stderr
    assert not model.asked


def test_a_benchmark_that_compares_asks_by_its_own_prompt() -> None:
    """WildBench's pairs, whose other answer it calls after its own baseline: the players keep their names."""
    for name in ("beta", "gamma"):
        model = ScriptedModel(lambda request, name=name: reply(f"{name}: {last_message(request)}"), name=name)  # type: ignore[misc]
        with playing(model) as spec:
            task = ("--tasks", "wildbench:metrics=reward", "--starter")
            judgebench(["generate", "--model", spec, *task, "--out", f"runs/{name}", "-q"])
    first = ScriptedModel(lambda request: reply('{"choice": "A++"}'))
    found = arena(first, "runs", "--pairs", "all")
    assert {one["model"] for one in found["models"]} == {"beta", "gamma"}
    assert found["task"].startswith("wildbench")
    assert found["position"] in (1.0, 0.0)


@pytest.mark.parametrize("questions", [1, 2, 5])
def test_a_few_questions_are_played_to_an_end(questions: int) -> None:
    """However few games are allowed, the arena ends, and says why a model has no number."""
    found = arena(judge(), "--models", files(), "--prompts", "prompts.jsonl", "--limit", str(questions))
    assert 1 <= found["pairing"]["games"] <= max(1, int(0.4 * 6 * questions))
    assert all(one["rating"] is not None or one["reason"] for one in found["models"])


@pytest.mark.parametrize(
    "arguments", [("arena", "--models", "run"), ("eval", "--starter", "--tasks", "ifeval", "--model", "hf:run")]
)
def test_a_run_folder_in_place_of_a_model_is_named_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command, arguments: tuple[str, ...]
) -> None:
    """The message says what takes runs."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    said = command(*arguments).paragraph
    assert "run is a run folder" in said
    assert "`judgebench arena" in said
