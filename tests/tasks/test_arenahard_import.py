"""Upstream's answer and judgement files, good and bad, as runs."""

import re
from pathlib import Path

import pytest

from judgebench.data.rows import read_rows
from judgebench.errors import RecordError
from judgebench.exchange.importing import import_run
from judgebench.run.folder import RunFolder
from judgebench.run.scoring import score_run
from judgebench.run.settings import Settings
from tests.processes import manifest_of
from tests.tasks import arenahard_data as files
from tests.tasks.arenahard_data import (
    JUDGEMENTS,
    JUDGES,
    SHARED,
    TABLE,
    Load,
    judgement,
    mirrors,
    rows_of,
    write,
)


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Tasks by spec, each read once."""
    folder = tmp_path_factory.mktemp("sources")
    return lambda spec: files.loaded(spec, folder)


@pytest.fixture
def uids(load: Load) -> list[str]:
    """Ids of v0.1."""
    return [example.id for example in load("arenahard@v0.1")[1].examples]


def settings_for(out: Path, task: str = "arenahard@v0.1") -> Settings:
    """An import with the shared data as its mirror."""
    return Settings(tasks=task, out=out, mirrors=mirrors(), offline=True)


def test_a_folder_of_upstreams_files(tmp_path: Path, uids: list[str]) -> None:
    """Answers and judgements of both shapes in upstream's folders: a run for each judged model, with answers, style and
    judge's words; the judge's name comes from the folder where the rows lack it; scoring again says the same.
    """
    (tmp_path / "in" / "model_answer").mkdir(parents=True)
    (tmp_path / "in" / "model_judgment" / "gpt-x").mkdir(parents=True)
    counts = {"token_len": 3, "header_count": {"h1": 0}, "list_count": {"ordered": 0}, "bold_count": {"**": 0}}
    current = {"uid": uids[0], "ans_id": "1", "model": "new", "metadata": counts}
    current["messages"] = [{"role": "user", "content": "?"}, {"role": "assistant", "content": {"answer": "One."}}]
    turns = [{"content": "Two.", "token_len": 2}]
    legacy = {"question_id": uids[0], "answer_id": "2", "model_id": "old", "choices": [{"turns": turns}]}
    write(tmp_path / "in" / "model_answer" / "new.jsonl", current)
    write(tmp_path / "in" / "model_answer" / "old.jsonl", legacy)
    folder = tmp_path / "in" / "model_judgment" / "gpt-x"
    row = judgement(uids[0], ["A>>B", "A>B"], model="new")
    del row["judge"]
    write(folder / "new.jsonl", row)
    games = [{"user_prompt": "…", "judgment": "\nso\n[[A=B]]", "score": "A=B"}] * 2
    write(folder / "old.jsonl", {"question_id": uids[0], "model": "old", "judge": "gpt-x", "games": games})
    first, second = import_run(tmp_path / "in", "arena_hard", settings_for(tmp_path / "out"))
    assert (first.model, second.model) == ("new", "old")
    rates = [next(s for s in results.scores if s.metric == "win_rate") for results in (first, second)]
    assert [score.value for score in rates] == [25.0, 50.0]
    run = RunFolder(Path(first.run))
    (judged, _) = run.task("arenahard").judgements()
    assert (judged.judge_model, judged.verdict.label, judged.answers) == ("gpt-x", "A>>B", ("gpt-4-0314", "new"))
    assert judged.reply is not None
    assert judged.reply.text == "So: [[A>>B]]"
    assert next(iter(run.task("arenahard").generations())).outputs == ("One.",)
    styles = next(iter(run.task("arenahard").examples())).meta["styles"]
    assert styles["new"] == {"o200k_base": 3.0, "header_count": 0.0, "list_count": 0.0, "bold_count": 0.0}
    assert next(iter(RunFolder(Path(second.run)).task("arenahard").examples())).meta["styles"]["old"] == {
        "cl100k_base": 2.0
    }
    assert score_run(run, Settings(tasks="", mirrors=mirrors(), offline=True)).scores == first.scores


def test_what_cannot_be_used_is_counted_and_shown(tmp_path: Path, uids: list[str]) -> None:
    """Doubled rows, null and ``$ERROR$`` games, labels without a winner, contradicting scores, missing games and rows:
    each is in the notes with its count, and failed games are failed in the manifest.
    """
    error = {"user_prompt": "…", "judgment": "\n$ERROR$\n$ERROR$", "score": None}
    lied = {"score": "A>B", "judgment": {"answer": "So: [[B>A]]"}}
    lines = [
        judgement(uids[0], ["A>B", "B>A"]),
        judgement(uids[0], ["A=B", "A=B"]),
        judgement(uids[1], [None, "A>>A"]),
        {**judgement(uids[2], []), "games": [error, lied]},
        {**judgement(uids[3], []), "games": [{"score": None, "judgment": {"answer": "Hm."}}]},
        {"uid": uids[0], "model": "m", "answer": "$ERROR$"},
        {"uid": uids[0], "model": "m", "answer": "$ERROR$"},
        {"uid": uids[0], "model": "another", "answer": "Hi."},
    ]
    (results,) = import_run(write(tmp_path / "j.jsonl", *lines), "arena_hard", settings_for(tmp_path / "run"))
    fields = manifest_of(tmp_path / "run").tasks["arenahard"]
    for note in (
        "1 judgements stand twice; the last one is taken",
        "1 games are null: the judge's endpoint failed",
        "1 labels are A>>A, which the legacy pipeline does not know",
        "1 games are $ERROR$: the judge's endpoint failed",
        "1 stored scores are not what the judge's words say today; the stored ones are kept",
        "1 games are not in their row",
        "1 games have no verdict in the judge's words",
        "1 answers stand twice; the last one is taken",
        "2 answers are the text $ERROR$",
        "496 of 500 questions have no row",
        "1 models of the files have answers but no judgements: another",
    ):
        assert note in fields.notes
    counts = fields.counts
    assert (counts["failed"], counts["unread"], counts["read"], counts["skipped"]) == (2, 2, 2, 1)
    score = next(s for s in results.scores if s.metric == "win_rate")
    # The doubled row's last: two ties; the stored score of the last game: its first-shown answer, the model's, won.
    assert score.details["battles"] == {"won": 1.0, "tied": 2.0, "lost": 0.0}
    assert score.details["unknown_labels"] == {"A>>A": 1}


BAD = {
    "another benchmark": ('{"question_id": 81, "model": "m", "games": []}', "'81' is no question of this edition"),
    "another edition": ('{"uid": "2edbb5f36f5b42be", "model": "m", "games": []}', "looks like one of arenahard@v2.0"),
    "an unknown question": ('{"uid": "nonsense", "model": "m", "games": []}', "is no question of this edition"),
    "a truncated line": ('{"uid": "2edbb5f3', "not valid JSON"),
    "games that are no list": ('{"uid": "UID", "model": "m", "games": 3}', "'games' must be a list of 2 games"),
    "three games": ('{"uid": "UID", "model": "m", "games": [null, null, null]}', "'games' must be a list of 2 games"),
    "a game that is text": ('{"uid": "UID", "model": "m", "games": ["A>B", null]}', "a game must be an object or null"),
    "a score that is a number": ('{"uid": "UID", "model": "m", "games": [{"score": 1}]}', "'score' must be a label"),
    "words that are a list": ('{"uid": "UID", "model": "m", "games": [{"judgment": []}]}', "'judgment' must be text"),
    "no answer": ('{"uid": "UID", "model": "m", "output": "x"}', "the row holds no answer"),
    "an answer without text": ('{"uid": "UID", "model": "m", "messages": [7]}', "'messages' holds no answer text"),
    "choices without turns": ('{"question_id": "UID", "choices": [{"turns": [7]}]}', "'choices' holds no answer text"),
    "no id": ('{"model": "m", "games": []}', "the row has no 'uid' or 'question_id'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_by_line(case: str, tmp_path: Path, uids: list[str]) -> None:
    """The message names file and line and what is wrong; nothing is made."""
    line, said = BAD[case]
    path = write(tmp_path / "bad.jsonl", judgement(uids[0], ["A>B", "A>B"]), line.replace("UID", uids[1]))
    with pytest.raises(RecordError, match=re.escape(said)) as raised:
        import_run(path, "arena_hard", settings_for(tmp_path / "run"))
    assert raised.value.line == 2
    assert not (tmp_path / "run").exists()


def test_another_baseline_makes_another_protocol(tmp_path: Path, load: Load) -> None:
    """A run that was judged against other answers is not ranked with the official ones, and says so."""
    path = JUDGEMENTS / TABLE / "mistral-7b.jsonl.gz"
    (results,) = import_run(path, "arena_hard", settings_for(tmp_path / "run"))
    fields = manifest_of(tmp_path / "run").tasks["arenahard"]
    assert "judged against truth_model, which is not the official baseline" in fields.notes
    assert "truth_model" in fields.protocol["baselines"]
    assert results.scores[0].n == 10


def test_every_real_judgement_file_imports(tmp_path: Path) -> None:
    """Eleven models of four judges, one of which is a judged baseline: a run folder each, rescored alike."""
    for judge in JUDGES:
        out = tmp_path / judge
        for results in import_run(JUDGEMENTS / judge, "arena_hard", settings_for(out)):
            again = score_run(RunFolder(Path(results.run)), Settings(tasks="", mirrors=mirrors(), offline=True))
            assert again.scores == results.scores
    assert len(list(tmp_path.rglob("manifest.json"))) == 11


def test_answers_in_upstreams_shape_are_read_everywhere(load: Load) -> None:
    """``--model file:`` and ``--baseline`` take upstream's answer files too, and the plain shape as well."""
    task, data = load("arenahard@v0.1")
    (ours,) = task.importers["outputs"](read_rows(SHARED / "upstream" / "arena-hard-v0.1.gpt-4-0314.jsonl.gz"), data)
    assert {g.example_id: g for g in ours.generations} == data.baselines["gpt-4-0314"]
    plain = rows_of([{"instruction": data.examples[0].instruction, "output": "x", "generator": "g"}])
    (simple,) = task.importers["outputs"](plain, data)
    assert (simple.candidate, simple.generations[0].outputs) == ("g", ("x",))
