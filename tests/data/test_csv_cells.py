"""CSV is read by one function: each row with its line, and what is wrong by its line."""

import io
from pathlib import Path

import pytest

from judgebench.data.csv_cells import csv_bytes, original_text, read_csv, read_csv_table
from judgebench.errors import RecordError

PATH = Path("t.csv")


def test_rows_have_the_line_on_which_they_begin() -> None:
    """A cell may hold line breaks of any kind, and empty lines are passed over."""
    header, rows = read_csv(PATH, io.StringIO('a,b\n"1\r\n1",2\n\n3,4\n', newline=""))
    assert (header, list(rows)) == (["a", "b"], [(2, ["1\r\n1", "2"]), (5, ["3", "4"])])
    header, rows = read_csv(PATH, io.StringIO(""))
    assert (header, list(rows)) == ([], [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n1,2\n3\n", "t.csv:3: the row has 1 cells for 2 columns"),
        ("a,b,a\n1,2,3\n", "t.csv:1: the header has a column twice: a"),
        ('a,b\n1,"2\n', "t.csv:2: not valid CSV"),
        ('"a\n', "t.csv:1: not valid CSV"),
    ],
)
def test_what_is_no_table_is_named_by_its_line(text: str, told: str) -> None:
    """A row of another length, a heading that stands twice, and a quote without an end."""
    with pytest.raises(RecordError, match=told):
        read_csv_table(PATH, text)


def test_a_long_cell_is_read_whichever_file_came_first() -> None:
    """The library's own limit is 131,072 characters, and is one for all readers of a process."""
    (row,) = read_csv_table(PATH, f"a\n{'x' * 200_000}\n")
    assert len(row["a"]) == 200_000


def test_what_is_written_is_read_again() -> None:
    """Text that a spreadsheet would run comes back as it was."""
    texts = ["=1+1", "'quoted", "two\nlines", 'a "quote", and a comma', ""]
    read = read_csv_table(PATH, csv_bytes([{"text": text} for text in texts], ["text", "absent"]).decode())
    assert [original_text(row["text"]) for row in read] == texts
