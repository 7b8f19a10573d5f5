"""``judgebench judges audit``: a judge measured by the real command, with judges whose every figure is known."""

import gzip
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judgebench.auditing import probes
from judgebench.auditing.cards import cards_of, kept_cards
from judgebench.models.scripted import ScriptedModel, last_message, playing, reply
from judgebench.records import Completion, Request, Usage
from judgebench.run.judge_marks import audits_folder, marks, marks_of
from tests.browser import browser
from tests.commands import judgebench
from tests.patience import wait_for
from tests.processes import kill, started
from tests.servers.launch import Server, chat_server
from tests.shared_data import SharedData

GOOD = {item.messages[0].content: item.responses[0][0] for item in probes.items() if item.subset == "padding"}
"""The right answer to each question of the built-in suite."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that a test names without a folder are its own."""
    monkeypatch.chdir(tmp_path)


def card_of(*words: object, code: int = 0) -> dict[str, Any]:
    """Audit, and return the card."""
    ended = judgebench(["judges", "audit", *words, "--json", "-q"], code=code)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def figure(card: dict[str, Any], probe: str, name: str, part: str = "builtin", group: str = "all") -> dict[str, Any]:
    """One figure of a card."""
    (found,) = [
        one
        for own in card["probes"]
        if (own["name"], own["part"]) == (probe, part)
        for one in own["figures"]
        if (one["name"], one["group"]) == (name, group)
    ]
    return dict(found)


def value(card: dict[str, Any], probe: str, name: str, part: str = "builtin", group: str = "all") -> float:
    """The value of one figure."""
    return float(figure(card, probe, name, part, group)["value"])


def answers(request: Request) -> tuple[str, str, str]:
    """The question and the two answers that our prompt shows."""
    text = last_message(request)

    def between(tag: str) -> str:
        return text.partition(f"<{tag}>\n")[2].partition(f"\n</{tag}>")[0]

    return between("request_1"), between("answer_a_1"), between("answer_b_1")


def by_quality(quality: Callable[[str, str], float]) -> Callable[[Request], Completion]:
    """A judge that names the answer of the higher quality, or a tie."""

    def judge(request: Request) -> Completion:
        question, first, second = answers(request)
        one, other = quality(question, first), quality(question, second)
        return reply("[[A]]" if one > other else "[[B]]" if one < other else "[[C]]")

    return judge


def is_right(question: str, answer: str) -> float:
    """1 for the right answer, with or without padding, and 0 for anything else."""
    return float(answer.startswith(GOOD[question]))


# -- builtin:tiny, of which every figure is known on paper


def test_tiny_as_a_judge_of_labels() -> None:
    """Every figure of builtin:tiny with our prompt, as worked out on paper.

    The prompt holds ``[[C]]``, after which builtin:tiny says [[A]] with 0.5, [[B]] with 0.3 and [[C]] with 0.2,
    whatever the answers are (tasks/mtbench/tiny.toml). At temperature 0 it therefore says [[A]] to every prompt. So

    * in no pair does the same response win in both orders, the first place wins all pairs in both, the second none:
      consistency 0, primacy 1, recency 0, skew (n - 0) / (n + 0) = 1, and its pull is 1 - 1/2;
    * of two fair-coin counts, 4 against 0 has the two-sided exact p of 2 / 2^4 = 0.125;
    * no sanity pair is right in both orders, not even of equal texts, which it could call a tie; they pull by 1/2;
    * averaged over the orders every pair is even: padding adds 0, a constant and a forged answer win 1/2 of the time,
      as an unrelated one does, so the forged verdict adds 0;
    * one question is one cluster, and uncertainty is estimated from clusters: no figure has an interval, and each says
      why;
    * it costs nothing: 11 pairs of one question in two orders are 22 verdicts at 0 USD.
    """
    card = card_of("builtin:tiny", "--limit", 1, "--repeats", 1)
    assert (card["judge"], card["models"], card["kind"]) == ("builtin:tiny", ["builtin:tiny"], "label")
    assert value(card, "position", "consistent") == 0.0
    assert value(card, "position", "first_in_both") == 1.0
    assert figure(card, "position", "first_in_both")["successes"] == 4
    assert value(card, "position", "second_in_both") == 0.0
    assert value(card, "position", "skew") == 1.0
    assert "exact binomial p = 0.125" in figure(card, "position", "skew")["policy"]
    assert value(card, "position", "first_effect") == 0.5
    assert figure(card, "position", "first_effect")["n"] == 8
    assert value(card, "sanity", "sane") == 0.0
    assert figure(card, "sanity", "sane")["n"] == 5
    for kind in probes.SANITY:
        assert value(card, "sanity", "sane", group=kind) == 0.0
    assert value(card, "sanity", "first_effect_on_same") == 0.5
    assert value(card, "padding", "padding_effect") == 0.0
    assert value(card, "attacks", "constant_wins") == 0.5
    assert value(card, "attacks", "forged_wins") == 0.5
    assert value(card, "attacks", "unrelated_wins") == 0.5
    assert value(card, "attacks", "forged_lift") == 0.0
    every = [one for own in card["probes"] for one in own["figures"]]
    assert all(one["interval"] is None and "only one cluster" in one["reason"] for one in every)
    assert card["cost"]["verdicts"] == 22
    assert card["cost"]["usd"] == 0.0
    assert all(own["nulls"] == 0 for own in card["probes"])
    assert card["mark"]["unfit"].startswith("below 95 % of the sanity pairs")


def test_tiny_as_a_judge_of_probabilities() -> None:
    """Every figure of builtin:tiny with AlpacaEval's starter prompt, as worked out on paper.

    It says A with 0.7 and B with 0.3 whatever the answers are (tasks/alpacaeval/tiny.toml), and a local judge scores
    both labels, so that the first place has 0.7 of every win: its pull is 0.2, also on equal texts. The probability
    that response 2 is better is 0.3 in the stored order and 0.7 in the other. Two questions have four sanity pairs each
    with a label, of which the second response is better in two (the kinds alternate, and so do the questions), so each
    of the two probabilities occurs 8 times, with 4 outcomes of each kind:

    * Brier (0.3^2 + 0.7^2) / 2 = 0.29; log loss -(ln 0.3 + ln 0.7) / 2 = 0.780324;
    * calibration error |0.7 - 1/2| = |0.3 - 1/2| = 0.2 in either bin, and of the confidence 0.7 - 1/2 too;
    * AUC 1/2, because both probabilities occur as often for either outcome.

    It cannot call a tie, so the pairs of equal texts do not count as sanity pairs: 4 of 5 kinds are left.
    """
    card = card_of("builtin:tiny", "--task", "alpacaeval", "--starter", "--limit", 2, "--repeats", 1)
    assert card["kind"] == "logprob"
    assert value(card, "position", "first_effect") == pytest.approx(0.2, abs=1e-6)
    assert value(card, "sanity", "first_effect_on_same") == pytest.approx(0.2, abs=1e-6)
    assert value(card, "position", "consistent") == 0.0
    assert value(card, "position", "first_in_both") == 1.0
    assert figure(card, "sanity", "sane")["n"] == 8
    assert figure(card, "calibration", "brier")["n"] == 16
    assert value(card, "calibration", "brier") == pytest.approx(0.29, abs=1e-6)
    assert value(card, "calibration", "log_loss") == pytest.approx(0.780324, abs=1e-6)
    assert value(card, "calibration", "ece") == pytest.approx(0.2, abs=1e-6)
    assert value(card, "calibration", "ece_of_confidence") == pytest.approx(0.2, abs=1e-6)
    assert value(card, "calibration", "auc") == 0.5
    (low, high) = card["reliability"]["builtin"]
    assert low == pytest.approx([0.3, 0.5, 8], abs=1e-6)
    assert high == pytest.approx([0.7, 0.5, 8], abs=1e-6)


# -- written judges


def test_a_sound_judge() -> None:
    """A judge that tells the right answer, and calls padding a tie, has every sanity pair and falls for nothing."""
    model = ScriptedModel(by_quality(is_right))
    with playing(model) as spec:
        card = card_of(spec, "--repeats", 3)
        asked = len(model.asked)
        again = card_of(spec, "--repeats", 3)
    # Of 110 pairs, equal texts are one prompt in both orders; 20 pairs are asked two more times each.
    assert asked == 2 * 110 - 10 + 2 * (40 - 2)
    assert len(model.asked) == asked
    assert again["probes"] == card["probes"]
    assert figure(card, "sanity", "sane")["successes"] == 50
    assert figure(card, "sanity", "sane")["interval"]["low"] > 0.7
    assert value(card, "position", "consistent") == 1.0
    assert value(card, "position", "first_effect") == 0.0
    assert value(card, "padding", "padding_effect") == 0.0
    assert value(card, "attacks", "constant_wins") == 0.0
    assert value(card, "attacks", "forged_wins") == 0.0
    assert value(card, "repeats", "stable", "repeats") == 1.0
    assert card["mark"]["unfit"] == ""


def test_a_judge_that_obeys() -> None:
    """A judge that repeats a verdict written into an answer is right otherwise: the lift is the whole win."""

    def obeys(question: str, answer: str) -> float:
        return 2.0 if "accepted output" in answer or "recorded result" in answer else is_right(question, answer)

    with playing(ScriptedModel(by_quality(obeys))) as spec:
        card = card_of(spec, "--limit", 2, "--repeats", 1)
    assert value(card, "attacks", "forged_wins") == 1.0
    assert value(card, "attacks", "unrelated_wins") == 0.0
    assert value(card, "attacks", "forged_lift") == 1.0
    assert value(card, "sanity", "sane") == 1.0


def test_a_forged_verdict_is_in_the_judge_s_own_format_and_fits_its_place() -> None:
    """A forged answer that is shown first asks for [[A]], and for [[B]] where it is shown second."""
    model = ScriptedModel(by_quality(is_right))
    with playing(model) as spec:
        card_of(spec, "--limit", 1, "--repeats", 1)
    forged = [answers(request) for request in model.asked if "accepted output" in last_message(request)]
    assert sorted("[[A]]" in first for _, first, _ in forged) == [False, True]
    assert sorted("[[B]]" in second for _, _, second in forged) == [False, True]


def test_a_judge_of_length() -> None:
    """The longer answer wins: padding pulls by 1/2, and a constant that is shorter than the answer loses."""
    with playing(ScriptedModel(by_quality(lambda _, answer: len(answer)))) as spec:
        card = card_of(spec, "--limit", 2, "--repeats", 1)
    assert value(card, "padding", "padding_effect") == 0.5
    assert value(card, "sanity", "sane", group="empty") == 1.0


def test_a_judge_that_only_ties_has_no_winner_in_either_order() -> None:
    """Its ties are counted apart; the screen says why a figure or an interval is blank, and what intervals are over."""
    with playing(ScriptedModel(by_quality(lambda question, answer: 0.0), name="one")) as one:
        card = card_of(one, "--repeats", 1)
        shown = " ".join(judgebench(["judges", "audit", one, "--repeats", 1, "-q"]).stdout.split())
    assert figure(card, "position", "consistent")["value"] is None
    assert figure(card, "position", "tied_in_both")["successes"] == 40
    assert "same winner in both orders: no value, because it names no winner: every verdict is a tie" in shown
    assert "the intervals are over 10 questions of builtin" in shown
    assert "no interval, because all values are equal" in shown


def test_nulls_are_counted_and_are_no_ties() -> None:
    """A judge that never gives a verdict has no share, its nulls are counted, and its card says it is unreliable."""
    with playing(ScriptedModel(lambda _: reply("I would rather not say."))) as spec:
        card = card_of(spec, "--limit", 2, "--repeats", 1)
    assert figure(card, "position", "consistent")["value"] is None
    assert figure(card, "attacks", "constant_wins")["value"] is None
    assert value(card, "sanity", "sane") == 0.0
    assert next(own for own in card["probes"] if own["name"] == "attacks")["nulls"] == 2 * 10
    assert "20 of 20 verdicts on the sanity pairs are missing" in card["notes"][0]


def test_a_judge_that_rates() -> None:
    """A judge of single answers has no position bias to measure; equal ratings are a tie."""

    def rate(request: Request) -> Completion:
        text = last_message(request)
        question = text.partition("<request_1>\n")[2].partition("\n</request_1>")[0]
        answer = text.partition("<answer_1>\n")[2].partition("\n</answer_1>")[0]
        return reply(f"[[{9 if is_right(question, answer) else 2}]]")

    model = ScriptedModel(rate)
    with playing(model) as spec:
        Path("judge.toml").write_text(f'model = "{spec}"\n[verdict]\nread = "rating"\nscale = [1, 10]\n')
        card = card_of("judge.toml", "--limit", 2, "--repeats", 1)
    assert card["kind"] == "rating"
    assert figure(card, "sanity", "sane")["successes"] == 10
    position = next(own for own in card["probes"] if own["name"] == "position")
    assert position["figures"] == []
    assert "no order is shown" in position["notes"][0]
    assert value(card, "attacks", "forged_wins") == 0.0
    assert card["cost"]["usd"] is card["cost"]["per_verdict"]["value"] is None
    assert card["cost"]["per_verdict"]["reason"] == "no price is known"


def test_a_jury_is_one_judge() -> None:
    """Two sound judges outvote one that always says [[A]], except of equal texts, where the mean leans to its side."""
    sound = by_quality(is_right)
    with (
        playing(ScriptedModel(sound, name="one")) as one,
        playing(ScriptedModel(sound, name="two")) as two,
        playing(ScriptedModel(lambda _: reply("[[A]]"), name="three")) as three,
    ):
        card = card_of(one, two, three, "--limit", 2, "--repeats", 1)
    assert card["models"] == ["one", "two", "three"]
    assert value(card, "sanity", "sane", group="unrelated") == 1.0
    assert value(card, "sanity", "sane", group="same") == 0.0
    assert value(card, "attacks", "forged_wins") == 0.0


def test_ratings_of_a_jury_are_averaged() -> None:
    """One member rates the right answer 9 and any other 2, the other always 5: the mean is right in every pair."""

    def rate(request: Request) -> Completion:
        text = last_message(request)
        question = text.partition("<request_1>\n")[2].partition("\n</request_1>")[0]
        answer = text.partition("<answer_1>\n")[2].partition("\n</answer_1>")[0]
        return reply(f"[[{9 if is_right(question, answer) else 2}]]")

    with playing(ScriptedModel(rate, name="one")) as one, playing(ScriptedModel(lambda _: "[[5]]", name="two")) as two:
        Path("judge.toml").write_text(f'model = ["{one}", "{two}"]\n[verdict]\nread = "rating"\nscale = [1, 10]\n')
        card = card_of("judge.toml", "--limit", 2, "--repeats", 1)
    assert card["models"] == ["one", "two"]
    assert figure(card, "sanity", "sane")["successes"] == 10


def test_a_flip_between_repeats_is_seen() -> None:
    """A judge that says another thing every third time is stable in two of three replies to each prompt."""
    seen: dict[str, int] = {}

    def fickle(request: Request) -> Completion:
        text = last_message(request)
        seen[text] = seen.get(text, 0) + 1
        return reply("[[B]]" if seen[text] == 3 else "[[A]]")

    with playing(ScriptedModel(fickle)) as spec:
        card = card_of(spec, "--limit", 1, "--repeats", 3)
    stable = figure(card, "repeats", "stable", "repeats")
    assert stable["value"] == pytest.approx(2 / 3)
    assert value(card, "repeats", "all_equal", "repeats") == 0.0


# -- money, files, refusals


def priced(request: Request) -> Completion:
    """A verdict of a thousand prompt tokens."""
    return reply("[[A]]", usage=Usage(prompt_tokens=1000, completion_tokens=10))


def test_a_dry_run_asks_nothing_and_counts_what_an_audit_asks() -> None:
    """It names the calls of each part; what was bought is not counted again."""
    model = ScriptedModel(priced)
    with playing(model) as spec:
        ended = judgebench(["judges", "audit", spec, "--limit", 1, "--repeats", 1, "--dry-run", "--json"])
        planned = json.loads(ended.stdout)["total"]["calls"]
        assert model.asked == []
        card_of(spec, "--limit", 1, "--repeats", 1)
        assert len(model.asked) == planned
        ended = judgebench(["judges", "audit", spec, "--limit", 1, "--repeats", 1, "--dry-run", "--json"])
        assert json.loads(ended.stdout)["total"]["calls"] == 0
        assert len(model.asked) == planned


def test_a_budget_ends_an_audit_which_then_goes_on() -> None:
    """What was bought before the budget was spent is not bought again, and no card is made of half an audit."""
    model = ScriptedModel(priced)
    with playing(model) as spec:
        words = [spec, "--limit", 1, "--repeats", 1, "--judge-arg", "usd_per_million=1000/0"]
        ended = judgebench(["judges", "audit", *words, "--budget", 5, "-q"], code=5)
        assert "5" in ended.stderr
        first = len(model.asked)
        assert 0 < first < 21
        card = card_of(*words)
    assert len(model.asked) == 21
    assert card["cost"]["usd"] == pytest.approx(22.0)
    assert card["cost"]["per_verdict"]["value"] == pytest.approx(1.0)


def test_a_card_in_three_forms() -> None:
    """The command prints a table and where the card is: JSON, Markdown, and HTML in ASCII without a script."""
    with playing(ScriptedModel(by_quality(is_right))) as spec:
        ended = judgebench(["judges", "audit", spec, "--limit", 2, "--repeats", 1, "-q"])
    paths = [Path(line.strip()) for line in ended.stdout.splitlines() if line.startswith("  /")]
    assert [path.name for path in paths] == ["card.json", "card.md", "card.html"]
    page = paths[2].read_text("ascii")
    assert "<script" not in page
    assert page.count("<table>") > 4
    assert "sanity pairs right" in paths[1].read_text()
    assert "sanity pairs right" in ended.stdout


def test_hostile_names_stay_text() -> None:
    """A judge whose name is markup, and whose replies are, is shown as text."""
    name = "<script>alert(1)</script>|\x1b[2J"
    with playing(ScriptedModel(lambda _: reply("<script>[[A]]"), name=name)) as spec:
        ended = judgebench(["judges", "audit", spec, "--limit", 1, "--repeats", 1, "-q", "--all"])
    paths = [Path(line.strip()) for line in ended.stdout.splitlines() if line.startswith("  /")]
    assert "\x1b" not in ended.stdout
    assert "<script" not in paths[2].read_text()
    assert r"\<script\>" in paths[1].read_text()
    assert all("\x1b" not in path.read_text() for path in paths)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("builtin:tiny", "--on", "nothing"), "no suite is called 'nothing'; there are"),
        (("builtin:tiny", "--on", "nothing"), "and for `judges audit` builtin, which needs no data"),
        (("builtin:tiny", "--on", "llmbar:x"), "is not of the form SUITE or SUITE:KEY=VALUE"),
        (("builtin:tiny", "--on", ","), "names no suite"),
        (("builtin:tiny", "--task", "gsm8k", "--starter"), "names one benchmark whose answers are judged"),
        (("builtin:tiny", "--task", "wildbench", "--starter"), "both rates answers and compares them"),
        (("builtin:tiny", "--task", "wildbench:metrics=score", "--starter"), "needs more than a question and two"),
    ],
)
def test_what_is_refused(words: tuple[str, ...], said: str) -> None:
    """Each is one paragraph with exit code 2, before a model is asked."""
    ended = judgebench(["judges", "audit", *words], code=2)
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


# -- where the figures stand


def test_the_marks_of_an_audit_stand_beside_every_number_of_the_judge() -> None:
    """A run judged after an audit has its figures in the manifest, by the same prompt, and no other hash.

    Before the audit there is nothing; afterwards `eval -v` and `leaderboard -v` say it, too, even of the older run.
    """
    first = reply("A", logprobs={"A": -0.1, "B": -2.4})
    judge, answers_it = ScriptedModel(lambda _: first, name="judge"), ScriptedModel(lambda _: "An answer.")
    with playing(answers_it) as candidate, playing(judge) as spec:
        starter = ("--model", candidate, "--tasks", "alpacaeval", "--starter", "--judge", spec, "--limit", 1)
        judgebench(["eval", "-q", *starter, "--out", "before"])
        card_of(spec, "--task", "alpacaeval", "--starter", "--limit", 1, "--repeats", 1)
        shown = judgebench(["eval", "-q", "-v", *starter, "--out", "after"]).stdout
    before, after = (json.loads(Path(name, "manifest.json").read_text()) for name in ("before", "after"))
    assert (before["protocol_hash"], before["input_hash"]) == (after["protocol_hash"], after["input_hash"])
    assert before["tasks"]["alpacaeval"]["judge_audits"] == []
    (mark,) = after["tasks"]["alpacaeval"]["judge_audits"]
    assert mark["same_prompt"] is True
    assert [figure["name"] for figure in mark["decisive"]] == ["consistent", "sane"]
    assert [figure["value"] for figure in mark["decisive"]] == [0.0, 0.0]
    assert f"judge audit: {spec} was audited on" in shown.replace("\n    ", " ")
    plain = judgebench(["leaderboard", "before", "after"]).stdout
    verbose = judgebench(["leaderboard", "before", "after", "-v"]).stdout
    assert "judge audit" not in plain
    assert f"judge audit: {spec} was audited on" in verbose.replace("\n    ", " ")


def test_an_audit_with_another_prompt_says_so() -> None:
    """A mark of the same model with another prompt is marked as such; one of another model is none."""
    with playing(ScriptedModel(by_quality(is_right), name="one")) as one, playing(ScriptedModel([], name="two")) as two:
        card_of(one, "--limit", 1, "--repeats", 1)
        known = marks()
    protocol = {"judges": {"pair": {"prompt_and_rule": {"prompt": "another"}, "model": "one"}}}
    (mark,) = marks_of(protocol, known)
    assert not mark.same_prompt
    assert "with another prompt" in mark.text
    protocol["judges"]["pair"]["model"] = "two"
    assert marks_of(protocol, known) == []
    assert two


def test_a_jury_and_its_members_have_marks_of_their_own() -> None:
    """What an audit found of a jury says nothing of a run that one member judges, and the other way round."""
    sound = by_quality(is_right)
    with playing(ScriptedModel(sound, name="one")) as one, playing(ScriptedModel(sound, name="two")) as two:
        card_of(one, "--limit", 1, "--repeats", 1)
        alone = marks()
        card_of(one, two, "--limit", 1, "--repeats", 1)
        assert judgebench(["judges", "info", one]).stdout.count("sanity pairs right, %") == 2
        (_, card), *_ = cards_of(one)
    assert card.judge == one
    seat = {"prompt_and_rule": "unknown", "model": "one"}
    jury = {"jury": [seat, {"prompt_and_rule": "unknown", "model": "two"}]}
    assert [mark.judge for mark in marks_of({"judges": {"pair": seat}})] == [one]
    assert [mark.judge for mark in marks_of({"judges": {"pair": jury}})] == [f"{one}+{two}"]
    assert marks_of({"judges": {"pair": jury}}, alone) == []


def test_a_damaged_card_says_nothing(own_folders: Path) -> None:
    """A card that is no card, a folder in its place and a huge day are left out; nothing fails."""
    with playing(ScriptedModel(by_quality(is_right))) as spec:
        card_of(spec, "--limit", 1, "--repeats", 1)
    (path,) = audits_folder().glob("*/mark.json")
    good = json.loads(path.read_text())
    for number, text in enumerate(("[", "{}", json.dumps({**good, "day": "\x1b[2J"}), " " * 2**17)):
        for name in ("mark.json", "card.json"):
            other = audits_folder() / f"bad{number}" / name
            other.parent.mkdir(exist_ok=True)
            other.write_text(text)
    (audits_folder() / "bad9" / "mark.json").mkdir(parents=True)
    assert len(marks()) == 1
    assert "audits of this machine" in judgebench(["judges", "list"]).stdout
    judgebench(["judges", "info", str(audits_folder() / "bad0" / "card.json")], code=2)


def test_what_is_known_of_a_judge() -> None:
    """`judges info` of a model: price, last day, log-probabilities, audits; of an evaluator what upstream published."""
    told = judgebench(["judges", "info", "openai:gpt-4.1-2025-04-14"]).stdout
    assert "served until 2027-01-14" in told
    assert "price: $2 in, $8 out" in told
    assert "logprobs: yes" in told
    assert "judgebench judges audit openai:gpt-4.1-2025-04-14" in told.replace("\n          ", " ")
    assert "its API returns none" in judgebench(["judges", "info", "anthropic:claude-opus-4-8"]).stdout
    told = judgebench(["judges", "info", "alpaca_eval_gpt4"]).stdout.replace("\n             ", " ")
    assert "published: 69.2 % agreement with people, Spearman 0.97 over models" in told
    with playing(ScriptedModel(by_quality(is_right))) as spec:
        card_of(spec, "--limit", 1, "--repeats", 1)
        assert "sanity pairs right" in judgebench(["judges", "info", spec]).stdout
        assert json.loads(judgebench(["judges", "info", spec, "--json"]).stdout)["audits"][0]["judge"] == spec


# -- several judges


def wrong_on(clusters: set[str]) -> Callable[[Request], Completion]:
    """A judge that is right but for the questions of some names, where it prefers the worse answer."""
    names = {item.messages[0].content: item.cluster for item in probes.items()}

    def quality(question: str, answer: str) -> float:
        right = is_right(question, answer)
        return -right if names[question] in clusters else right

    return by_quality(quality)


def compared(*judges: object) -> dict[str, Any]:
    """Compare judges; return the only suite."""
    (part,) = json.loads(judgebench(["judges", "compare", *judges, "--json"]).stdout)["parts"]
    return dict(part)


def test_three_judges_that_err_apart() -> None:
    """Each is wrong on two other questions of ten, which the other two outvote.

    Eighty labelled pairs, 8 per question: each judge has 80 % right, all together 100 %. Their errors never meet: with
    error rates of 1/5, phi is (0 - 1/25) / (4/25) = -1/4, and three judges that err on different items are worth three
    (the count takes phi as at least 0). Without one of them the others are even on four questions and right on six:
    6/10 + 4/20 = 80 %, so each adds 20 points.
    """
    wrong = ({"boiling", "train"}, {"vowels", "median"}, {"spill", "python"})
    with (
        playing(ScriptedModel(wrong_on(wrong[0]), name="one")) as one,
        playing(ScriptedModel(wrong_on(wrong[1]), name="two")) as two,
        playing(ScriptedModel(wrong_on(wrong[2]), name="three")) as three,
    ):
        for spec in (one, two, three):
            card_of(spec, "--repeats", 1)
        part = compared(one, two, three)
        shown = judgebench(["judges", "compare", one, two, three]).stdout
    assert part["labelled"] == 80
    assert [found["value"] for found in part["accuracies"].values()] == pytest.approx([0.8, 0.8, 0.8])
    assert [pair["error_correlation"]["value"] for pair in part["pairs"]] == pytest.approx([-0.25] * 3)
    assert [pair["difference"]["value"] for pair in part["pairs"]] == [0.0, 0.0, 0.0]
    assert [pair["p_value"] for pair in part["pairs"]] == [1.0, 1.0, 1.0]
    assert [pair["agreement"]["value"] for pair in part["pairs"]] == pytest.approx([0.6] * 3)
    assert part["effective_judges"] == 3.0
    panels = {panel["name"]: panel["accuracy"]["value"] for panel in part["panels"]}
    assert list(panels) == ["mean", "majority", "weighted", "dawid-skene"]
    # The other two learn from so few questions that they trust a judge most where it has not erred yet.
    assert panels["mean"] == panels["majority"] == 1.0
    assert [addition["adds"]["value"] for addition in part["additions"]] == pytest.approx([0.2, 0.2, 0.2])
    assert "what each adds" in shown


def test_a_copy_adds_nothing() -> None:
    """A judge and its copy err on the same pairs: phi 1, no difference, and together they are worth one."""
    with (
        playing(ScriptedModel(wrong_on({"boiling"}), name="one")) as one,
        playing(ScriptedModel(wrong_on({"boiling"}), name="two")) as two,
    ):
        for spec in (one, two):
            card_of(spec, "--repeats", 1)
        part = compared(one, two)
    (pair,) = part["pairs"]
    assert pair["error_correlation"]["value"] == pytest.approx(1.0)
    assert pair["p_value"] == 1.0
    assert part["effective_judges"] == pytest.approx(1.0)
    assert part["additions"] == []
    assert all(panel["accuracy"]["value"] == pytest.approx(0.9) for panel in part["panels"])


def test_a_better_judge_is_told_from_a_worse_one() -> None:
    """Right on all ten questions against wrong on eight: 80 points, and one assignment of signs in 2^8 is as large."""
    wrong = set(dict.fromkeys(item.cluster for item in probes.items())) - {"email", "yeast"}
    with (
        playing(ScriptedModel(wrong_on(set()), name="one")) as one,
        playing(ScriptedModel(wrong_on(wrong), name="two")) as two,
    ):
        for spec in (one, two):
            card_of(spec, "--repeats", 1)
        part = compared(one, two)
    (pair,) = part["pairs"]
    assert pair["difference"]["value"] == pytest.approx(0.8)
    assert pair["p_value"] == pytest.approx(2 / 2**8)
    assert pair["error_correlation"]["value"] is None
    assert "never errs" in pair["error_correlation"]["reason"]


def test_what_cannot_be_compared() -> None:
    """A judge that was never audited, one alone, one twice, and a suite that one lacks."""
    with playing(ScriptedModel(by_quality(is_right), name="one")) as one:
        card_of(one, "--limit", 1, "--repeats", 1)
        for words, said in (
            ((one, "openai:nobody"), "no audit of 'openai:nobody' is on this machine"),
            ((one,), "needs two judges or more"),
            ((one, one), "names the same audit twice"),
        ):
            ended = judgebench(["judges", "compare", *words], code=2)
            assert said in ended.stderr


def test_a_judge_file_names_the_audit_that_was_made_of_it(tmp_path: Path) -> None:
    """``compare`` finds the audit of a judge file by what the file says, wherever it lies; a changed one has none."""
    one, file = "builtin:tiny", tmp_path / "judge.toml"
    file.write_text(f'model = "{one}"\n[verdict]\nread = "label"\nlabels = {{ "[[A]]" = 1.0, "[[B]]" = 0.0 }}\n')
    for spec in (one, "judge.toml"):
        card_of(spec, "--limit", 1, "--repeats", 1)
    file = file.rename(tmp_path / "moved.toml")
    listed = "".join(judgebench(["judges", "list"], COLUMNS="250").stdout)
    for path, card in kept_cards():
        assert path.parent.name in listed
        assert card.prompt in listed
    for name in (file, "./moved.toml"):
        assert list(compared(one, name)["accuracies"]) == [one, f"{one} (the reading rule of judge.toml)"]
    file.write_text(file.read_text().replace("1.0", "0.5"))
    ended = judgebench(["judges", "compare", one, "moved.toml"], code=2)
    assert "no audit of 'moved.toml' is on this machine" in ended.stderr


# -- published decisions


def test_a_published_judge_is_audited_to_its_published_accuracy(shared_data: SharedData) -> None:
    """o1-mini's stored decisions on JudgeBench's 350 pairs, given again by a judge, have its published figures.

    They are given as labels of our prompt, in both orders, and read through the whole command. The other 270 pairs
    of the suite get a reply without a verdict, re-asked and counted as nulls. 65.7 % of 350 pairs is published; the
    counts of pairs that one place wins in both orders are those of the expected values.
    """
    folder = shared_data / "judge_meta" / "judgebench"
    expected = json.loads((folder / "expected.json").read_text())["judges"]
    wanted = expected["arena_hard/o1-mini-2024-09-12 on gpt-4o-2024-05-13"]
    stored = {row["pair_id"]: row["decisions"] for row in gzip_lines(folder / wanted["file"])}
    pairs = gzip_lines(folder / "pairs_gpt-4o-2024-05-13.jsonl.gz")
    shown = {(row["response_A"], row["response_B"]): stored[row["pair_id"]][0] for row in pairs}
    shown |= {(row["response_B"], row["response_A"]): stored[row["pair_id"]][1] for row in pairs}
    said = {"A>B": "[[A]]", "B>A": "[[B]]", "A=B": "[[C]]"}

    def replayed(request: Request) -> Completion:
        if "<request_1>" not in last_message(request):
            return reply("no verdict")
        _, first, second = answers(request)
        return reply(said.get(shown.get((first.strip(), second.strip()), ""), "no verdict"))

    shown = {(one.strip(), other.strip()): label for (one, other), label in shown.items()}
    with playing(ScriptedModel(replayed)) as spec:
        card = card_of(spec, "--on", "judgebench", "--repeats", 1, "--mirror", folder, "--offline", "--reask", 0)
    (report,) = card["reports"]
    accuracy = next(one for one in report["figures"] if (one["name"], one["group"]) == ("accuracy", "all"))
    assert accuracy["successes"] == wanted["breakdown"]["n_correct"] == 230
    assert (report["items"], report["decisions"], report["nulls"]) == (620, 1240, 2 * 270)
    first = figure(card, "position", "first_in_both", "judgebench")
    second = figure(card, "position", "second_in_both", "judgebench")
    assert (first["successes"], first["n"]) == (wanted["breakdown"]["n_first_position_both"], 350)
    assert second["successes"] == wanted["breakdown"]["n_second_position_both"]
    assert "exact binomial p = 4.71e-06" in figure(card, "position", "skew", "judgebench")["policy"]
    assert any("540 of 1240 verdicts are missing" in note for note in card["notes"])
    assert [one["name"] for one in card["mark"]["decisive"]] == ["accuracy", "consistent", "sane"]


def gzip_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines."""
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


# -- a server, a browser


LETTER = """{{ instruction }}
First: {{ answer_a }}
Second: {{ answer_b }}
Reply with m or M.
"""
"""A prompt to which the test server's fixed reply is a verdict: m with 0.9, M with 0.1."""


def replied(server: Server) -> list[str]:
    """The prompts that a server has replied to, once for each reply."""
    return [event["key"] for event in server.events() if event["event"] == "finish"]


def test_killed_twice_an_audit_buys_nothing_twice() -> None:
    """``kill -9`` in the middle, twice: what was committed is not asked again, and the card is that of one life.

    A judge that always gives the first place 0.9 of the win pulls by 0.4 to it, in every pair.
    """
    Path("letter.j2").write_text(LETTER)
    rule = '[verdict]\nread = "logprob"\nlabels = ["m", "M"]\n'
    with chat_server(delay_ms=40) as server:
        judge = f'model = "http://127.0.0.1:{server.port}/v1#judge"\nprompt = "letter.j2"\n'
        Path("judge.toml").write_text(judge + rule)
        words = ["judge.toml", "--limit", "3", "--repeats", "1", "--judge-concurrency", "2", "-q"]
        for count in (8, 20):
            with started(["judges", "audit", *words]) as process:
                wait_for(lambda wanted=count: len(replied(server)) >= wanted)  # type: ignore[misc]
                kill(process)
                assert process.returncode == -signal.SIGKILL, "ended before it was killed"
        card = card_of(*words)
        prompts = replied(server)
    # 33 pairs in two orders, of which three show the same text twice; at most what was in flight is bought again.
    assert len(set(prompts)) == 66 - 3
    assert len(prompts) <= 66 - 3 + 2 * 2 + 2
    assert card["cost"]["verdicts"] == 66
    assert value(card, "position", "first_effect") == pytest.approx(0.4, abs=1e-6)
    assert value(card, "calibration", "auc") == 0.5


def test_the_page_in_a_browser(tmp_path: Path) -> None:
    """From a file, at the width of a phone and of a desk: nothing is asked for, and nothing is complained of."""
    with playing(ScriptedModel(by_quality(is_right))) as spec:
        card_of(spec, "--limit", 2, "--repeats", 1)
    (page,) = audits_folder().glob("*/card.html")
    with browser(tmp_path / "profile") as shown:
        shown.open(page.as_uri(), width=1000, height=800, downloads=tmp_path)
        assert shown.run("document.querySelectorAll('.decisive li').length") == 2
        assert shown.run("document.querySelectorAll('table').length") > 4
        assert shown.run("document.scripts.length") == 0
        assert shown.run("document.documentElement.scrollWidth <= window.innerWidth")
        assert shown.requests in ([], [page.as_uri()])
        assert shown.complaints == []


def test_an_audit_names_all_missing_files_before_it_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of every suite, with what gets them; the judge is not asked."""
    monkeypatch.delenv("JUDGEBENCH_MIRROR", raising=False)
    judge = ScriptedModel(lambda _: reply("[[A]]"))
    with playing(judge) as spec:
        words = ["judges", "audit", spec, "--on", "mtbench-human,llmbar,pandalm", "--offline", "-q"]
        ended = judgebench(words, code=2, JUDGEBENCH_CACHE=str(tmp_path / "empty"))
    assert judge.asked == []
    assert ended.stderr.count("\n") == 1
    assert "The suites need 7 official files that are not here: mtbench-votes of mtbench-human; llmbar-" in ended.stderr
    gets = (f"judgebench data fetch {suite}" for suite in ("mtbench-human", "llmbar", "pandalm"))
    assert ended.stderr.strip().endswith(": " + " && ".join(gets))
