"""A run folder survives what happens to it, or says where it is broken."""

import json
from pathlib import Path

import pytest

from judgebench import codec
from judgebench.codec import canonical_hash, decode_lines, encode, write_json, write_lines
from judgebench.display import slug
from judgebench.errors import RecordError, UsageError
from judgebench.records import Completion, Example, ExampleScore, Generation, Judgement, Message, Verdict
from judgebench.run.folder import Manifest, Results, RunFolder, TaskFolder, new_run_folder


def example(number: int) -> Example:
    """A numbered example."""
    return Example(id=f"e{number}", messages=(Message(role="user", content=f"question {number}"),))


def generation(number: int, text: str = "an answer", error: str | None = None) -> Generation:
    """An answer to a numbered example."""
    return Generation(example_id=f"e{number}", model="m", outputs=() if error else (text,), error=error)


def judgement(number: int, turn: int = 1, suffix: str = "", value: float = 1.0) -> Judgement:
    """A verdict on a numbered example."""
    return Judgement(
        case_id=f"e{number}{suffix}",
        example_id=f"e{number}",
        judge="j",
        judge_model="jm",
        answers=("m", "base"),
        turn=turn,
        verdict=Verdict(value=value, label="A"),
        replies=(Completion(text="A"),),
    )


def manifest(status: str = "running", input_hash: str = "sha256:0123456789abcdef") -> Manifest:
    """A manifest without tasks."""
    return Manifest(
        run_id="r",
        status=status,
        candidate="m",
        candidate_identity="i",
        candidate_spec="s",
        versions={},
        protocol_hash="",
        input_hash=input_hash,
        started_at="2024-01-01T00:00:00Z",
        sessions=[],
        tasks={},
    )


def test_appended_records_come_back(tmp_path: Path) -> None:
    """Generations and judgements are there as soon as append returns, for another process too."""
    folder = TaskFolder(tmp_path / "t")
    folder.append(generation(1))
    folder.append(judgement(1))
    assert list(TaskFolder(tmp_path / "t").generations()) == [generation(1)]
    assert list(TaskFolder(tmp_path / "t").judgements()) == [judgement(1)]
    folder.close()


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_torn_last_line_is_cut_and_redone(tmp_path: Path, kept: int) -> None:
    """A line whose end is missing is not read, and the next record does not join it."""
    path = tmp_path / "generations.jsonl"
    whole = [encode(generation(n)) + b"\n" for n in (1, 2)]
    path.write_bytes(whole[0] + whole[1][: kept if kept > 0 else len(whole[1]) - 1])
    folder = TaskFolder(tmp_path)
    assert list(folder.generations()) == [generation(1)]
    folder.append(generation(2))
    folder.append(generation(3))
    folder.close()
    assert path.read_bytes() == whole[0] + whole[1] + encode(generation(3)) + b"\n"


def test_a_torn_line_longer_than_a_block_is_cut(tmp_path: Path) -> None:
    """However long the torn line is, the last newline before it is found; a file that is all torn is emptied."""
    path = tmp_path / "generations.jsonl"
    torn = encode(generation(2, "x" * 200_000))
    for before in (encode(generation(1)) + b"\n", b""):
        path.write_bytes(before + torn)
        folder = TaskFolder(tmp_path)
        folder.append(generation(3))
        folder.close()
        assert path.read_bytes() == before + encode(generation(3)) + b"\n"


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b'{"example_id": "e9"}',
        b'{"exam',
        b"",
        b'{"example_id":"e","model":"m","outputs":[],"new":1}',
        b"\xff",
    ],
)
def test_a_broken_line_in_the_middle_names_its_place(tmp_path: Path, line: bytes) -> None:
    """What a kill cannot explain is an error with file and line, never skipped."""
    path = tmp_path / "generations.jsonl"
    path.write_bytes(b"\n".join([encode(generation(1)), line, encode(generation(2)), b""]))
    with pytest.raises(RecordError, match=r"generations\.jsonl:2: not a Generation record") as raised:
        list(TaskFolder(tmp_path).generations())
    assert (raised.value.path, raised.value.line, raised.value.exit_code) == (str(path), 2, 2)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"example_id":"e","metric":"m","value":' + b"[" * 20_000, "it is nested too deeply"),
        (b'{"example_id":"e","metric":"m","value":1e308}', "Expected `float` <= 1000000000000000.0 - at `$.value`"),
        (b'{"example_id":"e","metric":"m","value":%d}' % 10**400, "Number out of range"),
        (b'{"example_id":"e","metric":"m","value":NaN}', "JSON is malformed"),
        (
            b'{"example_id":"e","metric":"m","value":null,"covariates":{"length":-1e16}}',
            "Expected `float` >= -10000000",
        ),
    ],
    ids=["levels", "large", "digits", "NaN", "a covariate"],
)
def test_a_number_that_cannot_be_makes_a_line_a_broken_one(tmp_path: Path, line: bytes, says: str) -> None:
    """No score is a billion of millions; whoever computes with it would end at infinity."""
    (tmp_path / "example_scores.jsonl").write_bytes(
        encode(ExampleScore(example_id="e", metric="m", value=1.0)) + b"\n" + line + b"\n"
    )
    with pytest.raises(RecordError, match=r"example_scores\.jsonl:2: not a ExampleScore record") as raised:
        TaskFolder(tmp_path).example_scores()
    assert says in raised.value.problem


def test_depth_is_refused_where_it_can_be_read_but_not_worked_with(tmp_path: Path) -> None:
    """And brackets within a text are no depth."""
    path = tmp_path / "examples.jsonl"
    whole = encode(Example(id="e", messages=(), meta={"x": 1, "text": "[" * 2000}))
    path.write_bytes(whole + b"\n")
    assert TaskFolder(tmp_path).examples()[0].meta["text"] == "[" * 2000
    path.write_bytes(whole.replace(b'"x":1', b'"x":' + b"[" * 700 + b"]" * 700) + b"\n")
    with pytest.raises(RecordError, match=r"examples\.jsonl:1: .*nested more than 500 levels"):
        TaskFolder(tmp_path).examples()


def test_a_line_without_end_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sparse file of a terabyte has no newline in it."""
    monkeypatch.setattr(codec, "LINE_BYTES", 2**20)
    with (tmp_path / "generations.jsonl").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(RecordError, match=r"generations\.jsonl:1: the line is longer than 1 MiB"):
        list(TaskFolder(tmp_path).generations())


def test_what_json_cannot_hold_is_written_all_the_same() -> None:
    """A file name that is no text, as an argument or a model's name, does not keep a run from being written down."""
    assert encode(["\udcff.json", {"\ud800": 10**400}, 2**63, (1, None)]) == (
        '["\ufffd.json",{"\ufffd":null},9223372036854775808,[1,null]]'.encode()
    )
    assert canonical_hash("\udcff") == canonical_hash("\ufffd")


def test_the_later_of_two_records_counts(tmp_path: Path) -> None:
    """A failed answer that was made again is known by its second line alone."""
    folder = TaskFolder(tmp_path)
    for record in (generation(1, error="timeout"), generation(2), generation(1, "second try")):
        folder.append(record)
    folder.append(judgement(1, value=0.0))
    folder.append(judgement(1, value=1.0))
    folder.close()
    assert {g.example_id: g.outputs for g in folder.generations()} == {"e1": ("second try",), "e2": ("an answer",)}
    assert [j.verdict.value for j in folder.judgements()] == [1.0]


def test_finishing_sorts_in_example_order(tmp_path: Path) -> None:
    """Two runs that finished in different orders leave the same bytes: by example, turn, judge and case."""
    records = [
        generation(3),
        judgement(3, suffix="#b"),
        judgement(3, suffix="#a"),
        generation(1),
        judgement(1, 2, "#2"),
    ]
    records += [judgement(1), generation(2), generation(2)]
    contents = []
    for number, order in enumerate((records, records[::-1])):
        folder = TaskFolder(tmp_path / str(number))
        for record in order:
            folder.append(record)
        folder.finish(example(n) for n in (2, 3, 1))
        contents.append({path.name: path.read_bytes() for path in folder.path.iterdir()})
    assert contents[0] == contents[1]
    folder = TaskFolder(tmp_path / "0")
    assert [g.example_id for g in folder.generations()] == ["e2", "e3", "e1"]
    assert [(j.case_id, j.turn) for j in folder.judgements()] == [
        ("e3#a", 1),
        ("e3#b", 1),
        ("e1", 1),
        ("e1#2", 2),
    ]


def test_finishing_nothing_writes_nothing(tmp_path: Path) -> None:
    """A run without judgements has no empty file of judgements."""
    TaskFolder(tmp_path).finish([example(1)])
    assert list(tmp_path.iterdir()) == []


def test_examples_and_baselines_come_back(tmp_path: Path) -> None:
    """Examples keep their order; baselines are told apart by model; without a file there are none."""
    folder = TaskFolder(tmp_path / "t")
    assert folder.baselines() == {}
    folder.write_examples([example(2), example(1)])
    folder.write_baselines({"m": {"e1": generation(1), "e2": generation(2)}})
    assert folder.examples() == (example(2), example(1))
    assert folder.baselines() == {"m": {"e1": generation(1), "e2": generation(2)}}


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    """If the records fail half-way, the old file stays as it was."""
    path = tmp_path / "lines.jsonl"
    write_lines(path, [generation(1)])

    def broken() -> "object":
        yield generation(2)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_lines(path, broken())  # type: ignore[arg-type]
    assert list(decode_lines(path, Generation)) == [generation(1)]


def test_json_files_are_indented(tmp_path: Path) -> None:
    """People read and diff them."""
    write_json(tmp_path / "f.json", {"a": [1]})
    assert (tmp_path / "f.json").read_text() == '{\n  "a": [\n    1\n  ]\n}\n'


def test_a_new_folder_is_named_by_model_time_and_inputs(tmp_path: Path) -> None:
    """``<model>/<UTC time>-<8 hex>``, and nothing is made yet."""
    found = new_run_folder(tmp_path, "org/model", "sha256:0123456789abcdef")
    assert found.parent == tmp_path / "org-model"
    assert found.name.endswith("Z-01234567")
    assert not found.parent.exists()


def test_an_unfinished_run_of_the_same_inputs_is_taken_up(tmp_path: Path) -> None:
    """The newest that is not complete; a complete one, or one of other inputs, is left alone."""
    known = "sha256:0123456789abcdef"
    folders = {
        "20240101T000000Z-01234567": manifest("interrupted"),
        "20240102T000000Z-01234567": manifest("running"),
        "20240103T000000Z-01234567": manifest("complete"),
        "20240104T000000Z-01234567": manifest("running", "sha256:01234567ffff"),
        "20240105T000000Z-99999999": manifest("running", "sha256:99999999"),
    }
    for name, content in folders.items():
        RunFolder(tmp_path / "m" / name).write_manifest(content)
    assert new_run_folder(tmp_path, "m", known).name == "20240102T000000Z-01234567"
    for name in list(folders)[:2]:
        RunFolder(tmp_path / "m" / name).write_manifest(manifest("complete"))
    assert new_run_folder(tmp_path, "m", known).name not in folders


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("org/model", "org-model"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "model"),
        ("", "model"),
        (".hidden", "hidden"),
        ("-rf", "rf"),
        ("a\x00b\nc\x1b[31m", "a-b-c-31m"),
        ("\u202eevil", "evil"),
        ("a\\b:c*d?e", "a-b-c-d-e"),
        ("x" * 500, "x" * 80),
        ("日本", "model"),
        ("Model-1.5_b", "Model-1.5_b"),
    ],
)
def test_a_hostile_name_is_one_plain_folder(name: str, expected: str) -> None:
    """No separator, no leading dot or dash, no control character, no endless length."""
    assert slug(name) == expected


def test_a_folder_without_a_manifest_is_no_run(tmp_path: Path) -> None:
    """The message names the folder and what it lacks; a file or nothing at all is no run either."""
    (tmp_path / "file").write_text("")
    lacking = {
        "": r"it has no manifest\.json",
        "file": r"it has no manifest\.json",
        "nothing": "there is no such folder",
    }
    for name, lacks in lacking.items():
        assert RunFolder(tmp_path / name).manifest() is None
        with pytest.raises(UsageError, match=f"is not a run folder: {lacks}"):
            RunFolder(tmp_path / name).require_manifest()


@pytest.mark.parametrize("text", ["", "[]", '{"run_id": 1}', "\x00", '{"version": 1, "unheard_of": 2}'])
def test_a_broken_manifest_or_result_is_named(tmp_path: Path, text: str) -> None:
    """A file of another version, or a damaged one, is a usage error with its path."""
    (tmp_path / "manifest.json").write_text(text)
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(UsageError, match=r"manifest\.json is not a manifest of this version"):
        RunFolder(tmp_path).manifest()
    with pytest.raises(UsageError, match=r"results\.json is not a results file of this version"):
        RunFolder(tmp_path).results()


def test_a_run_without_results_says_how_to_get_them(tmp_path: Path) -> None:
    """An interrupted run can be scored as far as it went."""
    with pytest.raises(UsageError, match="judgebench score"):
        RunFolder(tmp_path).results()


def test_manifest_and_results_come_back(tmp_path: Path) -> None:
    """What was written is what is read, and it is ordinary JSON."""
    run = RunFolder(tmp_path / "deep" / "run")
    run.write_manifest(manifest("complete"))
    results = Results(run="r", model="m", status="complete", scores=[], integrity=[])
    run.write_results(results)
    assert run.require_manifest() == manifest("complete")
    assert run.results() == results
    assert json.loads(run.manifest_path.read_text())["status"] == "complete"


def test_a_run_ended_when_its_manifest_says_so() -> None:
    """In UTC; or it began then, if it did not end. What is no time is named."""
    made = manifest()
    assert made.ended.isoformat() == "2024-01-01T00:00:00+00:00"
    made.finished_at = "2024-01-01T01:00:00Z"
    assert made.ended.hour == 1
    for text in ("2024-99-01T00:00:00Z", "0000-01-01T00:00:00Z", "soon", "2024-01-01T00:00:00+23:59"):
        made.finished_at = text
        with pytest.raises(UsageError, match="is no time"):
            _ = made.ended


def test_occupied_means_that_something_would_be_lost(tmp_path: Path) -> None:
    """A file or a filled folder is occupied; an empty folder, or none, is not."""
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    found = {name: RunFolder(tmp_path / name).occupied for name in ("file", "empty", "nothing", ".")}
    assert found == {"file": True, "empty": False, "nothing": False, ".": True}


def test_judgements_are_read_by_example(tmp_path: Path) -> None:
    """An example's judgements are where the places say, the later one of two with one key, without a torn line."""
    folder = TaskFolder(tmp_path / "t")
    for one in (judgement(1), judgement(2), judgement(1, suffix="-2"), judgement(1, value=0.0)):
        folder.append(one)
    folder.close()
    with (tmp_path / "t" / "judgements.jsonl").open("ab") as file:
        file.write(encode(judgement(3))[:40])
    places = folder.judgement_places()
    assert {name: list(folder.judgements_at(at)) for name, at in places.items()} == {
        "e2": [judgement(2)],
        "e1": [judgement(1, suffix="-2"), judgement(1, value=0.0)],
    }
    assert [one for at in places.values() for one in folder.judgements_at(at)] == list(folder.judgements())
    assert list(folder.judgements_at([])) == []


def test_a_file_that_changed_is_not_read_at_old_places(tmp_path: Path) -> None:
    """Places of judgements lead nowhere once the file was written again."""
    folder = TaskFolder(tmp_path / "t")
    folder.append(judgement(1))
    folder.close()
    places = folder.judgement_places()["e1"]
    (tmp_path / "t" / "judgements.jsonl").write_bytes(b"\n" * 9)
    with pytest.raises(UsageError, match="changed while it was read"):
        list(folder.judgements_at(places))


def test_a_folder_without_judgements_has_no_places(tmp_path: Path) -> None:
    """As before the first judgement."""
    assert TaskFolder(tmp_path / "t").judgement_places() == {}
