"""Completion in the shell: the script that is printed, sourced by a real bash, which asks the real command."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from judgebench import tasks
from judgebench.cli import COMMANDS
from tests.commands import Command

BASH = shutil.which("bash")
TYPED = {
    "judgebench l": {"leaderboard"},
    "judgebench ge": {"generate"},
    "judgebench tasks ": {"list", "info", "check"},
    "judgebench data f": {"fetch"},
    "judgebench eval --judge-r": {"--judge-repeats"},
    "judgebench eval --tasks gs": {"gsm8k"},
    "judgebench eval -t gsm8k,m": {"gsm8k,math", "gsm8k,mtbench"},
    "judgebench eval --model x --preset simpo-llama": {"simpo-llama3"},
    "judgebench eval --thinking o": {"on", "off"},
    "judgebench tasks info wild": {"wildbench"},
    "judgebench data fetch if": {"ifeval"},
    "judgebench leaderboard --task arena": {"arenahard"},
    "judgebench compare --format la": {"latex"},
    "judgebench eval --model che": {"checkpoint"},
    "judgebench eval --nothing-like-it": set(),
}
"""What is typed before the tab, and what bash offers."""
ASK = """
source <(judgebench completion bash)
while IFS= read -r line; do
    COMP_LINE=$line COMP_POINT=${#line}
    read -ra COMP_WORDS <<< "$line"
    [[ $line == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )) COMPREPLY=()
    $(complete -p judgebench | sed 's/.*-F \\([^ ]*\\).*/\\1/') judgebench "${COMP_WORDS[COMP_CWORD]}"
    if [[ ${#COMPREPLY[@]} == 0 ]]; then
        # As bash does for `complete -o default`.
        mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
    fi
    printf '%s\\t' "$line" "${COMPREPLY[@]}"
    printf '\\n'
done
"""


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What bash offers for each line, where ``judgebench`` is on the path."""
    folder = tmp_path_factory.mktemp("shell")
    (folder / "checkpoint").mkdir()
    (folder / "bin").mkdir()
    command = folder / "bin" / "judgebench"
    command.write_text(f"#!{sys.executable}\nfrom judgebench.cli import main\nmain()\n")
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    assert BASH is not None
    ended = subprocess.run(
        [BASH, "--norc", "-c", ASK],
        cwd=folder,
        env=environment,
        input="".join(f"{line}\n" for line in TYPED),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr == ""
    rows = [row.split("\t") for row in ended.stdout.splitlines()]
    return {line: {word for word in words if word} for line, *words in rows}


@pytest.mark.skipif(BASH is None, reason="needs bash")
@pytest.mark.parametrize("line", TYPED)
def test_bash_completes(offered: dict[str, set[str]], line: str) -> None:
    """Commands, also within groups, flags, and the names of tasks and presets; elsewhere files."""
    wanted = TYPED[line]
    assert offered[line] >= wanted
    assert wanted or not offered[line]
    assert len(offered[line]) <= len(wanted) + 3


def test_every_task_is_offered(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell asks through the environment, and gets one a line."""
    for line, words in {"judgebench eval --tasks ": set(tasks.names()), "judgebench ": set(COMMANDS)}.items():
        monkeypatch.setenv("_JUDGEBENCH_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split())))
        ended = command()
        assert ended.code == 0
        assert set(ended.out.split()) == words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed_or_installed(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shell: str
) -> None:
    """Installing changes files of the user's own, so it must be asked for; ``$SHELL`` says which shell it is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    printed = command("completion")
    assert printed.code == 0
    assert "_JUDGEBENCH_COMPLETE" in printed.out
    assert command("completion", shell).out == printed.out
    assert not list(tmp_path.iterdir())
    installed = command("completion", "--install")
    assert installed.code == 0
    assert any("judgebench" in path.name and "_JUDGEBENCH_COMPLETE" in path.read_text() for path in files(tmp_path))


def files(folder: Path) -> list[Path]:
    """All files below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_unknown_shell_is_refused(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message lists those that are known."""
    monkeypatch.setenv("SHELL", "/bin/rc")
    assert "bash|zsh|fish" in command("completion").paragraph
