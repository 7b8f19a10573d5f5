"""What a person sees while a run goes on: in terminals of several widths, in a log, and after Ctrl-C."""

import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import judgebench
from tests.processes import SUMS, judgebench_process, lines_of, manifest_of
from tests.servers.launch import Server
from tests.terminal import Screen, in_terminal

StartServer = Callable[..., Server]
ITEMS = 12
ANSWERED, JUDGED = rf"sums generate +{ITEMS}/{ITEMS}\b", rf"sums judge +{ITEMS}/{ITEMS}\b"


def through(server: Server, out: Path, *more: str) -> list[str]:
    """A judged run of a few sums through a server, four requests at once."""
    address = f"{server.base_url}#m"
    given = ["eval", "--model", address, "--judge", address, "--tasks", f"{SUMS}:judged=true", "--limit", str(ITEMS)]
    given += ["--model-arg", "usd_per_million=20/80", "--judge-arg", "usd_per_million=20/80"]
    return [*given, "--concurrency", "4", "--judge-concurrency", "4", "--out", str(out), *more]


def test_the_screen_does_what_a_terminal_does() -> None:
    """The tests' own screen goes up, erases, scrolls and wraps."""
    screen = Screen(columns=5, rows=2)
    screen.write("one\r\ntwo\r\x1b[1A\x1b[2Knew\r\n\x1b[")
    screen.write("2Kabcdefg\r\n")
    assert screen.lines == ["new", "abcde", "fg", ""]
    assert screen.wrapped == 1
    screen.write("\x1b[9A!")  # not above the top of the screen
    assert screen.lines == ["new", "abcde", "!g", ""]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_run_in_a_terminal(columns: int, tmp_path: Path, start_chat_server: StartServer) -> None:
    """Stages that end leave a line with a tick; meanwhile one line for each running stage and one for all show what is
    under way, how fast, for how much and how long. No line wraps, and none of the live ones stays.
    """
    server = start_chat_server(ratings=1, delay_ms=400)
    with in_terminal(through(server, Path("run")), columns=columns, cwd=tmp_path) as terminal:
        assert terminal.wait() == 0, terminal.text
    live = terminal.seen
    assert any("starting" in screen for screen in live)
    running = [line for screen in live for line in screen.splitlines() if re.match("  sums ", line)]
    assert any(re.search(r"sums generate +[━─]* ?\d+/12 · [1-4] under way", line) for line in running), running
    assert any(re.search(r"sums judge +[━─]* ?\d+/12 · [1-4] under way", line) for line in running), running
    assert any("━" in line for line in running) == (columns >= 80)
    together = [line for screen in live for line in screen.splitlines() if re.match(". all ", line)]
    speed = r"\d+\.\d calls/s · " if columns >= 80 else ""
    all_of_it = rf". all \d+/24 · {speed}\$0\.\d+ of ≈\$0\.\d+\+? · ETA \d:\d\d\+? · \d:\d\d$"
    assert any(re.match(all_of_it, line) for line in together), together
    # Only the command at the end may be wider than the screen: it is copied in one piece.
    (command,) = re.findall(r"(?:  single items: )?judgebench show [^\r\n]+", terminal.written)
    assert terminal.screen.wrapped == (len(command) - 1) // columns
    last = terminal.lines
    (answered,) = [line for line in last if re.match(f"✓ {ANSWERED}", line)]
    (judged,) = [line for line in last if re.match(f"✓ {JUDGED}", line)]
    assert last.index(answered) < last.index(judged)
    assert sum(bool(re.match(". all 24/24", line)) for line in last) == 1
    assert not any("under way" in line or "starting" in line for line in last)


def test_ctrl_c_says_what_is_kept_and_how_to_go_on(tmp_path: Path, start_chat_server: StartServer) -> None:
    """The command stands whole on a line of its own below the folded message; it asks only for what is missing."""
    server = start_chat_server(ratings=1, delay_ms=600)
    run = tmp_path / "run"
    with in_terminal(through(server, run)) as terminal:
        terminal.wait_for(lambda text: re.search(r"sums generate .*[48]/12", text))
        terminal.press(b"\x03")
        assert terminal.wait() == 130
    text = terminal.written.replace("\r\n", "\n")
    said, _, again = text[text.index("judgebench: interrupted") :].rstrip("\n").rpartition("\n")
    assert len(said.split("\n")) > 1
    assert all(len(line) <= 80 or " " not in line for line in said.split("\n"))
    said = " ".join(said.split())
    assert said.endswith("The same command goes on where it was:")
    kept = re.search(r"judgebench: interrupted; (\S+) keeps sums: (\d+) of 12 answers", said)
    assert kept is not None, text
    assert Path(kept[1]) == run
    assert re.search(r"of 12 answers; \d+ under way begins? again\. The same command", said), text
    assert any(re.match(rf"✗ sums generate +{kept[2]}/12", line) for line in terminal.lines), terminal.text
    assert len(lines_of(run / "sums" / "generations.jsonl")) == int(kept[2])
    assert shlex.split(again)[:3] == ["python", "-m", "judgebench"]
    page = judgebench(["show", run]).stdout
    assert f"\n{shlex.join(['judgebench', *shlex.split(again)[3:]])}\n" in page, page
    assert re.search(rf"│ sums\S* +│ +12 │ +{kept[2]} │ +0 │ +\d+ │", page), page
    ended = judgebench(shlex.split(again)[3:])
    assert re.search(f"^sums generate: 12/12, .*{kept[2]} resumed", ended.stderr, re.M), ended.stderr
    assert manifest_of(run).status == "complete"


def test_a_log_gets_plain_lines(tmp_path: Path, start_chat_server: StartServer) -> None:
    """Without a terminal, or with one that cannot move its cursor: one last line for each stage, no control character;
    with ``--quiet`` nothing.
    """
    server = start_chat_server(ratings=1)
    ended = judgebench_process(through(server, tmp_path / "log"))
    assert ended.returncode == 0, ended.stderr
    assert len(re.findall("^sums generate: 12/12, .*calls/s.*tokens.*[$]", ended.stderr, re.M)) == 1
    assert len(re.findall("^sums judge: 12/12, ", ended.stderr, re.M)) == 1
    assert "\x1b" not in ended.stderr
    with in_terminal(through(server, tmp_path / "dumb"), TERM="dumb") as terminal:
        assert terminal.wait() == 0, terminal.text
    assert "\x1b[1A" not in terminal.written
    assert "\x1b[2K" not in terminal.written
    assert re.search("^sums judge: 12/12, 12 cached", terminal.text, re.M), terminal.text
    with in_terminal(through(server, tmp_path / "quiet", "--quiet"), NO_COLOR="1") as terminal:
        assert terminal.wait() == 0, terminal.text
    assert "sums judge" not in terminal.text


def test_no_colour_where_none_is_wanted(tmp_path: Path, start_chat_server: StartServer) -> None:
    """``NO_COLOR`` takes the colours out of the lines and leaves the lines. A terminal without Unicode gets ASCII."""
    server = start_chat_server(ratings=1, delay_ms=300)
    with in_terminal(
        through(server, tmp_path / "plain"),
        NO_COLOR="1",
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONIOENCODING="ascii",
        PYTHONCOERCECLOCALE="0",
    ) as terminal:
        assert terminal.wait() == 0, terminal.text
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", terminal.written)
    assert any(re.match(rf"\+ {JUDGED}", line) for line in terminal.lines), terminal.text
    assert any("#" in screen and "under way" in screen for screen in terminal.seen)


def test_several_models_in_a_row(tmp_path: Path, start_chat_server: StartServer) -> None:
    """Each run has lines of its own below the line that names it."""
    server = start_chat_server(ratings=1)
    arguments = through(server, tmp_path / "runs", "--model", f"{server.base_url}#n")
    with in_terminal(arguments, columns=120) as terminal:
        assert terminal.wait() == 0, terminal.text
    last = terminal.lines
    first, second = (next(i for i, line in enumerate(last) if line.startswith(f"run {n} of 2: ")) for n in (1, 2))
    ticks = [i for i, line in enumerate(last) if re.match("✓ sums", line)]
    assert [first < tick < second for tick in ticks] == [True, True, False, False]


def test_what_takes_long_before_the_first_answer_is_named(tmp_path: Path) -> None:
    """A local model is imported and opened, and its tokens count while they are generated."""
    arguments = ["eval", "--model", "builtin:tiny", "--tasks", "gsm8k", "--starter", "--out", "run"]
    with in_terminal(arguments, cwd=tmp_path) as terminal:
        assert terminal.wait() == 0, terminal.text
    assert any(
        re.search("(importing torch and transformers|opening builtin:tiny) [0-9]+:[0-9][0-9]", screen)
        for screen in terminal.seen
    )
    assert any(re.match("✓ gsm8k generate +16/16 · [0-9,.]+ tokens/s", line) for line in terminal.lines), terminal.text
    assert terminal.screen.wrapped == 0


@pytest.mark.parametrize("key", ["Ctrl-C", "SIGTERM", "SIGHUP"])
def test_a_local_model_is_not_waited_for(key: str, tmp_path: Path) -> None:
    """Ctrl-C ends with 130, the signal of a scheduler or of a terminal that closes with 143; no library aborts it."""
    given = ["eval", "--model", "builtin:tiny", "--tasks", f"{SUMS}:items=300", "--model-arg", "batch_size=1"]
    with in_terminal([*given, "--out", "run"], cwd=tmp_path) as terminal:
        terminal.wait_for(lambda text: re.search("sums generate .* under way", text))
        if key == "Ctrl-C":
            terminal.press(b"\x03")
        else:
            terminal.process.send_signal(getattr(signal, key))
        assert terminal.wait() == (130 if key == "Ctrl-C" else 143), terminal.text
    assert "terminate called" not in terminal.text
    assert not re.search(r"· \d+ under way", terminal.text)
