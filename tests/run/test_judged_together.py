"""Panels whose members say something only together: no member is scored by itself."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.run.folder import RunFolder
from tests.commands import judgebench

DIFFERENCE = '''

def score(data, generations, judgements):
    """How much higher the strong model rates an answer than the weak one; a single rating says nothing."""
    rated = {}
    for judgement in judgements:
        rated.setdefault(judgement.example_id, {})[judgement.judge_model] = judgement.verdict.value
    return [
        ExampleScore(example_id=id, metric="rating", value=own["strong"] - own["weak"]) for id, own in rated.items()
    ]
'''


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task whose number is the difference of two judges' ratings."""
    monkeypatch.chdir(tmp_path)
    judgebench(["tasks", "new", "gap", "--kind", "judged"])
    path = tmp_path / "gap" / "task.py"
    text = path.read_text().replace("about=", "judged_together=True,\n        about=", 1)
    text = text.replace("def score(", "def score_of_one(").replace(
        "\n\ndef summarise(", DIFFERENCE + "\n\ndef summarise("
    )
    path.write_text(text)
    return path


def test_a_difference_of_two_judges_is_scored_once(task: Path) -> None:
    """The task sees the verdicts of both judges at once, and the run has no rows of single judges or of a median."""
    with ExitStack() as stack:
        judges = [
            stack.enter_context(
                playing(ScriptedModel(lambda request, rating=rating: reply(f"[[{rating}]]"), name=name))
            )
            for name, rating in (("strong", 9), ("weak", 2))
        ]
        flags = [flag for judge in judges for flag in ("--judge", judge)]
        judgebench(["eval", "--model", "builtin:tiny", "--tasks", task, *flags, "--out", "run"])
    scores = RunFolder(Path("run")).results().scores
    assert {(score.metric, score.value) for score in scores if score.group is None} == {("rating", 7.0)}
    assert not [score.group for score in scores if score.group and score.group.startswith("judge")]
    assert RunFolder(Path("run")).require_manifest().tasks["gap"].counts["missing"] == 0
