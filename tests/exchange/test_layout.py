"""Tables for a paper: columns, digits, intervals, the best in bold, captions, and LaTeX that compiles."""

import csv
import io
import json
from pathlib import Path

import pytest

from judgebench.display import latex, latex_caption
from judgebench.errors import UsageError
from judgebench.exchange.layout import BOLD, Intervals, Layout, laid_out_for
from judgebench.exchange.sheets import (
    Bounds,
    Column,
    Figure,
    Inner,
    Remark,
    Sheet,
    csv_of,
    html_of,
    latex_of,
    markdown_of,
    words,
)
from tests.commands import judgebench
from tests.latex import NotLatex, tables
from tests.made_runs import write_run, write_totals

ODD = [
    "β ≥ 0.1 – 50 % & more_of #1",
    "± 🤗 模型",
    "Łukasz Şahin é ő ñ ǆ",
    "a\\b{c}$d^e~f",
    "−5 × 10² → ∞ “q” ‘q’ …",
    "--",
    "{",
    "}",
]
SHEET = Sheet(
    "two models",
    (*words("model"), Column("rate", best="column"), Column("95 % interval", key="interval"), Column("n")),
    (
        (
            "low",
            Figure(5.444, "percent", 4.05, 7.25, 0.95, best=True, stderr=0.816),
            Bounds(4.05, 7.25, "percent"),
            805,
        ),
        ("high", Figure(-8.0, "percent", -10.0, -6.0, 0.95, best=True), Bounds(-10.0, -6.0, "percent"), 805),
        ("none", Figure(None, "percent", best=True), None, 0),
    ),
)


def written(layout: Layout, form: str = "latex", sheet: Sheet = SHEET) -> str:
    """The sheet in a form."""
    form_of = {"latex": latex_of, "md": markdown_of, "html": html_of, "csv": csv_of}[form]
    return "".join(map(form_of, laid_out_for([sheet], layout, form)))


@pytest.mark.parametrize(
    ("intervals", "first", "second"),
    [
        ("column", r"\textbf{5.44}", "$-8.00$"),
        ("none", r"\textbf{5.44}", "$-8.00$"),
        ("brackets", r"\textbf{5.44} {[}4.05, 7.25{]}", "$-8.00$ {[}$-10.00$, $-6.00${]}"),
        ("pm", r"$\mathbf{5.44}_{-1.39}^{+1.81}$", r"$-8.00_{-2.00}^{+2.00}$"),
        ("subscript", r"$\mathbf{5.44}_{-1.39}^{+1.81}$", r"$-8.00_{-2.00}^{+2.00}$"),
        ("stderr", r"\textbf{5.44} $\pm$ 0.82", "$-8.00$"),
    ],
)
def test_intervals_of_latex(intervals: Intervals, first: str, second: str) -> None:
    """In a column or behind the number; if one is not symmetrical to the digits shown, all have both sides."""
    (head, one, two, none), = tables(written(Layout(intervals=intervals)))  # fmt: skip
    assert (one[1], two[1], none[1]) == (first, second, "--")
    assert (r"95 \% interval" in head) == (intervals == "column")
    if intervals == "column":
        assert (one[2], two[2], none[2]) == ("4.05--7.25", "$-10.00$ to $-6.00$", "")


def test_intervals_of_text() -> None:
    """As in LaTeX, in words for a page; CSV has their ends in columns of their own, with all digits."""
    assert "5.44 (-1.39, +1.81)" in written(Layout(intervals="pm"), "html")
    assert "-8.00 ± 2.00" in written(Layout(intervals="subscript"), "md")
    rows = list(csv.reader(io.StringIO(written(Layout(intervals="pm"), "csv"))))
    assert rows[0] == ["model", "rate", "rate low", "rate high", "n"]
    assert rows[1] == ["low", "5.444", "4.05", "7.25", "805"]
    rows = list(csv.reader(io.StringIO(written(Layout(digits=1), "csv"))))
    assert rows[:2] == [
        ["model", "rate", "95 % interval low", "95 % interval high", "n"],
        ["low", "5.4", "4.0", "7.2", "805"],
    ]


def test_a_standard_error_is_named_and_lacking_ones_are_told() -> None:
    """A number without one stands alone, and a note says so; CSV has it in a column of its own, with all digits."""
    text = written(Layout(intervals="stderr"), "md")
    assert "| low | 5.44 ± 0.82 | 805 |" in text
    assert "| high | -8.00 | 805 |" in text
    assert "behind ± is the standard error; a number without ± has none" in text
    rows = list(csv.reader(io.StringIO(written(Layout(intervals="stderr"), "csv"))))
    assert rows[:2] == [["model", "rate", "rate stderr", "n"], ["low", "5.444", "0.816", "805"]]
    assert "no number here has a standard error" in written(
        Layout(intervals="stderr"), "md", Sheet("t", SHEET.columns, SHEET.rows[1:])
    )


def test_an_interval_without_a_column_stands_behind_its_number() -> None:
    """It has the digits asked for, follows ``--intervals`` like others, and says a level that is not the table's."""
    number = Figure(4.4, "percent", 2.9, 6.42, 0.9, alone=True, other_level=True)
    sheet = Sheet("t", (Column("by upstream's rule"),), ((number,),))
    assert "| 4.40 (2.90 – 6.42 at 90 %) |" in written(Layout(), "md", sheet)
    assert "| 4.4 (2.9 – 6.4 at 90 %) |" in written(Layout(digits=1), "md", sheet)
    assert r"4.4 (2.9--6.4 at 90 \%)" in written(Layout(digits=1), sheet=sheet)
    assert "$4.4_{-1.5}^{+2.0}$" in written(Layout(digits=1, intervals="subscript"), sheet=sheet)
    assert "| 4.40 |" in written(Layout(intervals="none"), "md", sheet)
    assert written(Layout(), "csv", sheet).splitlines()[1] == "4.4,2.9,6.42"


def test_notes_speak_of_the_columns_shown_in_the_users_headings() -> None:
    """And ``--no-notes`` turns them off, into comments in LaTeX."""
    sheet = Sheet(
        "t", SHEET.columns, SHEET.rows, ("a note",), about=(Remark("rate", ": 5 % late"), Remark("n", ": few"))
    )
    text = written(Layout(columns="model,rate=Win rate"), sheet=sheet)
    assert r"\par Win rate: 5 \% late" in text
    assert "few" not in text
    bare = written(Layout(columns="model,rate=Win rate", notes=False), sheet=sheet)
    tables(bare)
    assert r"\par" not in bare
    assert bare.endswith(f"\\end{{table}}\n% {BOLD}\n% a note\n% Win rate: 5 % late\n")
    assert "a note" not in written(Layout(notes=False), "md", sheet)


def test_columns_are_chosen_ordered_and_named() -> None:
    """By heading or key, in any case; a heading may be given; one that no table has is an error that lists them."""
    assert (
        written(Layout(columns="n,RATE=Win rate (%),interval=CI"), "csv").splitlines()[0]
        == "n,Win rate (%),CI low,CI high"
    )
    with pytest.raises(UsageError, match="--columns speed: no table has such a column; the columns are model, rate"):
        written(Layout(columns="model,speed"), "md")


def test_a_column_whose_name_holds_an_equals_sign_can_be_named() -> None:
    """As its heading stands there, with or without another one; the longest name that fits is meant."""
    sheet = Sheet("", words("rating", "rating category=advice"), (("1", "2"),))
    text = written(Layout(columns="rating category=advice=Advice,rating=All,rating category=advice"), "csv", sheet)
    assert text.splitlines() == ["Advice,All,rating category=advice", "2,1,2"]
    with pytest.raises(UsageError, match="--columns speed: no table"):
        written(Layout(columns="rating,speed=x=y"), "csv", sheet)


def test_chosen_columns_are_shown_where_the_summary_has_them_not() -> None:
    """Tables that stand aside for a summary come to the front, if only they have the columns; else they stay aside."""
    many = [Sheet(name, words("metric", "value"), (("m", "1"),), aside=True) for name in "abcd"]
    summary = Sheet("summary", words("task", "value"), (("a", "1"),), summary=True)
    shown = laid_out_for([*many, summary], Layout(columns="metric,value"), "rich")
    assert [(sheet.title, sheet.aside) for sheet in shown] == [(name, False) for name in "abcd"]
    shown = laid_out_for([*many, summary], Layout(columns="value"), "rich")
    assert [sheet.aside for sheet in shown] == [True] * 4 + [False]


def test_digits_leave_counts_and_lengths_alone() -> None:
    """They are for figures that have decimals."""
    sheet = Sheet(
        "t", (Column("length"), Column("rate"), Column("n")), ((Figure(871.6, "characters"), Figure(1.25), 805),)
    )
    assert "| 872 | 1.2500 | 805 |" in written(Layout(digits=4), "md", sheet)


def test_the_best_is_bold_where_several_compete() -> None:
    """In LaTeX by default, elsewhere if asked; what reads the same is as good; a lone figure is no best."""
    assert r"\textbf" not in written(Layout(bold=False))
    assert "**" not in written(Layout(), "md").replace("**two models**", "")
    assert "| low | **5.44** |" in written(Layout(bold=True), "md")
    assert '<td align="right"><b>5.44</b></td>' in written(Layout(bold=True), "html")
    tied = Sheet("t", (Column("rate", best="column"),), ((Figure(5.001, best=True),), (Figure(4.999, best=True),)))
    assert written(Layout(), sheet=tied).count(r"\textbf{5.00}") == 2
    assert r"\textbf" not in written(Layout(), sheet=Sheet("t", tied.columns, tied.rows[:1]))


def test_caption_and_label() -> None:
    """A caption is text, or LaTeX if it has a command or a formula; several tables have labels of their own."""
    assert r"\caption{100 \% of a\_b}" in written(Layout(caption="100 % of a_b", label="tab:x"))
    assert r"\label{tab:x}" in written(Layout(label="tab:x"))
    text = "".join(
        map(
            latex_of, laid_out_for([SHEET, SHEET], Layout(label="tab:x", caption=r"\emph{A} of $n_1$, 5% & β"), "latex")
        )
    )
    assert (r"\label{tab:x}" in text, r"\label{tab:x-2}" in text) == (True, True)
    assert text.count(r"\caption{\emph{A} of $n_1$, 5\% \& $\beta$}") == 2
    tables(text)


@pytest.mark.parametrize(
    ("layout", "form", "said"),
    [
        (Layout(label="tab x"), "latex", "cannot be referred to in LaTeX"),
        (Layout(label="tab:x"), "md", "--label has no place in md; give --format latex, or leave it out"),
        (Layout(caption=r"\emph{open"), "latex", "is not closed"),
        (Layout(caption="$n"), "latex", "is not closed"),
        (Layout(caption="c"), "csv", "--caption has no place in csv"),
        (Layout(digits=99), "md", "--digits 99 is not a number of decimals from 0 to 15"),
        (Layout(caption="c", label="tab:x"), "csv", "--label and --caption have no place in csv; give --format latex"),
        (Layout(columns="n"), "json", "--columns has no place in json; give --format csv or latex, or leave it out"),
        (
            Layout(columns="n", intervals="pm", bold=True, notes=False),
            "json",
            "--columns, --intervals, --bold and --no-notes have no place in json",
        ),
    ],
)
def test_wishes_that_cannot_be_met(layout: Layout, form: str, said: str) -> None:
    """Are refused before any run is read, with what to give instead."""
    with pytest.raises(UsageError) as refused:
        layout.require_valid(form)
    assert said in str(refused.value)


def test_names_become_latex() -> None:
    """What pdflatex has a command for is that command; what it cannot set is the code point."""
    assert latex("≥ ± – × β Σ") == r"$\geq$ $\pm$ -- $\times$ $\beta$ $\Sigma$"
    assert latex("Łő ş ï ǐ é") == r"\L{}\H{o} \c{s} ï \v{\i} é"
    assert latex("🤗 模") == r"\texttt{U+1F917} \texttt{U+6A21}"
    assert latex_caption("$a$ and 模 \\emph{b}") == r"$a$ and \texttt{U+6A21} \emph{b}"


@pytest.mark.parametrize(
    ("caption", "written"),
    [
        (r"x \\% y", r"x \\\% y"),
        (r"x \% y", r"x \% y"),
        (r"a\\_b", r"a\\\_b"),
        (r"\emph{a} ^2", r"\emph{a} \textasciicircum{}2"),
        (r"$x^2_1$ & #", r"$x^2_1$ \& \#"),
        (r"\emph{Þórr ð »}", r"\emph{\texttt{U+00DE}órr \texttt{U+00F0} \texttt{U+00BB}}"),
        ("Ð", r"\texttt{U+00D0}"),
        (r"costs \$5 and $x_1$_", r"costs \$5 and $x_1$\_"),
    ],
)
def test_a_caption_of_latex_compiles(tmp_path: Path, caption: str, written: str) -> None:
    """What begins a comment, a column or an index is escaped unless the user escaped it."""
    assert latex_caption(caption) == written
    write_totals(tmp_path / "a", "a", 10.0)
    arguments = ("leaderboard", tmp_path, "--format", "latex", "--caption", caption)
    assert len(tables(judgebench(arguments).stdout)) == 1


@pytest.mark.parametrize("caption", ["\\", "\\ ", "a \\ ", r"\\\ ", "$x", r"{$}$", r"$\}$}", r"\(x", "\\\n"])
def test_a_caption_that_is_not_closed_is_refused(caption: str) -> None:
    """LaTeX would read on past its end."""
    with pytest.raises(UsageError, match="is not closed"):
        Layout(caption=caption).require_valid("latex")


def test_headings_are_text_and_columns_are_named(tmp_path: Path) -> None:
    """A heading of CSV is no formula, and a list of columns names some."""
    write_totals(tmp_path / "a", "a", 10.0)
    written = judgebench(["leaderboard", tmp_path, "--format", "csv", "--columns", "model==cmd|x"]).stdout
    assert written.splitlines()[0] == "'=cmd|x"
    with pytest.raises(UsageError, match="names no column"):
        Layout(columns=" , ").require_valid("md")


@pytest.mark.parametrize("intervals", ["column", "none", "brackets", "pm", "subscript", "stderr"])
def test_a_table_of_odd_names_compiles(tmp_path: Path, intervals: str) -> None:
    """Of the command, with every kind of interval: each row has its cells, nothing special stands bare."""
    for number, name in enumerate(ODD):
        write_totals(tmp_path / str(number), name, 10.0 + number, length=100.0, flags=(name,))
    arguments = ("leaderboard", tmp_path, "--format", "latex", "--intervals", intervals, "--caption", "β of 5 % & #1")
    (table,) = tables(judgebench(arguments).stdout)
    assert len(table) == 1 + len(ODD)


def test_compare_and_score_for_a_paper(tmp_path: Path) -> None:
    """Both take the same wishes; the better of two values is bold in its row."""
    one, two = ([1.0] * 30 + [0.0] * 10, [1.0] * 36 + [0.0] * 4)
    write_run(tmp_path / "a", one, model="a_1")
    write_run(tmp_path / "b", two, model="b_2")
    wishes = (
        "--format",
        "latex",
        "--columns",
        "metric,first=Old,second=New,difference,p_adjusted=p",
        "--intervals",
        "pm",
    )
    text = judgebench(("compare", tmp_path / "a", tmp_path / "b", *wishes, "--digits", "1")).stdout
    table, *_ = tables(text)
    assert table[0] == ["metric", "Old", "New", "difference", "p"]
    assert table[1][:3] == [r"exact\_match\_strict", "75.0", r"\textbf{90.0}"]
    assert table[1][3].startswith(r"$+15.0$ $\pm$ ")


def test_programs_get_every_digit_unless_fewer_are_wanted(tmp_path: Path) -> None:
    """In CSV and JSON; p-values and levels are never rounded."""
    write_totals(tmp_path / "a", "a", 10.123456789, stderr=1.23456789)
    for digits, wanted in (((), 10.123456789), (("--digits", "2"), 10.12)):
        rows = list(
            csv.DictReader(io.StringIO(judgebench(("leaderboard", tmp_path, "--format", "csv", *digits)).stdout))
        )
        assert float(rows[0]["value"]) == wanted
        (group,) = json.loads(judgebench(("leaderboard", tmp_path, "--format", "json", *digits)).stdout)
        score = group["rows"][0]["scores"]["lc_win_rate"]
        assert (score["value"], score["level"]) == (wanted, 0.95)


@pytest.mark.parametrize("text", ["a_b", "{", "$x", r"\foo", "5 # 6", "a & b", r"\begin{table}", "模", r"\pm"])
def test_the_reader_of_latex_refuses_what_does_not_compile(text: str) -> None:
    """So that a table it accepts says something."""
    with pytest.raises(NotLatex):
        tables(text)


def test_what_a_paper_does_not_print_is_a_comment_of_latex() -> None:
    """A protocol's hash in a title, and lines on a column that the user left out."""
    sheet = Sheet(
        "t@1: protocol 0123abcd",
        words("model", "flags"),
        (("m", "constant_output"),),
        without_hash="t@1",
        in_columns=(("flags", ("m: most outputs are one and the same text",)),),
    )
    shown, _, comments = written(Layout(columns="model"), sheet=sheet).partition(r"\end{table}")
    assert r"\caption{t@1}" in shown
    assert "protocol" not in shown
    assert "outputs" not in shown
    assert "% t@1: protocol 0123abcd" in comments
    assert "% m: most outputs are one and the same text" in comments


def test_a_best_that_is_not_apart_is_not_bold() -> None:
    """Its interval and the next one's overlap; where one has no interval nothing can be said, and the best is bold."""

    def table(low: float | None) -> str:
        rows = ((Figure(60.0, "percent", low, 70.0, best=True),), (Figure(55.0, "percent", 50.0, 58.0, best=True),))
        return written(Layout(), sheet=Sheet("t", (Column("rate", best="column"),), rows))

    assert r"\textbf" not in table(57.0)
    assert r"\textbf{60.00}" in table(58.5)
    assert r"\textbf{60.00}" in table(None)


def test_a_number_without_an_interval_has_one_sign_everywhere() -> None:
    """A dash for people, nothing for programs."""
    columns = (*words("metric"), Column("95 % interval", key="interval"))
    sheet = Sheet("t", columns, (("a", Bounds(1.0, 2.0)), (Inner("rating", "category=advice"), Bounds())))
    assert written(Layout(), "md", sheet).rstrip().endswith("| – |")
    assert written(Layout(), "csv", sheet).splitlines()[-1].endswith(",,")
    # A group stands under its metric, which need not be said again.
    assert r"\quad category: advice & -- \\" in written(Layout(), sheet=sheet)
