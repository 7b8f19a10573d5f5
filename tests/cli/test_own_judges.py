"""``--judge-prompt FILE.j2`` and ``--judge judge.toml``: a judge of the user's, for every judged task."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judgebench import evaluate, tasks
from judgebench.analysis.published import unlike_published
from judgebench.codec import sha256_hex
from judgebench.judges import own_prompts
from judgebench.models.scripted import ScriptedModel, last_message, playing, reply
from judgebench.records import Completion, Request
from tests.commands import Command, judgebench
from tests.servers.launch import chat_server

PAIR = (
    "Rubric of my own, kept short.\nQ: {{ instruction }}\nFIRST: {{ answer_a }}\nSECOND: {{ answer_b }}\n"
    + "Say A or B, [[A]] or [[B]], [[A>>B]], 1 or 2, or the choice in JSON.\n"
)
SINGLE = (
    "Rubric of my own, kept short.\nQ: {{ instruction }}\nANSWER: {{ answer }}\n"
    + "Say [[5]], 5 or 9, or the score or the grade in JSON, and [[yes]] or [[no]].\n"
)
CASES: dict[str, tuple[str, Completion]] = {
    "alpacaeval": (PAIR, reply("A", logprobs={"A": -0.1, "B": -2.4})),
    "arenahard": (PAIR, reply("[[A>>B]]")),
    "mtbench": (SINGLE, reply("[[7]]")),
    "mtbench:mode=pairwise": (PAIR, reply("[[B]]")),
    "wildbench:metrics=score": (SINGLE, reply('{"score": "8"}')),
    "wildbench:metrics=reward": (PAIR, reply('{"choice": "A+"}')),
}
"""A prompt for each judged task, and a reply that the task's own rule reads."""


def prompt_file(folder: Path, text: str, name: str = "mine.j2") -> Path:
    """Write a prompt."""
    path = folder / name
    path.write_text(text)
    return path


def evaluated(out: Path, task: str, judge: Callable[[Request], Any], *more: object) -> tuple[Any, list[Request]]:
    """Evaluate three starter examples with a scripted judge; return the manifest and what the judge was asked."""
    model = ScriptedModel(judge, name="judge")
    with playing(ScriptedModel(lambda _: "An answer.")) as candidate, playing(model) as spec:
        words = [spec if word == "JUDGE" else word for word in more]
        judgebench(
            ["eval", "-q", "--model", candidate, "--tasks", task, "--starter", "--limit", 3, "--out", out, *words]
        )
    (manifest,) = json.loads((out / "manifest.json").read_text())["tasks"].values()
    return manifest, model.asked


def judge_file(folder: Path, text: str, **values: object) -> Path:
    """Write a judge file."""
    path = folder / "judge.toml"
    path.write_text(text.format(**values) if values else text)
    return path


def scores(out: Path) -> dict[str, Any]:
    """The scores over all examples, by metric."""
    found = json.loads((out / "results.json").read_text())["scores"]
    return {score["metric"]: score["value"] for score in found if score["group"] is None}


@pytest.mark.parametrize("task", CASES)
def test_every_judged_task_takes_a_prompt_and_keeps_its_rule(task: str, tmp_path: Path) -> None:
    """The judge is sent the prompt with the case filled in; the verdict is read as the task reads it."""
    template, answer = CASES[task]
    path = prompt_file(tmp_path, template)
    flags = ["--judge", "JUDGE", "--judge-prompt", path]
    manifest, asked = evaluated(tmp_path / "run", task, lambda _: answer, *flags)
    assert all(last_message(request).startswith("Rubric of my own, kept short.\nQ: ") for request in asked)
    assert all("An answer." in last_message(request) for request in asked)
    assert manifest["own_judge"]["prompt"] == template
    assert manifest["protocol"]["own_judge"]["prompt"] == sha256_hex(template.encode())
    assert manifest["counts"]["unread"] == manifest["counts"]["failed"] == 0
    assert "no published number is comparable" in " ".join(manifest["notes"])


def test_another_prompt_is_another_protocol(tmp_path: Path, command: Command) -> None:
    """Its run is ranked neither with that of the bundled prompt nor with that of a prompt that differs in a word."""
    hashes = set()
    for number, template in enumerate((None, PAIR, PAIR + "Be strict."), 1):
        flags: list[object] = [] if template is None else ["--judge-prompt", prompt_file(tmp_path, template)]
        answer = CASES["alpacaeval"][1]
        manifest, _ = evaluated(
            tmp_path / f"r{number}", "alpacaeval", lambda _, a=answer: a, "--judge", "JUDGE", *flags
        )
        hashes.add(manifest["protocol_hash"])
        assert (manifest["own_judge"] is None) == (template is None)
    assert len(hashes) == 3
    table = command("leaderboard", *(tmp_path / f"r{number}" for number in (1, 2, 3))).out
    assert table.count("rank") == 3
    assert " ".join(table.split()).count("judged with a prompt of the user's own") == 2


def test_it_is_no_run_of_the_published_protocol(tmp_path: Path) -> None:
    """Whatever else it shares with the published rows, its judge is another one."""
    flags = ["--judge", "JUDGE", "--judge-prompt", prompt_file(tmp_path, PAIR)]
    manifest, _ = evaluated(tmp_path / "run", "alpacaeval", lambda _: CASES["alpacaeval"][1], *flags)
    task, _ = tasks.load(tasks.TaskSpec("alpacaeval"))
    unlike = unlike_published(task, manifest["protocol"], None)
    assert "judge (prompt, and the benchmark's own in the published rows)" in unlike


def test_a_run_goes_on_with_the_same_prompt_only(tmp_path: Path) -> None:
    """The same command goes on where it was; with another prompt, the folder holds another run."""
    path, answer = prompt_file(tmp_path, PAIR), CASES["alpacaeval"][1]
    flags = ["--judge", "builtin:tiny", "--judge-prompt", path]
    evaluated(tmp_path / "run", "alpacaeval", lambda _: answer, *flags)
    run = ["judge", tmp_path / "run", "--judge", "builtin:tiny", "-q"]
    judgebench(run)
    judgebench([*run, "--judge-prompt", path])
    path.write_text(PAIR + "Be strict.")
    refused = judgebench([*run, "--judge-prompt", path], code=2).stderr
    assert "is judged by mine.j2, whose prompt or rule is another" in refused


def test_answers_may_be_judged_later_by_a_prompt(tmp_path: Path) -> None:
    """``generate`` knows no judge; ``judge --judge-prompt`` brings one, and ``score`` reads by it again."""
    out, path = tmp_path / "run", prompt_file(tmp_path, PAIR)
    with playing(ScriptedModel(lambda _: "An answer.")) as candidate:
        judgebench(
            ["generate", "-q", "--model", candidate, "--tasks", "alpacaeval", "--starter", "--limit", 3, "--out", out]
        )
    judgebench(["judge", "-q", out, "--judge", "builtin:tiny", "--judge-prompt", path])
    before = scores(out)
    path.unlink()
    judgebench(["score", out])
    assert scores(out) == before
    manifest = json.loads((out / "manifest.json").read_text())["tasks"]["alpacaeval"]
    assert manifest["own_judge"]["prompt"] == PAIR
    refused = judgebench(["judge", "-q", out, "--judge-prompt", prompt_file(tmp_path, SINGLE)], code=2).stderr
    assert "whose prompt or rule is another" in refused


def test_a_judged_run_takes_no_prompt_afterwards(tmp_path: Path) -> None:
    """What the bundled prompt has judged stays of that protocol."""
    evaluated(tmp_path / "run", "alpacaeval", lambda _: CASES["alpacaeval"][1], "--judge", "builtin:tiny")
    path = prompt_file(tmp_path, PAIR)
    refused = judgebench(["judge", tmp_path / "run", "--judge", "builtin:tiny", "--judge-prompt", path], code=2).stderr
    assert "is judged by the benchmark's own judge" in refused


def test_an_answer_that_quotes_the_prompt_is_flagged(tmp_path: Path) -> None:
    """The integrity check knows the lines of the user's own prompt, not those of the bundled one."""
    template = PAIR + "Answer with one letter, please.\nThink of the person who asked.\n"
    path = prompt_file(tmp_path, template)
    quoting = ScriptedModel(lambda _: "Answer with one letter, please.\nThink of the person who asked.")
    answering = ScriptedModel(lambda _: CASES["alpacaeval"][1], name="judge")
    with playing(quoting) as candidate, playing(answering) as judge:
        flags = ["--tasks", "alpacaeval", "--starter", "--limit", 3, "--judge", judge, "--judge-prompt", path]
        judgebench(["eval", "-q", "--model", candidate, *flags, "--out", tmp_path / "run"])
    findings = json.loads((tmp_path / "run" / "results.json").read_text())["integrity"]
    assert [f["count"] for f in findings if f["check"] == "prompt_fragments"] == [3]


FILES: dict[str, tuple[str, str, Any, str, float]] = {
    "label": (
        "alpacaeval",
        'labels = ["FIRST", "SECOND"]\nread = "label"',
        lambda request: "FIRST" if "FIRST: An answer." in last_message(request) else "SECOND",
        "win_rate",
        100.0,
    ),
    "label of five": (
        "arenahard",
        'read = "label"\nlabels = { "[[A>>B]]" = 1.0, "[[A=B]]" = 0.5, "[[B>>A]]" = 0.0 }',
        lambda request: "[[A>>B]]" if "FIRST: An answer." in last_message(request) else "[[B>>A]]",
        "win_rate",
        100.0,
    ),
    "rating": ("mtbench", 'read = "rating"\nscale = [1, 10]', lambda _: "Fine. [[7]]", "score", 7.0),
    "rating by regex": (
        "wildbench:metrics=score",
        'read = "rating"\nscale = [0, 100]\nregex = "Grade: (\\\\d+)"\nrescale = true',
        lambda _: "Grade: 50",
        "wb_score",
        10.0,
    ),
    "json": ("mtbench", 'read = "json:grade"\nscale = [1, 10]', lambda _: '{"grade": 4}', "score", 4.0),
    "logprob": (
        "mtbench:mode=pairwise",
        'read = "logprob"\nlabels = ["1", "2"]',
        lambda request: reply(
            "1", logprobs={"1": -0.01 if "FIRST: An answer." in last_message(request) else -9.0, "2": -1.0}
        ),
        "win_rate",
        100.0,
    ),
    "logprob of ratings": (
        "mtbench",
        'read = "logprob"\nlabels = { "9" = 9.0, "5" = 5.0 }',
        lambda _: reply("9", logprobs={"9": -0.6931471805599453, "5": -0.6931471805599453}),
        "score",
        7.0,
    ),
}
"""Reading → task, the table [verdict], the judge's reply, a metric and its value."""


@pytest.mark.parametrize("reading", FILES)
def test_a_judge_file_says_how_verdicts_are_read(reading: str, tmp_path: Path) -> None:
    """Each reading, on a task whose cases it fits; the run can be scored again from its folder alone."""
    task, verdict, answer, metric, value = FILES[reading]
    single = "mode=pairwise" not in task and task.startswith(("mtbench", "wildbench"))
    prompt_file(tmp_path, SINGLE if single else PAIR)
    path = judge_file(tmp_path, f'prompt = "mine.j2"\n[sampling]\ntemperature = 0.5\n[verdict]\n{verdict}\n')
    manifest, asked = evaluated(tmp_path / "run", task, answer, "--judge", path, "--judge", "JUDGE")
    assert all(request.sampling.temperature == 0.5 for request in asked)
    assert manifest["counts"]["unread"] == 0
    assert scores(tmp_path / "run")[metric] == pytest.approx(value)
    path.unlink()
    judgebench(["score", tmp_path / "run"])
    assert scores(tmp_path / "run")[metric] == pytest.approx(value)


def test_a_judge_file_names_model_order_and_a_local_model_scores_the_labels(tmp_path: Path) -> None:
    """With a local model nothing is generated: it scores the labels, in both orders."""
    prompt_file(tmp_path, PAIR)
    text = (
        'model = "builtin:tiny"\nprompt = "mine.j2"\norder = "both"\n[verdict]\nread = "logprob"\nlabels = ["A", "B"]\n'
    )
    manifest, _ = evaluated(tmp_path / "run", "alpacaeval", lambda _: "", "--judge", judge_file(tmp_path, text))
    assert manifest["judge_models"] == ["builtin:tiny"]
    assert manifest["options"] == {"order": "both"}
    assert manifest["counts"]["read"] == 6
    assert manifest["protocol"]["judges"]["house_pairwise_label"]["prompt_and_rule"]["sampling"] == {
        "choices": ["A", "B"]
    }


def test_a_judge_file_names_a_server(tmp_path: Path) -> None:
    """A real server is sent the prompt and the file's sampling, and asked nothing a second time."""
    prompt_file(tmp_path, SINGLE)
    rule = '[sampling]\nmax_tokens = 9\n[verdict]\nread = "rating"\nscale = [1, 10]\n'
    text = 'model = "{url}#judge"\nprompt = "mine.j2"\n' + rule
    with chat_server(text="I say [[8]].", log_bodies=1) as server:
        path = judge_file(tmp_path, text, url=server.base_url)
        for name in ("run", "again"):
            evaluated(tmp_path / name, "mtbench", lambda _: "", "--judge", path, "--limit", 2)
            assert len(server.bodies()) == 4
        body = server.bodies()[0]
    assert body["max_tokens"] == 9
    assert body["messages"][0]["content"].startswith("Rubric of my own, kept short.\nQ: ")
    assert scores(tmp_path / "run")["score"] == 8.0


def test_a_run_folder_of_somebody_else_runs_no_template(tmp_path: Path) -> None:
    """A manifest whose prompt was changed to reach Python is an error of the run, not code."""
    out, path = tmp_path / "run", prompt_file(tmp_path, PAIR)
    evaluated(out, "alpacaeval", lambda _: CASES["alpacaeval"][1], "--judge", "JUDGE", "--judge-prompt", path)
    manifest = json.loads((out / "manifest.json").read_text())
    for hostile in ("{{ ''.__class__ }}", "{% for i in range(10**9) %}x{% endfor %}", "{{ '" + "(" * 9999, ""):
        manifest["tasks"]["alpacaeval"]["own_judge"]["prompt"] = hostile
        (out / "manifest.json").write_text(json.dumps(manifest))
        assert "the judge prompt mine.j2" in judgebench(["score", out], code=2).stderr
    for sampling in ({"temprature": 1}, {"max_tokens": "many"}, {"stop": 3}):
        manifest["tasks"]["alpacaeval"]["own_judge"] |= {"prompt": PAIR, "sampling": sampling}
        (out / "manifest.json").write_text(json.dumps(manifest))
        assert "its sampling is not valid" in judgebench(["score", out], code=2).stderr
    for rule in (
        {"read": "vibes"},
        {"read": "rating", "scale": [1, 5]},
        {"read": "label", "labels": {"A": 7.0, "B": 0.0}},
    ):
        manifest["tasks"]["alpacaeval"]["own_judge"] |= {"sampling": {}, "verdict": rule}
        (out / "manifest.json").write_text(json.dumps(manifest))
        assert "mine.j2" in judgebench(["score", out], code=2).stderr


def test_patterns_are_not_taken_from_a_run_folder(tmp_path: Path) -> None:
    """A regular expression of somebody else's is never run: verdicts stand as read, and judging on needs the file."""
    prompt_file(tmp_path, SINGLE)
    path = judge_file(
        tmp_path, 'prompt = "mine.j2"\n[verdict]\nread = "rating"\nscale = [1, 10]\nregex = "Grade: (\\\\d+)"\n'
    )
    out = tmp_path / "run"
    evaluated(out, "mtbench", lambda _: "Grade: 7", "--judge", path, "--judge", "JUDGE")
    manifest = out / "manifest.json"
    manifest.write_text(manifest.read_text().replace("Grade: (", "Note: ("))
    before = scores(out)
    judgebench(["score", out])
    assert scores(out) == before
    assert "name that file again" in judgebench(["judge", out, "--judge", "builtin:tiny"], code=2).stderr


REFUSED = {
    "unknown text": (
        ["--judge-prompt", PAIR + "{{ answer }}"],
        "alpacaeval",
        "shows answer (did you mean answer_b?), which cases of alpacaeval",
    ),
    "left out": (
        ["--judge-prompt", "{{ instruction }} {{ answer_a }}"],
        "alpacaeval",
        "leaves out one of the two answers",
    ),
    "other labels": (
        ["--judge-prompt", "{{ instruction }} {{ answer_a }} {{ answer_b }} Reply with M or N. A reason is welcome."],
        "alpacaeval",
        "does not ask for A or B, which alpacaeval (house_pairwise_label) reads in the reply",
    ),
    "no rating": (
        ["--judge-prompt", "[Question] {{ instruction }} [Answer] {{ answer }} Rate it from 1 to 10."],
        "mtbench",
        "does not ask for a number in double brackets, such as [[5]], which mtbench (house_rating) reads",
    ),
    "no label": (
        ["--judge-prompt", "{{ instruction }} {{ answer_a }} {{ answer_b }} Which is better, A or B?"],
        "arenahard",
        "does not ask for [[A>>B]] or [[A>B]]",
    ),
    "no key": (
        ["--judge-prompt", "{{ instruction }} {{ answer }} Rate it from 1 to 10."],
        "wildbench:metrics=score",
        "does not ask for score, which wildbench (score) reads",
    ),
    "no question": (["--judge-prompt", "{{ answer }}"], "mtbench", "leaves out the question"),
    "not a file": (["--judge-prompt", None], "alpacaeval", "none.j2 cannot be read: there is no such file"),
    "two judges": (["--judge-prompt", SINGLE], "wildbench", "metrics=score"),
    "verified": (["--judge-prompt", PAIR], "gsm8k", "are verified, not judged"),
    "sandbox": (["--judge-prompt", "{{ ''.__class__ }}"], "alpacaeval", "line 1"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_prompt_that_does_not_do_is_refused_before_anything_is_asked(
    why: str, tmp_path: Path, command: Command
) -> None:
    """In one paragraph that says what is wrong and what there is."""
    (flag, text), task, complaint = REFUSED[why]
    path = tmp_path / "none.j2" if text is None else prompt_file(tmp_path, str(text))
    words = [
        "--model",
        "builtin:tiny",
        "--judge",
        "builtin:tiny",
        "--tasks",
        task,
        "--starter",
        "--out",
        tmp_path / "run",
    ]
    assert complaint in command("eval", *words, flag, path).paragraph
    assert not (tmp_path / "run").exists()


WRONG_FILES = {
    "toml": ('model = "a\n', "line 1"),
    "key": ('modle = "builtin:tiny"\n', "line 1: modle is not a key of a judge file; it has model, prompt"),
    "prompt": ('\nprompt = "none.j2"\n', "line 2: prompt 'none.j2' is not a file"),
    "order": ('order = "random"\n', "line 1: order holds a word that it does not know: 'random'"),
    "reading": (
        '[verdict]\nread = "vibes"\n',
        "line 2: verdict.read 'vibes' is not one of label, rating, json:KEY, logprob, list, lines; a pattern of your "
        'own is regex = "PATTERN" beside label or rating',
    ),
    "labels": ('[verdict]\nread = "label"\nlabels = ["A"]\n', "line 3: verdict.labels is a list of two labels"),
    "rule key": (
        '[verdict]\nreads = "label"\n',
        "line 2: verdict.reads is not a key of a verdict; it has read, labels",
    ),
    "sampling": ("[sampling]\ntemprature = 1\n", "line 2: sampling.temprature is not a setting of sampling; there are"),
    "type": ('[sampling]\ntemperature = "hot"\n', "line 2: sampling.temperature has to be a number, and is a text"),
    "nan": ('[verdict]\nread = "label"\nlabels = { A = nan, B = 0.0 }\n', "verdict.labels has to be a number"),
    "negative": ("[sampling]\nmax_tokens = 0\n", "line 2: sampling.max_tokens is 0"),
    "mismatch": ('[verdict]\nread = "rating"\nscale = [1, 10]\n', "pairs of answers"),
    "model": ('model = "none:gpt"\n', "the model spec 'none:gpt'"),
}


@pytest.mark.parametrize("why", WRONG_FILES)
def test_a_wrong_judge_file_is_refused_with_file_line_and_key(why: str, tmp_path: Path, command: Command) -> None:
    """And the valid values."""
    text, complaint = WRONG_FILES[why]
    path = judge_file(tmp_path, text)
    more = [] if "model" in text else ["--judge", "builtin:tiny"]
    found = command("eval", "--model", "builtin:tiny", "--tasks", "alpacaeval", "--starter", "--judge", path, *more)
    assert complaint in found.paragraph


def test_a_message_about_a_prompt_names_the_prompt_s_own_file(tmp_path: Path, command: Command) -> None:
    """Not the judge file that names it."""
    strict = prompt_file(tmp_path, "{{ instruction }} {{ anser_a }}", "strict.j2")
    path = judge_file(tmp_path, 'model = "builtin:tiny"\nprompt = "strict.j2"\n')
    words = ["eval", "--model", "builtin:tiny", "--tasks", "alpacaeval", "--starter", "--judge", path]
    assert f"the judge prompt {strict} shows anser_a" in command(*words, "--out", tmp_path / "run").paragraph


def test_one_run_is_judged_in_one_way(tmp_path: Path, command: Command) -> None:
    """A prompt beside a judge file, or two judge files, are refused."""
    path, prompt = judge_file(tmp_path, 'model = "builtin:tiny"\n'), prompt_file(tmp_path, PAIR)
    other = tmp_path / "other.toml"
    other.write_text('model = "builtin:tiny"\n')
    words = ["eval", "--model", "builtin:tiny", "--tasks", "alpacaeval", "--starter", "--judge", path]
    assert "both say how to judge" in command(*words, "--judge-prompt", prompt).paragraph
    assert "both say how to judge" in command(*words, "--judge", other).paragraph
    order = 'model = "builtin:tiny"\norder = "both"\n'
    wrong = [
        "eval",
        "--model",
        "builtin:tiny",
        "--tasks",
        "wildbench",
        "--starter",
        "--judge",
        judge_file(tmp_path, order),
    ]
    assert "shows pairs only in a drawn order" in command(*wrong).paragraph


def test_a_prompt_shows_what_tells_the_cases_of_an_answer_apart(tmp_path: Path, command: Command) -> None:
    """A task that judges each criterion by itself offers the criterion, and a prompt without it is refused."""
    judgebench(["tasks", "new", "rubrics", "--kind", "rubric", "--out", tmp_path])
    task = tmp_path / "rubrics"
    assert "{{ criterion }}" in command("judges", "info", task).out
    words = ["eval", "-q", "--model", "builtin:tiny", "--judge", "builtin:tiny", "--tasks", task, "--dry-run"]
    refused = command(*words, "--judge-prompt", prompt_file(tmp_path, SINGLE)).paragraph
    assert "which ask about different things; show what tells them apart" in refused
    whole = prompt_file(tmp_path, SINGLE + "{{ criterion }}", "whole.j2")
    assert command(*words, "--judge-prompt", whole).code == 0


def test_an_export_does_not_pass_for_upstreams(tmp_path: Path) -> None:
    """The annotator of the annotations is the judge's model with the user's prompt, not a published evaluator."""
    path, out = prompt_file(tmp_path, PAIR), tmp_path / "run"
    evaluated(out, "alpacaeval", lambda _: CASES["alpacaeval"][1], "--judge", "JUDGE", "--judge-prompt", path)
    judgebench(["export", out, "--to", "alpaca_eval", "--out", tmp_path / "files"])
    (annotations,) = (tmp_path / "files").rglob("annotations.json")
    annotators = {row["annotator"] for row in json.loads(annotations.read_text())}
    assert len(annotators) == 1
    assert annotators.pop().endswith("(prompt of mine.j2)")


def test_python_takes_a_prompt_and_a_judge_file(tmp_path: Path) -> None:
    """``judge_prompt`` is a keyword of ``evaluate``, and ``judge`` may be a file."""
    prompt = prompt_file(tmp_path, PAIR)
    path = judge_file(tmp_path, 'prompt = "mine.j2"\n[verdict]\nread = "label"\nlabels = ["FIRST", "SECOND"]\n')
    judge = ScriptedModel(lambda _: reply("FIRST", logprobs={"A": -0.1}), name="judge")
    with playing(ScriptedModel(lambda _: "An answer.")) as candidate, playing(judge) as spec:
        common: dict[str, Any] = {"starter": True, "limit": 2, "progress": False}
        by_prompt = evaluate(candidate, "alpacaeval", judge=spec, judge_prompt=prompt, out=tmp_path / "a", **common)
        by_file = evaluate(candidate, "alpacaeval", judge=[path, spec], out=tmp_path / "b", **common)
    assert by_prompt.score("win_rate").n == by_file.score("win_rate").n == 2
    assert all(last_message(request).startswith("Rubric of my own") for request in judge.asked)


def test_a_jury_judges_by_one_file(tmp_path: Path) -> None:
    """Several models of one file see the same prompt, and are read by the same rule."""
    prompt_file(tmp_path, PAIR)
    rule = '[verdict]\nread = "label"\nlabels = ["FIRST", "SECOND"]\n'
    path = judge_file(tmp_path, 'model = ["MODELS"]\nprompt = "mine.j2"\n' + rule)
    jury = [ScriptedModel(lambda _, label=label: label, name=f"judge-{label}") for label in ("FIRST", "SECOND")]
    with (
        playing(ScriptedModel(lambda _: "An answer.")) as candidate,
        playing(jury[0]) as one,
        playing(jury[1]) as other,
    ):
        path.write_text(path.read_text().replace("MODELS", f'{one}", "{other}'))
        words = ["--tasks", "alpacaeval", "--starter", "--limit", 2, "--judge", path, "--out", tmp_path / "run"]
        judgebench(["eval", "-q", "--model", candidate, *words])
    assert scores(tmp_path / "run")["win_rate"] == 50.0
    assert jury[0].asked[0].messages == jury[1].asked[0].messages


def test_a_sequential_gate_judges_as_the_baseline_was_judged(tmp_path: Path) -> None:
    """The candidate's answers are judged by the user's prompt that the baseline's manifest holds."""
    path, judge = prompt_file(tmp_path, PAIR), ScriptedModel(lambda _: CASES["alpacaeval"][1], name="judge")
    with playing(ScriptedModel(lambda _: "An answer.")) as candidate, playing(judge) as spec:
        flags = ["-q", "--model", candidate, "--tasks", "alpacaeval", "--starter"]
        judgebench(["eval", *flags, "--judge", spec, "--judge-prompt", path, "--out", tmp_path / "a"])
        judgebench(["generate", *flags, "--out", tmp_path / "b"])
        policy = tmp_path / "gate.toml"
        policy.write_text('[tasks.alpacaeval]\nmetric = "win_rate"\nmax_drop = 90\n')
        words = ["--baseline", tmp_path / "a", "--candidate", tmp_path / "b", "--policy", policy, "--judge", spec]
        ended = judgebench(["gate", "--sequential", *words], code=None)
    assert ended.returncode in (0, 3), ended.stderr
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())["tasks"]["alpacaeval"]
    assert manifest["own_judge"]["prompt"] == PAIR
    assert all(last_message(request).startswith("Rubric of my own") for request in judge.asked)


def test_a_file_that_names_a_model_and_an_order_only_is_no_protocol_of_its_own(tmp_path: Path) -> None:
    """It says what ``--judge`` and the option ``order`` say, so its run is ranked with theirs."""
    path = judge_file(tmp_path, 'model = "builtin:tiny"\norder = "both"\n')
    by_file, _ = evaluated(tmp_path / "a", "alpacaeval", lambda _: "", "--judge", path)
    by_flags, _ = evaluated(tmp_path / "b", "alpacaeval:order=both", lambda _: "", "--judge", "builtin:tiny")
    assert by_file["own_judge"] is None
    assert by_file["protocol_hash"] == by_flags["protocol_hash"]
    judgebench(["judge", "-q", tmp_path / "a", "--judge", path])


def test_a_prompt_may_leave_out_the_labels_on_purpose(tmp_path: Path, command: Command) -> None:
    """A judge that was trained to reply with them need not be told."""
    text = "{# leaves out: labels #}{{ instruction }} {{ answer_a }} {{ answer_b }}"
    words = ["eval", "-q", "--model", "builtin:tiny", "--judge", "builtin:tiny", "--tasks", "alpacaeval", "--starter"]
    assert command(*words, "--dry-run", "--judge-prompt", prompt_file(tmp_path, text)).code == 0


def test_a_rule_reads_what_the_prompt_of_its_file_asks_for(tmp_path: Path, command: Command) -> None:
    """Labels of a judge file that its prompt does not ask for are refused."""
    prompt_file(tmp_path, "{{ instruction }} {{ answer_a }} {{ answer_b }} Reply with M or N.")
    rule = '[verdict]\nread = "logprob"\nlabels = ["X", "Y"]\n'
    words = ["eval", "-q", "--model", "builtin:tiny", "--judge", "builtin:tiny", "--tasks", "alpacaeval", "--starter"]
    own = command(*words, "--judge", judge_file(tmp_path, 'prompt = "mine.j2"\n' + rule)).paragraph
    assert "does not ask for X or Y" in own


def test_a_run_that_was_judged_by_such_a_prompt_can_still_be_read(tmp_path: Path) -> None:
    """Its replies are there, whatever the prompt asked for."""
    out = tmp_path / "run"
    flags = ["--judge", "JUDGE", "--judge-prompt", prompt_file(tmp_path, PAIR)]
    evaluated(out, "alpacaeval", lambda _: CASES["alpacaeval"][1], *flags)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["tasks"]["alpacaeval"]["own_judge"]["prompt"] = "{{ instruction }} {{ answer_a }} {{ answer_b }}"
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert "does not ask for" not in judgebench(["show", out]).stderr


def test_show_says_that_no_label_was_likely(tmp_path: Path, command: Command) -> None:
    """Neither label has a probability worth telling, and a tie between them has no label."""
    flags = ["--judge", "JUDGE", "--judge-prompt", prompt_file(tmp_path, PAIR)]
    answer = reply("A", logprobs={"A": -20.0, "B": -20.0})
    evaluated(tmp_path / "run", "alpacaeval", lambda _: answer, *flags)
    shown = command("show", tmp_path / "run", "--item", "starter-01").out
    assert "first token: no label above 0.05 %" in shown
    assert "verdict: a tie (its share 0.5)" in shown


def test_an_answer_that_a_prompt_cannot_show_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its case is counted and named, the others are judged, and the run is incomplete."""
    monkeypatch.setattr(own_prompts, "LONGEST_FILLED", 50_000)
    out, answers = tmp_path / "run", iter(["x" * 60_000, "An answer.", "An answer."])
    verdict = '[verdict]\nread = "label"\nlabels = ["A", "B"]\n'
    prompt_file(tmp_path, PAIR)
    path = judge_file(tmp_path, 'prompt = "mine.j2"\n' + verdict)
    words = ["--tasks", "alpacaeval", "--starter", "--limit", 3, "--judge", path, "--out", out]
    judging = ScriptedModel(lambda _: "A", name="judge")
    with playing(ScriptedModel(lambda _: next(answers))) as candidate, playing(judging) as judge:
        told = judgebench(["eval", "-q", "--model", candidate, "--judge", judge, *words], code=4).stderr
    judged = [json.loads(row) for row in next(out.rglob("judgements.jsonl")).read_text().splitlines()]
    assert sorted(row["verdict"]["value"] is None for row in judged) == [False, False, True]
    (failed,) = (row for row in judged if row["verdict"]["value"] is None)
    assert f"{failed['case_id']}: the judge prompt" in " ".join(told.split())
    assert "it would have more than 50,000 characters" in " ".join(told.split())
    assert "not asked" in " ".join(
        judgebench(["show", out, "--item", failed["example_id"], "--prompts"]).stdout.split()
    )


def test_a_pattern_that_keeps_a_reply_busy_costs_that_verdict_alone(tmp_path: Path) -> None:
    """The run goes on to its end, and the verdict is one that was not read."""
    replies = iter(["Best: A", "Best: " + "a" * 60 + "!", "Best: B"])
    rule = '[verdict]\nread = "label"\nlabels = ["A", "B"]\nregex = "Best: ([AB]|(?:a|a)+)$"\n'
    out, words = tmp_path / "run", ["--tasks", "alpacaeval", "--starter", "--limit", 3]
    words += ["--judge", str(judge_file(tmp_path, rule))]
    judging = ScriptedModel(lambda _: next(replies), name="judge")
    with playing(ScriptedModel(lambda _: "An answer.")) as candidate, playing(judging) as judge:
        judgebench(["eval", "-q", "--model", candidate, "--judge", judge, *words, "--reask", 0, "--out", out], code=4)
    judged = [json.loads(row) for row in next(out.rglob("judgements.jsonl")).read_text().splitlines()]
    (error,) = (row["verdict"]["error"] for row in judged if row["verdict"]["value"] is None)
    assert "regular expression was ended after" in error
    assert len(judged) == 3


def test_a_judge_file_sends_no_key_to_a_host(tmp_path: Path) -> None:
    """Keys are the user's to give: a file that asks for one is refused, and one that does not gets none."""
    with chat_server(text="A", log_bodies=1) as server:
        rule = '[verdict]\nread = "label"\nlabels = ["A", "B"]\n'
        model = f'model = "{server.base_url}#x"\n'
        words: list[object] = ["--tasks", "alpacaeval", "--starter", "--limit", 1, "-q"]
        words += ["--model", "builtin:tiny", "--max-tokens", 4, "--out", tmp_path / "run"]
        path = judge_file(tmp_path, model + rule + '[model_args]\napi_key_env = "OPENAI_API_KEY"\n')
        refused = judgebench(["eval", *words, "--judge", path], code=2, OPENAI_API_KEY="sk-secret").stderr
        assert "give --api-key-env NAME on the command line" in " ".join(refused.split())
        assert not server.bodies()
        judgebench(["eval", *words, "--judge", judge_file(tmp_path, model + rule)], OPENAI_API_KEY="sk-secret")
        sent = [row["headers"] for row in server.events() if row["event"] == "start"]
        assert sent
        assert "sk-secret" not in json.dumps(sent)


def test_judging_goes_on_with_the_judge_of_the_last_session(tmp_path: Path) -> None:
    """Without the file and without --judge, if a run folder may name that judge."""
    out = tmp_path / "run"
    prompt_file(tmp_path, PAIR)
    path = judge_file(tmp_path, 'model = "builtin:tiny"\nprompt = "mine.j2"\n')
    with playing(ScriptedModel(lambda _: "An answer.")) as candidate:
        words = ["--model", candidate, "--tasks", "alpacaeval", "--starter", "--limit", 2, "--out", out]
        judgebench(["eval", "-q", *words, "--judge", path])
    path.unlink()
    before = scores(out)
    rows = next(out.rglob("judgements.jsonl"))
    rows.write_text(rows.read_text().splitlines(keepends=True)[0])
    judgebench(["judge", "-q", out])
    assert scores(out) == before
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["sessions"][-1]["config"]["judges"] = ["http://example.org/v1#x"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    refused = " ".join(judgebench(["judge", "-q", out], code=2).stderr.split())
    assert "the rest of the run would be judged as" in refused
    assert "name it with --judge" in refused
