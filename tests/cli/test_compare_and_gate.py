"""``compare`` and ``gate`` from the command line: exit codes, files and formats, and names that are more than names."""

import csv
import io
import json
import re
import shlex
import sys
import unicodedata
from pathlib import Path

import pytest
import yaml

from judgebench.cli import main
from judgebench.gating.policy import read_policy
from judgebench.run.archive import write_archive
from judgebench.run.reading import Run
from tests.junit_schema import require_junit
from tests.latex import tables
from tests.made_runs import PROTOCOL, write_run

HOSTILE = "=cmd|x\n::error::boo %0A \x1b[31m \u202e ]]> \x00 <b>*a*|`"
BEFORE, AFTER = [1.0] * 200 + [0.0] * 200, [0.0] * 60 + [1.0] * 140 + [0.0] * 200


def ran(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["judgebench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """A baseline, and a candidate that is 15 points worse, both with hostile names and texts."""
    texts = [HOSTILE] * 400
    return [
        write_run(tmp_path / name, values, model=HOSTILE, answers=texts, verdicts=texts, prompts=texts)
        for name, values in (("a", BEFORE), ("b", AFTER))
    ]


def test_exit_codes(runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 passed, 1 a regression, 3 inconclusive unless that may pass, 2 where there is nothing to gate."""
    a, b = (run.path for run in runs)
    assert ran(monkeypatch, "gate", "--baseline", a, "--candidate", a, "--max-drop", 2) == 0
    assert ran(monkeypatch, "gate", "--baseline", a, "--candidate", b, "--max-drop", 2) == 1
    unclear = write_run(tmp_path / "c", [0.0] * 16 + BEFORE[16:388] + [1.0] * 12).path
    asked = ("gate", "--baseline", a, "--candidate", unclear, "--max-drop", 1)
    assert ran(monkeypatch, *asked) == 3
    assert ran(monkeypatch, *asked, "--on-inconclusive", "warn") == 0
    assert ran(monkeypatch, *asked, "--on-inconclusive", "pass") == 0


def test_refusals_are_one_paragraph_and_exit_2(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unlike protocol, no drop, both drops, a missing, foreign, broken or half-finished run: what is wrong is named."""
    a, b = (run.path for run in runs)
    other = write_run(tmp_path / "c", AFTER, protocol={**PROTOCOL, "judges": {"j": {"model": "m"}}}).path
    (tmp_path / "foreign").mkdir()
    broken, unfinished = (write_run(tmp_path / name, AFTER).path for name in ("broken", "unfinished"))
    (broken / "manifest.json").write_text("{")
    (unfinished / "results.json").unlink()
    policy = tmp_path / "gate.toml"
    policy.write_text("[defaults]\nmax_drop = 1\nlevel = 2\n")
    cases = [
        (("--baseline", a, "--candidate", other, "--max-drop", 1), "differ in judges"),
        (("--baseline", a, "--candidate", other, "--max-drop", 1), "differ in judges (only the candidate has one). "),
        (("--baseline", a, "--candidate", b), "--max-drop"),
        ((a, b, "--max-drop", 1), "`judgebench gate --baseline A --candidate B --max-drop X`"),
        (("--baseline", a, "--candidate", b, "--max-drop", 1, "--policy", policy), "both given"),
        (("--baseline", a, "--candidate", b, "--max-drop", "-1"), "max_drop = -1"),
        (("--baseline", a, "--candidate", b, "--policy", policy), "level"),
        (("--baseline", a, "--candidate", tmp_path / "none", "--max-drop", 1), "none"),
        (("--baseline", a, "--candidate", tmp_path / "foreign", "--max-drop", 1), "manifest.json"),
        (("--baseline", a, "--candidate", broken, "--max-drop", 1), "manifest.json"),
        (("--baseline", unfinished, "--candidate", b, "--max-drop", 1), "results"),
        (("--baseline", "published:some-model", "--candidate", b, "--max-drop", 1), "some-model"),
        (("--baseline", a, "--candidate", b, "--max-drop", 1, "--on-inconclusive", "maybe"), "maybe"),
    ]
    capsys.readouterr()
    for arguments, named in cases:
        assert ran(monkeypatch, "gate", *arguments) == 2, named
        said = capsys.readouterr()
        assert named in said.err
        assert said.out == ""
        assert len(said.err.strip().splitlines()) == 1, said.err


def test_github(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between stop and resume nothing is a command; then one annotation; summary and outputs are written to the end of
    the files that GitHub names.
    """
    summary, outputs = tmp_path / "summary.md", tmp_path / "output"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    asked = ("gate", "--baseline", runs[0].path, "--candidate", runs[1].path, "--max-drop", 2, "--github")
    assert ran(monkeypatch, *asked) == 1
    lines = capsys.readouterr().out.splitlines()
    token = lines[0].removeprefix("::stop-commands::")
    assert re.fullmatch("[0-9a-f]{32}", token)
    resumed = lines.index(f"::{token}::")
    (annotation,) = lines[resumed + 1 :]
    assert annotation.startswith("::error title=judgebench gate%3A gsm8k@chat exact_match_strict::")
    assert summary.read_text().startswith("before\n**gate FAIL")
    table = [line for line in summary.read_text().splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {11}
    assert outputs.read_text() == "verdict=FAIL\nexit-code=1\nfailed=1\ninconclusive=0\n"
    # JSON alone on stdout; the command goes to the other stream.
    assert ran(monkeypatch, *asked, "--json") == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["verdict"] == "FAIL"
    assert said.err.startswith("::error ")


def test_github_shows_a_refusal(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing can be gated, the reason is an annotation, too, of one line; exit 2."""
    other = write_run(tmp_path / "c\n::x", AFTER, protocol={**PROTOCOL, "version": "5shot"}).path
    asked = ("gate", "--baseline", runs[0].path, "--candidate", other, "--max-drop", 2, "--github")
    assert ran(monkeypatch, *asked) == 2
    annotation, complaint = capsys.readouterr().err.splitlines()
    assert annotation.startswith("::error title=judgebench gate::gsm8k@chat was evaluated by different protocols")
    assert complaint.startswith("judgebench: gsm8k@chat was evaluated by different protocols")


def test_files(runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JUnit of the schema and a Markdown report are written, into folders that need not be there."""
    junit, report = tmp_path / "out" / "junit.xml", tmp_path / "out" / "gate.md"
    asked = ("gate", "--baseline", runs[0].path, "--candidate", runs[1].path, "--max-drop", 2)
    assert ran(monkeypatch, *asked, "--junit", junit, "--md", report) == 1
    root = require_junit(junit.read_bytes())
    assert root[0].attrib["timestamp"] == "2026-01-01T01:00:00"
    assert all(unicodedata.category(c) not in ("Cc", "Cf") or c == "\n" for c in report.read_text())
    assert "<b>" not in report.read_text()


def test_an_archive_is_a_run(runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate and compare open an exported archive as they do its folder."""
    write_archive(runs[0].path, tmp_path / "base.zip")
    asked = ("gate", "--baseline", tmp_path / "base.zip", "--candidate", runs[1].path, "--max-drop", 2)
    assert ran(monkeypatch, *asked) == 1
    assert ran(monkeypatch, "compare", tmp_path / "base.zip", runs[1].path) == 0


@pytest.mark.parametrize("form", ["rich", "md", "csv", "json", "html", "latex"])
def test_compare_shows_hostile_texts_as_text(
    form: str, runs: list[Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No control or bidirectional character, no tag, no command and no formula leaves any of the formats."""
    assert ran(monkeypatch, "compare", runs[0].path, runs[1].path, "--flips", 1, "--format", form) == 0
    text = capsys.readouterr().out
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs") or c == "\n" for c in text)
    assert not [line for line in text.splitlines() if line.strip().startswith("::")]
    if form in ("md", "html"):
        assert "<b>" not in text
    if form == "md":
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {10, 5}
    if form == "latex":
        assert len(tables(text)) >= 2  # it compiles, and each row has its cells
    if form == "csv":
        cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "@")) or re.match(r"[+-](?![\d.])", cell)]
    if form == "json":
        found = json.loads(text)
        assert found["tasks"][0]["flips"][0]["runs"][0]["answers"] == [HOSTILE]
        assert found["runs"][0]["model"] == HOSTILE


def test_an_endless_answer_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten megabytes of answer are shown by their first 1,500 characters."""
    texts = ["x" * 10_000_000, *["y"] * 39]
    runs = [
        write_run(tmp_path / name, values, answers=texts).path
        for name, values in (("a", [0.0] * 40), ("b", [1.0] + [0.0] * 39))
    ]
    assert ran(monkeypatch, "compare", *runs, "--flips", 3, "--format", "md") == 0
    out = capsys.readouterr().out
    assert "x" * 1400 in out
    assert len(out) < 10_000


def test_compare_of_nothing_alike_exits_2(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unlike protocols alone, one run alone, and a lone surrogate in a manifest: one paragraph each."""
    other = write_run(tmp_path / "c", AFTER, protocol={**PROTOCOL, "version": "5shot"}).path
    surrogate = write_run(tmp_path / "d", AFTER, model="NAME").path
    manifest = surrogate / "manifest.json"
    manifest.write_text(manifest.read_text().replace("NAME", "\\ud800"))
    for arguments, named in (
        ((runs[0].path, other), "version"),
        ((runs[0].path,), "two runs"),
        ((runs[0].path, surrogate), "manifest.json"),
        ((runs[0].path, runs[1].path, "--task", "mtbench"), "mtbench"),
    ):
        capsys.readouterr()
        assert ran(monkeypatch, "compare", *arguments) == 2
        said = capsys.readouterr().err
        assert named in said
        assert len(said.strip().splitlines()) == 1


def test_the_gitlab_job_of_the_manual_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its script gates an archive by the page's policy, and leaves the report that the job hands to GitLab."""
    text = (Path(__file__).parents[2] / "docs" / "ci.md").read_text()
    (policy,) = re.findall(r"```toml\n(# gate\.toml\n.*?)```", text, re.DOTALL)
    (job,) = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(gate:\n  script:.*?)```", text, re.DOTALL))
    write_run(tmp_path / "runs" / "baseline", BEFORE)
    write_run(tmp_path / "runs" / "candidate", AFTER)
    write_archive(tmp_path / "runs" / "baseline", tmp_path / "runs" / "baseline.zip")
    (tmp_path / "gate.toml").write_text(policy)
    monkeypatch.chdir(tmp_path)
    assert ran(monkeypatch, *shlex.split(job["gate"]["script"])[1:]) == 1
    require_junit((tmp_path / job["gate"]["artifacts"]["reports"]["junit"]).read_bytes())
    assert job["gate"]["allow_failure"]["exit_codes"] == 3


def test_the_policy_of_the_manual_judges_runs_of_any_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names no task that a reader's runs may lack: the same answers again pass, and 16 of them cannot tell."""
    text = (Path(__file__).parents[2] / "docs" / "ci.md").read_text()
    (policy,) = re.findall(r"```toml\n(# gate\.toml\n.*?)```", text, re.DOTALL)
    (tmp_path / "gate.toml").write_text(policy)
    monkeypatch.chdir(tmp_path)
    assert not read_policy(Path("gate.toml")).tasks
    for name in ("again", "before"):
        write_run(tmp_path / name, BEFORE)
        write_run(tmp_path / f"{name}-starter", [1.0] * 8 + [0.0] * 8)
    gate = ("gate", "--policy", "gate.toml", "--baseline")
    assert ran(monkeypatch, *gate, "before", "--candidate", "again") == 0
    assert ran(monkeypatch, *gate, "before-starter", "--candidate", "again-starter") == 3


def test_a_misspelt_key_of_a_policy_is_named_with_its_task(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And with the nearest key."""
    policy = tmp_path / "gate.toml"
    policy.write_text('[defaults]\nmax_drop = 1\n[tasks.gsm8k]\nmetrik = "exact_match_strict"\n')
    assert ran(monkeypatch, "gate", "--baseline", runs[0].path, "--candidate", runs[1].path, "--policy", policy) == 2
    assert "[tasks.gsm8k] has no key 'metrik' (did you mean metric?)" in capsys.readouterr().err


def test_a_run_of_the_starter_set_is_refused_beside_a_published_model_for_that_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No bridge would help, and no other field matters."""
    run = tmp_path / "run"
    made = ("--tasks", "alpacaeval", "--starter", "--judge", "builtin:tiny", "--limit", "1", "--out", run)
    assert ran(monkeypatch, "eval", "--model", "builtin:tiny", *made) == 0
    capsys.readouterr()
    assert ran(monkeypatch, "compare", run, "published:gpt-4o-2024-05-13") == 2
    said = capsys.readouterr().err
    assert "is a run of the starter set" in said
    assert "bridge" not in said
    assert "sha256" not in said


def test_a_narrow_gate_shows_both_values_or_neither(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of the two without the other reads as the whole result. Why the interval is of 90 % is said below."""
    asked = ("gate", "--baseline", runs[0].path, "--candidate", runs[1].path, "--max-drop", 2)
    for width in range(60, 140, 5):
        monkeypatch.setenv("COLUMNS", str(width))
        ran(monkeypatch, *asked)
        out = capsys.readouterr().out
        assert "90 % interval: a gate is a one-sided test at 5 %" in " ".join(out.split())
        head = next(line for line in out.splitlines() if line.startswith("┃") and "verdict" in line)
        assert ("baseline" in head) == ("candidate" in head), width
