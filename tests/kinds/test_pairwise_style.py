"""Win rates of pairs that are controlled for style, against Arena-Hard's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judgebench.tasks.arenahard.battles import Rules
from judgebench.tasks.arenahard.controlled import control_style

from judgebench.records import ExampleScore
from judgebench.run.folder import RunFolder
from judgebench.stats.style_rate import style_rate
from judgebench.task.markdown import MARKDOWN
from tests.commands import judgebench
from tests.kinds.test_kinds import evaluated, prefers, scores, write_rows, write_task

STYLED = """
kind = "pairwise"
prompts = "prompts.jsonl"
[pairwise]
baseline = "gold"
style_control = true
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_pairs(answers: list[tuple[str, str]]) -> None:
    """Write questions of two categories, with an answer and the baseline's to each."""
    rows = [
        {"instruction": f"Question {n}?", "gold": gold, "category": "even" if n % 2 == 0 else "odd"}
        for n, (_, gold) in enumerate(answers)
    ]
    write_rows("prompts.jsonl", rows)
    write_rows("answers.jsonl", [{"id": str(n), "output": own} for n, (own, _) in enumerate(answers)])


def styled_answers(count: int) -> list[tuple[str, str]]:
    """Answers of several styles, whose words say which is better: often the longer one."""
    draw = np.random.default_rng(3)
    found = []
    for _ in range(count):
        longer = bool(draw.random() < 0.6)
        wins = draw.random() < (0.7 if longer else 0.3)
        word = "good" if wins else "bad" if draw.random() < 0.9 else "equal"
        own = f"{word} answer " + ("**with** weight\n- and items\n" * int(draw.integers(1, 6)) if longer else "plain")
        found.append((own, "plain words " * int(draw.integers(1, 9))))
    return found


def test_it_is_arena_hards_rate_of_the_same_counts(place: Path) -> None:
    """Value, coefficients and interval of Arena-Hard's own code, for all questions and for each group."""
    write_pairs(styled_answers(60))
    write_task(STYLED)
    found, asked = evaluated(prefers)
    assert len(asked) == 120
    rows = RunFolder(Path("run")).task("mine").example_scores()
    for group, own in ((None, rows), ("category=even", [r for r in rows if int(r.example_id) % 2 == 0])):
        theirs = control_style({"": [as_battles(row) for row in own]}, Rules(pipeline="current"), upstream=False)[""]
        ours = found["win_rate_style_controlled", group]
        assert theirs.value is not None
        assert ours.value == pytest.approx(theirs.value, abs=1e-9)
        assert ours.details["coefficients"]["length"] == pytest.approx(theirs.details["coefficients"]["token_len"])
        score = theirs.score(group, len(own), Rules(pipeline="current"))
        assert (ours.low, ours.high, ours.n) == (pytest.approx(score.low), pytest.approx(score.high), score.n)
    assert found["win_rate_style_controlled", None].value != pytest.approx(found["win_rate", None].value, abs=0.01)


def as_battles(row: ExampleScore) -> ExampleScore:
    """The example score that Arena-Hard would have made of the same games and counts."""
    given: dict[str, Any] = row.covariates
    counts = {
        name: given[ours] * given["games"] for name, ours in (("won", "wins"), ("tied", "ties"), ("lost", "losses"))
    }
    styles = {side + name: given[side + name] for side in ("", "baseline_") for name in MARKDOWN}
    lengths = {side + "token_len": given[side + "length"] for side in ("", "baseline_")}
    covariates = {**{name: float(round(value)) for name, value in counts.items()}, **styles, **lengths}
    return ExampleScore(
        example_id=row.example_id, metric="win_rate", value=row.value, weight=given["games"], covariates=covariates
    )


def test_without_differences_of_style_it_is_the_win_rate(place: Path) -> None:
    """Answers as long and as plain as the baseline's: nothing is controlled for."""
    write_pairs([("good answer", "plain words") if n % 4 else ("bad answers", "plain words") for n in range(12)])
    write_task(STYLED.replace("true", '"markdown"'))
    found, _ = evaluated(prefers)
    styled = found["win_rate_style_controlled", None]
    assert styled.value == pytest.approx(found["win_rate", None].value) == pytest.approx(75)
    assert styled.details["coefficients"] == dict.fromkeys(MARKDOWN)
    assert "controlled for Markdown" in styled.method


def test_games_that_all_ended_alike_have_wilsons_interval(place: Path) -> None:
    """Ten of ten items won: 100, as Wilson's interval has it for ten."""
    write_pairs([("good answer", "plain words")] * 10)
    write_task(STYLED)
    found, _ = evaluated(prefers)
    styled = found["win_rate_style_controlled", None]
    assert (styled.value, styled.high) == (100, 100)
    assert styled.low == pytest.approx(72.2, abs=0.1)


def test_shares_are_not_games(place: Path) -> None:
    """Verdicts that are neither wins, ties nor losses cannot be controlled for style, which the score says."""
    write_pairs(styled_answers(4))
    write_task(STYLED)
    write_rows("verdicts.jsonl", [{"id": str(n), "value": 0.8} for n in range(4)])
    judgebench(["import", "verdicts.jsonl", "--from", "verdicts", "--task", "mine.toml", "--out", "run"])
    styled = scores("run")["win_rate_style_controlled", None]
    assert styled.value is None
    assert "no game has a verdict and two answers" in styled.reason


def test_the_rate_of_battles() -> None:
    """With the better half of the answers twice as long, half of the plain win rate's lead is style's."""
    share = [1.0, 1.0, 1.0, 0.0] * 10 + [0.0, 0.0, 0.0, 1.0] * 10
    style = np.array([[200.0, 0.0]] * 40 + [[100.0, 0.0]] * 40)
    rate = style_rate(share, style, style[::-1], range(80), ("length", "bold"), (0, 1))
    assert rate.value == pytest.approx(50)
    assert rate.details["coefficients"]["bold"] is None
    assert rate.totals is not None
    assert rate.totals.value == pytest.approx(50)
