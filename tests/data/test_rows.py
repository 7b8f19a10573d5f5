"""Files of other programs: every form is read, and what is wrong with one is said with file and line."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow
import pyarrow.parquet
import pytest

from judgebench.data import rows as outputs
from judgebench.data.rows import MAX_LINE_BYTES, FileRow, read_rows
from judgebench.errors import RecordError, UsageError
from judgebench.files import CHUNK_BYTES, chunks
from judgebench.records import Example, Generation, Message
from judgebench.task import TaskData
from judgebench.task.answers import read_answers

ROWS = [
    {"instruction": "Name a colour.", "output": 'Blue,\n"deep" blue\tor ünï', "generator": "m"},
    {"instruction": "Name a number.", "output": "", "generator": "m"},
    {"instruction": "Line\nbreak", "output": "\\", "generator": "m"},
]


def as_table(rows: list[dict[str, Any]], delimiter: str) -> bytes:
    """CSV as a spreadsheet writes it."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    """A parquet file's bytes."""
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    return sink.getvalue()


FORMS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "json": lambda rows: json.dumps(rows, indent=1).encode(),
    "jsonl": lambda rows: "\n".join(map(json.dumps, rows)).encode(),
    "csv": lambda rows: b"\xef\xbb\xbf" + as_table(rows, ","),
    "tsv": lambda rows: as_table(rows, "\t"),
    "parquet": as_parquet,
}


def written(path: Path, data: bytes) -> Path:
    """The path, with the bytes in it, compressed if it is called so."""
    path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)
    return path


def problem_of(path: Path) -> tuple[int, str]:
    """Line and problem of a file that cannot be read."""
    with pytest.raises(RecordError) as raised:
        read_rows(path)
    assert str(raised.value).startswith(f"{path}:{raised.value.line}: ")
    assert "\n" not in str(raised.value)
    return raised.value.line, raised.value.problem


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(tmp_path: Path, form: str, suffix: str) -> None:
    """Quotes, commas, line breaks, tabs, empty fields and letters of any script survive in each."""
    path = written(tmp_path / f"outputs.{form}{suffix}", FORMS[form](ROWS))
    assert [row.fields for row in read_rows(path)] == ROWS


@pytest.mark.parametrize("name", ["outputs", "outputs.txt", "outputs.json", "outputs.jsonl"])
def test_a_list_and_lines_are_told_apart_by_their_first_character(tmp_path: Path, name: str) -> None:
    """Whatever the file is called, blank lines and spaces do not matter."""
    for data in (b"\n  " + FORMS["json"](ROWS), b"\n\n" + FORMS["jsonl"](ROWS).replace(b"\n", b"\r\n\r\n") + b"\n"):
        assert [row.fields for row in read_rows(written(tmp_path / name, data))] == ROWS


@pytest.mark.parametrize(
    ("name", "data"),
    [("e.json", b""), ("e.json", b" \n"), ("e.json", b"[]"), ("e.csv", b""), ("e.csv", b"instruction,output\n"),
     ("e.json.gz", b""), ("e.jsonl", b"\n\n"), ("e.parquet", as_parquet(ROWS[:1])[:0])],
)  # fmt: skip
def test_an_empty_file_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    """No rows, no run: the message says what was expected."""
    path = written(tmp_path / name, data)
    with pytest.raises(UsageError, match=r"holds no rows|not a readable parquet file"):
        read_rows(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A missing file and a folder get the same answer."""
    for path in (tmp_path / "nothing.json", tmp_path):
        with pytest.raises(UsageError, match=r"is not a file; a file of outputs was expected|no file to read"):
            read_rows(path)


@pytest.mark.parametrize(
    ("name", "data", "line"),
    [
        ("plain text", b"these are words", 1),
        ("a number", b"3", 1),
        ("a string", b'"text"', 1),
        ("null", b"null", 1),
        ("torn list", b'[{"a": 1},\n{"a": 2', 2),
        ("comma missing", b'[{"a": 1}\n\n{"a": 2}]', 3),
        ("more after the list", b'[{"a": 1}]\n[{"a": 2}]', 2),
        ("a word", b'[{"a": 1},\n{"a": NaN}, {"a": NIL}]', 2),
        ("an index", b'{"a": 1}\n{"a": 0x1F}', 2),
        ("single quotes", b"[\n{'a': 1}]", 2),
        ("torn line", b'{"a": 1}\n{"a": ', 2),
        ("a bad line in the middle", b'{"a": 1}\nnot json\n{"a": 2}\n', 2),
        ("a list in lines", b'{"a": 1}\n[1]\n', 2),
        ("not an object", b'[{"a": 1},\n\n 7]', 3),
        ("a list in a list", b'[{"a": 1},\n[{"a": 1}]]', 2),
        ("latin-1 in a list", b'[{"a": "x"},\n{"a": "\xe9"}]', 2),
        ("latin-1 in lines", b'{"a": "x"}\n\n{"a": "\xe9"}\n', 3),
        ("utf-16 without its mark", '[{"a": 1}]'.encode("utf-16-le"), 1),
        ("utf-16 that is none", b"\xff\xfe[\x00{", 1),
        ("a null byte", b'[{"a": "x"},\n{"a": "\x00"}]', 2),
        ("a null byte in lines", b'{"a": "x"}\n{"a": "\x00"}', 2),
        ("binary", bytes(range(256)), 1),
        ("deep list", b"[" * 100_000, 1),
        ("deep object in lines", b'{"a": 1}\n' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 2),
        ("half a character in a torn line", b'{"a": "\\ud83d\\ude00"}\n{"a": "x\\ude00', 2),
        ("brackets by the thousand", b'{"a": 1}\n{"a": ' + b"[" * 600 + b"]" * 600 + b"}", 2),
    ],
)  # fmt: skip
def test_broken_json_is_named_by_its_line(tmp_path: Path, name: str, data: bytes, line: int) -> None:
    """Whatever the bytes are, the answer is one paragraph with the line, never a crash."""
    assert problem_of(written(tmp_path / "outputs.json", data))[0] == line, name


PYTHONS: dict[str, tuple[list[Any], list[Any], dict[str, str]]] = {
    "nothing odd": ([1.5, "\U0001f600", 10**30], [1.5, "\U0001f600", 10**30], {}),
    "no numbers": ([float("nan"), 1, float("-inf")], [None, 1, None], {"2 numbers that are none": "2, 4"}),
    "a half": (["x\ud83dy", "\\ud83d", "\ude00\ud83d"], ["x\ufffdy", "\\ud83d", "\ufffd\ufffd"],
               {"3 halves of a surrogate pair": "2, 4, 4"}),
    "words": (["NaN", "-Infinity \ud800"], ["NaN", "-Infinity \ufffd"], {"1 halves": "3"}),
}  # fmt: skip
"""What Python's ``json`` writes and no strict reader takes: values, what they are read as, and the notes of that."""


@pytest.mark.parametrize("form", ["list", "lines"])
@pytest.mark.parametrize("case", PYTHONS)
def test_what_python_writes_is_read(tmp_path: Path, case: str, form: str) -> None:
    """``NaN`` and infinities are null, half a character is U+FFFD; each is counted and named with its line."""
    values, expected, notes = PYTHONS[case]
    lines = [json.dumps({"a": value}) for value in values]
    text = "[\n" + ",\n".join(lines) + "\n]" if form == "list" else "\n" + "\n".join(lines)
    path = written(tmp_path / "outputs.json", text.encode())
    rows = read_rows(path)
    assert [row.fields["a"] for row in rows] == expected
    assert [row.line for row in rows] == list(range(2, 2 + len(values)))
    assert len(rows.notes) == len(notes)
    for note, (begins, lines_told) in zip(rows.notes, notes.items(), strict=True):
        assert note.startswith(begins)
        assert note.endswith(f": {path}:{lines_told}")


def test_a_number_beyond_every_number_is_none(tmp_path: Path) -> None:
    """``1e999``, which other readers take for infinite, is null; 400 digits are no number that could be meant."""
    path = written(tmp_path / "outputs.jsonl", b'{"a": 1e999}\n{"a": %d}\n{"a": 1e308}' % 10**400)
    assert [row.number("a") for row in read_rows(path)] == [None, None, None]
    assert read_rows(path)[0].fields["a"] is None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["o.json", "o.jsonl", "o.csv", "o.tsv", "o.json.gz", "o.csv.gz"])
def test_a_text_may_name_its_encoding(tmp_path: Path, name: str, encoding: str) -> None:
    """A byte order mark says what follows: spreadsheets and PowerShell write UTF-16."""
    form = name.removesuffix(".gz").partition(".")[2]
    text = (FORMS[form](ROWS)).removeprefix(b"\xef\xbb\xbf").decode()
    data = ("\ufeff" + text if encoding == "utf-16-be" else text).encode(encoding)
    assert [row.fields for row in read_rows(written(tmp_path / name, data))] == ROWS


def test_files_that_were_put_together_are_read(tmp_path: Path) -> None:
    """``cat`` leaves the byte order mark of each file of lines where that began."""
    path = written(tmp_path / "o.jsonl", b'\xef\xbb\xbf{"a": 1}\n\xef\xbb\xbf{"a": 2}\n')
    assert [row.fields["a"] for row in read_rows(path)] == [1, 2]


@pytest.mark.parametrize(
    ("data", "line", "problem"),
    [
        (b"a,b\n1,2\n3\n", 3, "2 columns"),
        (b"a,b\n1,2,3\n", 2, "2 columns"),
        (b'a,b\n"1\n1",2\n3,4,5\n', 4, "2 columns"),
        (b"a,b\n1,2\n\xe9,2\n", 3, "not UTF-8"),
        (b"a,b,a\n1,2,3\n", 1, "the header has a column twice: a"),
        (b'a,b\n1,2\n"3,4\n5,6\n', 4, "unexpected end of data"),
    ],
)
def test_a_broken_table_is_named_by_its_line(tmp_path: Path, data: bytes, line: int, problem: str) -> None:
    """Too few or too many fields, a name for two columns, a quote that is never closed: by lines of the file."""
    found = problem_of(written(tmp_path / "outputs.csv", data))
    assert found[0] == line
    assert problem in found[1]


@pytest.mark.parametrize("name", ["outputs.json.gz", "outputs.csv.gz", "outputs.parquet.gz"])
@pytest.mark.parametrize(
    "data",
    [b"not gzip at all", gzip.compress(b"[{}]" * 500, mtime=0)[:-9], b"\x1f\x8b\x08"],
    ids=["no", "torn", "start"],
)
def test_a_broken_archive_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    """A torn or mislabelled ``.gz`` is a usage error with the path."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UsageError, match=str(path)):
        read_rows(path)


@pytest.mark.parametrize(
    "data", [b"PAR1", as_parquet(ROWS)[:-20], b"PAR1" + b"\x00" * 100 + b"PAR1"], ids=["short", "torn", "hollow"]
)
def test_a_broken_parquet_file_is_refused(tmp_path: Path, data: bytes) -> None:
    """A torn one, or one that is only called so."""
    with pytest.raises(UsageError, match=r"outputs\.parquet"):
        read_rows(written(tmp_path / "outputs.parquet", data))


def test_a_parquet_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that holds one long text a thousand times is stopped at the limit of the text it unfolds to."""
    monkeypatch.setattr(outputs, "MAX_FILE_BYTES", 2**20)
    data = as_parquet([{"output": "x" * 10_000}] * 3000)
    assert len(data) < 100_000
    assert "the file is larger than" in problem_of(written(tmp_path / "outputs.parquet", data))[1]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"output": ["x"] * 2_000_001}, "unfolds to 2,000,001 rows, 2,000,001 values and"),
        ({"output": [["x"] * 10_000_001]}, "unfolds to 1 rows, 10,000,001 values and"),
    ],
    ids=["rows", "a list in one row"],
)
def test_a_few_bytes_of_parquet_may_stand_for_any_number_of_rows(
    tmp_path: Path, table: dict[str, list[Any]], says: str
) -> None:
    """What a file says of itself is looked at before any of it is unfolded."""
    path = tmp_path / "outputs.parquet"
    pyarrow.parquet.write_table(pyarrow.table(table), path)
    assert path.stat().st_size < 20_000
    with pytest.raises(UsageError, match=says):
        read_rows(path)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (pyarrow.array([b"\xff"]).view(pyarrow.string()), "from row 1 on: 'utf-8' codec can't decode"),
        (pyarrow.array([2**50], type=pyarrow.timestamp("ms")), "from row 1 on"),
    ],
    ids=["not UTF-8", "a year beyond the calendar"],
)
def test_a_value_that_cannot_be_had_from_parquet_is_named(tmp_path: Path, array: Any, says: str) -> None:
    """Arrow holds what Python cannot."""
    pyarrow.parquet.write_table(pyarrow.table({"output": array}), tmp_path / "outputs.parquet")
    with pytest.raises(UsageError, match=says):
        read_rows(tmp_path / "outputs.parquet")


def test_nan_in_parquet_is_null(tmp_path: Path) -> None:
    """Of a column of ids with a gap pandas makes numbers with a decimal point, and NaN of the gap."""
    data = as_parquet([{"id": 81.0, "scores": [1.0, float("nan")]}, {"id": float("nan"), "scores": None}])
    rows = read_rows(written(tmp_path / "outputs.parquet", data))
    assert [row.fields for row in rows] == [{"id": 81.0, "scores": [1.0, None]}, {"id": None, "scores": None}]
    assert rows[0].key("id") == "81"


def test_a_column_of_parquet_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """Which of the two was meant?"""
    table = pyarrow.Table.from_arrays([pyarrow.array(["x"]), pyarrow.array(["y"])], names=["output", "output"])
    pyarrow.parquet.write_table(table, tmp_path / "outputs.parquet")
    with pytest.raises(UsageError, match="has a column twice: output, output"):
        read_rows(tmp_path / "outputs.parquet")


def sizes_of_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each piece that is read of a file from now on, after it was inflated."""
    sizes: list[int] = []

    def counted(path: Path) -> Iterator[bytes]:
        for chunk in chunks(path):
            sizes.append(len(chunk))
            yield chunk

    monkeypatch.setattr(outputs, "chunks", counted)
    return sizes


@pytest.mark.parametrize("suffix", [".jsonl", ".json.gz", ".csv"])
def test_an_endless_line_costs_little(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a line of 300 MB, in a sparse file or a gzip bomb, not much more than the limit is read; its line is named."""
    path = tmp_path / f"outputs{suffix}"
    if suffix.endswith(".gz"):
        # A gzip file may consist of members: three hundred of the same megabyte.
        path.write_bytes(gzip.compress(b'[{"a": 1},\n"') + 300 * gzip.compress(b"x" * 10**6))
        assert path.stat().st_size < 10**6
    else:
        with path.open("wb") as file:
            file.write(b'{"a": 1}\n')
            file.truncate(300 * 10**6)
    read, before = sizes_of_reads(monkeypatch), psutil.Process().memory_info().rss
    assert problem_of(path) == (2, f"the line is longer than {MAX_LINE_BYTES // 2**20} MiB")
    assert MAX_LINE_BYTES < sum(read) <= MAX_LINE_BYTES + 2 * CHUNK_BYTES
    assert psutil.Process().memory_info().rss - before < 2 * MAX_LINE_BYTES


def test_a_long_line_within_the_limit_is_read(tmp_path: Path) -> None:
    """Lines that span several chunks are one line."""
    row = {"output": "x" * (3 * CHUNK_BYTES)}
    path = written(tmp_path / "outputs.jsonl", json.dumps(row).encode() + b"\n" + json.dumps({"output": "y"}).encode())
    assert [found.line for found in read_rows(path)] == [1, 2]
    assert read_rows(path)[0].fields == row


def test_a_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short lines without end are stopped too."""
    monkeypatch.setattr(outputs, "MAX_FILE_BYTES", 10 * 2**20)
    path = written(tmp_path / "outputs.jsonl.gz", b'{"a": 1}\n' * 2_000_000)
    assert "the file is larger than" in problem_of(path)[1]


@pytest.mark.parametrize(
    "text", [b"[{}" + b",{}" * 10**6 + b"]", b'{"a": 1}\n' * 10**6, b"[" + b"[]," * 10**6 + b"[]]"]
)
def test_a_text_may_unfold_to_more_than_it_is(tmp_path: Path, text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small objects take a hundred times their text in memory: they are counted before they are made."""
    monkeypatch.setattr(outputs, "MAX_UNFOLDED_BYTES", 2**26)
    assert "the file unfolds to more than" in problem_of(written(tmp_path / "outputs.jsonl.gz", text))[1]


def test_rows_are_bounded_over_all_files_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small files are as much as a large one."""
    monkeypatch.setattr(outputs, "MAX_ROWS", 5)
    for name in ("a.jsonl", "b.csv"):
        written(tmp_path / name, FORMS[name[2:]](ROWS))
    with pytest.raises(RecordError, match=r"b\.csv:\d+: there are more than 5 rows"):
        read_rows(tmp_path)


def test_an_element_of_a_list_knows_its_line(tmp_path: Path) -> None:
    """The line on which the element begins, whatever the elements hold and however they are laid out."""
    text = '[\n{"a": "}],[\\n"}, {"a": [{}, "\\u00e9", 1.5e3]},\n\n{\n"a": {"b": null}\n}\n,\n{"a": "é\\\\"} ]'
    rows = read_rows(written(tmp_path / "outputs.json", text.encode()))
    assert [row.line for row in rows] == [2, 2, 4, 8]


def test_an_element_of_a_list_in_one_line_is_named_by_its_number(tmp_path: Path) -> None:
    """Line 1 would be that of every element."""
    rows = read_rows(written(tmp_path / "outputs.json", b'[{"a": "x"}, {"a": "y"}, {"b": "z"}]\n'))
    assert [row.place for row in rows] == ["element 1", "element 2", "element 3"]
    with pytest.raises(RecordError, match=r"outputs\.json:1: element 3: the row has no 'a'"):
        rows[2].text("a")
    assert read_rows(written(tmp_path / "outputs.jsonl", b'{"a": "x"}\n'))[0].place == "line 1"


def test_a_deep_element_does_not_hide_the_line_of_the_next(tmp_path: Path) -> None:
    """An element nested as deeply as can be read is stepped over."""
    for depth in (100, 300, 450, 480):
        text = '[\n{"a":' + "[" * depth + "]" * depth + '},\n{"b": 1}]'
        rows = read_rows(written(tmp_path / "outputs.json", text.encode()))
        assert rows[1].line == 3


def row_of(tmp_path: Path, **fields: Any) -> FileRow:
    """A row on line 2 of a file."""
    return read_rows(written(tmp_path / "outputs.jsonl", b"\n" + json.dumps(fields).encode()))[0]


@pytest.mark.parametrize(
    ("value", "found"),
    [(None, "null"), (3, "3"), (True, "a boolean"), (["x"], "a list"), ({"x": 1}, "an object"), (1.5, "1.5")],
)
def test_a_text_of_another_type_is_named(tmp_path: Path, value: object, found: str) -> None:
    """Field, wanted type, found type, file and line."""
    with pytest.raises(RecordError, match=rf"outputs\.jsonl:2: 'output' must be a string, found {found}"):
        row_of(tmp_path, output=value).text("output")


def test_a_missing_field_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    """So that a misspelt field is seen at once."""
    with pytest.raises(RecordError, match=r":2: the row has no 'output' or 'text'; its fields are: id, response"):
        row_of(tmp_path, response="x", id="1").text("output", "text")


def test_numbers_are_numbers(tmp_path: Path) -> None:
    """Absent and null are nothing; a string or a boolean is an error."""
    row = row_of(tmp_path, whole=1, part=1.5, nothing=None, word="1", truth=True)
    assert [row.number(name) for name in ("whole", "part", "nothing", "absent")] == [1.0, 1.5, None, None]
    for name in ("word", "truth"):
        with pytest.raises(RecordError, match=f"'{name}' must be a number or null"):
            row.number(name)


DATA = TaskData(
    examples=tuple(
        Example(id=f"e{n}", messages=(Message(role="user", content=row["instruction"]),)) for n, row in enumerate(ROWS)
    ),
    baselines={},
    judges={},
)


def answers_of(tmp_path: Path, rows: list[dict[str, Any]], **fields: str) -> dict[str, Generation]:
    """What is read from a list with one row on a line, by example id."""
    text = "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]"
    found = read_answers(read_rows(written(tmp_path / "my-model.json", text.encode())), DATA, fields)
    return {generation.example_id: generation for generation in found.generations}


def test_answers_are_matched_by_instruction_or_id(tmp_path: Path) -> None:
    """Order does not matter; a row with both goes by its instruction; fields may be called otherwise."""
    expected = {f"e{n}": (row["output"],) for n, row in enumerate(ROWS)}
    by_instruction = answers_of(tmp_path, ROWS[::-1])
    assert {key: g.outputs for key, g in by_instruction.items()} == expected
    by_id = answers_of(tmp_path, [{"id": f"e{n}", "output": row["output"]} for n, row in enumerate(ROWS)])
    assert {key: g.outputs for key, g in by_id.items()} == expected
    renamed = [{"key": f"e{n}", "response": row["output"]} for n, row in enumerate(ROWS)]
    assert {key: g.outputs for key, g in answers_of(tmp_path, renamed, id="key", output="response").items()} == expected


def test_the_candidate_is_the_generator_or_the_file(tmp_path: Path) -> None:
    """A file without a generator gives its own name, without suffixes."""
    assert answers_of(tmp_path, ROWS)["e0"].model == "m"
    nameless = [{"instruction": row["instruction"], "output": row["output"]} for row in ROWS]
    assert answers_of(tmp_path, nameless)["e0"].model == "my-model"


@pytest.mark.parametrize(
    ("rows", "line", "problem"),
    [
        ([ROWS[0], {**ROWS[1], "instruction": "Nobody asked."}], 3, "'Nobody asked.' is not one of this benchmark's 3"),
        ([{"id": "e0", "output": "x"}, {"id": "e9", "output": "x"}], 3, "'e9' is not one of"),
        ([ROWS[0], ROWS[1], ROWS[0]], 4, "has an answer already, at line 2"),
        ([ROWS[0], {**ROWS[1], "output": 7}], 3, "'output' must be a string, found 7"),
        (
            [{**ROWS[0], "output": None}, {**ROWS[1], "output": []}],
            2,
            "'output': every one is null or empty; fill them in",
        ),
        ([ROWS[0], {**ROWS[1], "output": [None, 7]}, {**ROWS[2], "output": [7]}], 4, "'output' must be a string, or a"),
        ([ROWS[0], {**ROWS[1], "output": ["a", "b"]}], 3, "'output' has 2 of the 1 turns"),
        ([{"output": "x"}], 2, "each row of a file of answers needs 'output', and 'id' or 'instruction'"),
        ([{"instruction": 1, "output": "x"}], 2, "'instruction' must be a string, found 1"),
        ([ROWS[0], {**ROWS[1], "generator": None}], 3, "'generator' must be a string, found null"),
        ([ROWS[0], {**ROWS[1], "generator": "n"}], 2, "holds answers of 2 models (m, n)"),
    ],
)
def test_a_row_that_does_not_fit_is_named(tmp_path: Path, rows: list[Any], line: int, problem: str) -> None:
    """Unknown, repeated, mistyped, incomplete and mixed rows, each with its line."""
    with pytest.raises(RecordError) as raised:
        answers_of(tmp_path, rows)
    assert raised.value.line == line
    assert problem in raised.value.problem


@pytest.mark.parametrize("absent", [None, float("nan"), [], [None], ...], ids=str)
def test_an_answer_that_is_nothing_failed(tmp_path: Path, absent: object) -> None:
    """It is a row without an answer: counted, named with its line, and the others are read."""
    rows = [ROWS[0], {name: absent if name == "output" else value for name, value in ROWS[1].items()}, ROWS[2]]
    if absent is ...:
        del rows[1]["output"]
    text = "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]"
    path = written(tmp_path / "outputs.json", text.encode())
    found = read_answers(read_rows(path), DATA)
    assert [generation.outputs for generation in found.generations] == [(ROWS[0]["output"],), (), (ROWS[2]["output"],)]
    assert [bool(generation.error) for generation in found.generations] == [False, True, False]
    assert found.notes == (f"answers missing in the file: 1 (null, NaN or empty: {path}:3)",)


@pytest.mark.parametrize("cell", ["", "NaN", "nan"])
def test_an_empty_cell_is_no_answer(tmp_path: Path, cell: str) -> None:
    """A table has no other way to say null; an empty text in JSON is a text."""
    for form in ("csv", "tsv"):
        path = written(tmp_path / f"outputs.{form}", FORMS[form]([ROWS[0], {**ROWS[1], "output": cell}, ROWS[2]]))
        assert [g.error is None for g in read_answers(read_rows(path), DATA).generations] == [True, False, True]
    assert answers_of(tmp_path, ROWS)["e1"].outputs == ("",)


def test_an_attempt_that_failed_does_not_hide_the_answer(tmp_path: Path) -> None:
    """A log of attempts has both rows, in any order; two answers to one example stay an error."""
    failed = {**ROWS[1], "output": None}
    for rows in ([*ROWS, failed], [failed, failed, *ROWS]):
        text = "\n".join(map(json.dumps, rows))
        found = read_answers(read_rows(written(tmp_path / "outputs.jsonl", text.encode())), DATA)
        assert {g.example_id: g.outputs for g in found.generations} == {
            f"e{n}": (r["output"],) for n, r in enumerate(ROWS)
        }
        assert "another row answers 1 of these examples" in found.notes[0]


IDS = TaskData(
    examples=tuple(
        Example(id=key, messages=(Message(role="user", content=key),)) for key in ("081", "7", "a1", "1", "01")
    ),
    baselines={},
    judges={},
)


@pytest.mark.parametrize(
    ("given", "meant"),
    [("081", "081"), (81, "081"), (81.0, "081"), ("81", "081"), (" 81.0 ", "081"), (7.0, "7"), ("007", "7"),
     ("a1", "a1"), (1, "1"), ("01", "01"), ("1.0", None), (7.5, None), (2.0**53, None), (82, None), ("A1", None)],
)  # fmt: skip
def test_a_number_is_one_id_however_it_is_written(given: object, meant: str | None) -> None:
    """Programs that take an id for a number drop its zeros or give it a decimal point; where that could be two
    examples' it is neither's.
    """
    row = FileRow("o.json", 1, {"id": given})
    try:
        found = IDS.find(row.key("id"))
    except RecordError:
        found = None
    assert (found and found.id) == meant


@pytest.mark.parametrize("given", [True, None, [81], {"id": 81}, 7.5, float("nan"), 1e308])
def test_what_is_no_id_is_named(given: object) -> None:
    """A truth value is none, though Python counts it among numbers."""
    with pytest.raises(RecordError, match=r"o\.json:1: 'id' must be"):
        FileRow("o.json", 1, {"id": given}).key("id")


def test_missing_answers_are_counted(tmp_path: Path) -> None:
    """Examples without a row stay examples, after those that have one, and a note says how many."""
    text = json.dumps(ROWS[1:2]).encode()
    found = read_answers(read_rows(written(tmp_path / "my-model.json", text)), DATA)
    assert [example.id for example in found.examples] == ["e1", "e0", "e2"]
    assert found.notes == ("2 of 3 examples have no answer in the file",)
