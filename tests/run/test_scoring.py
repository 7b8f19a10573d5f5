"""Scoring a run folder: every case is accounted for, both kinds of verdict count, and no verdict is lost by it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from judgebench.cli.results import print_results
from judgebench.codec import decode_lines, encode, sort_lines, write_lines
from judgebench.errors import RecordError
from judgebench.records import Completion, Judgement, Verdict
from judgebench.run.folder import TaskFolder
from judgebench.run.scoring import ENDS
from tests.commands import judgebench
from tests.processes import SUMS, lines_of, manifest_of, scores_of
from tests.servers.launch import odd_server

ITEMS = 100


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a task with a judge and a verifier, judged to its end."""
    folder = tmp_path_factory.mktemp("whole")
    with odd_server(rate=0) as server:
        judgebench(
            ["eval", *evaluation(server.base_url), "--out", folder / "run"], JUDGEBENCH_CACHE=str(folder / "cache")
        )
    return folder / "run"


def evaluation(address: str) -> list[str]:
    """Flags of an evaluation by the server, which is judge, too."""
    return ["--model", f"{address}#m", "--judge", f"{address}#j", "--tasks", f"{SUMS}:items={ITEMS},judged=true"]


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy of that run."""
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def counts_of(run: Path) -> dict[str, int]:
    """How its cases ended."""
    return manifest_of(run).tasks["sums"].counts


def test_a_task_with_judge_and_verifier_has_both_numbers(run: Path) -> None:
    """Both kinds of verdict reach the scores, are accounted for, and lie in the folder; also after scoring again."""
    for _ in range(2):
        scores = scores_of(judgebench(["score", run, "--tasks", SUMS, "--json"]))
        assert {score["metric"]: (score["value"], score["n"]) for score in scores if not score["group"]} == {
            "exact": (100.0, ITEMS),
            "rating": (8.0, ITEMS),
        }
        counts = counts_of(run)
        assert (counts["read"], counts["verified"], counts["missing"]) == (ITEMS, ITEMS, 0)
        judgements = lines_of(run / "sums" / "judgements.jsonl")
        assert len(judgements) == 2 * ITEMS
        assert sum(bool(judgement["replies"]) for judgement in judgements) == ITEMS


def doctored(run: Path, change: Any) -> None:
    """The run with its judgements, in their order, put through a function."""
    path = run / "sums" / "judgements.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in change(lines_of(path))))


def test_judgements_that_are_gone_are_missing(run: Path) -> None:
    """Without the file, or without some of its lines, the run is incomplete: exit 4, however good the rest looks; and
    the numbers say over how many examples they are.
    """
    doctored(run, lambda rows: [row for row in rows if row["example_id"] < "sum-040" or not row["replies"]])
    ended = judgebench(["score", run, "--tasks", SUMS, "--json"], code=4)
    rating = next(score for score in scores_of(ended) if score["metric"] == "rating")
    assert (rating["value"], rating["n"], rating["n_missing"]) == (8.0, 40, 60)
    assert "60 of 200 verdicts are missing" in ended.stderr
    assert "judgebench judge" in ended.stderr
    assert counts_of(run)["missing"] == 60
    assert manifest_of(run).status == "incomplete"
    (run / "sums" / "judgements.jsonl").unlink()
    assert "100 of 200 verdicts are missing" in judgebench(["score", run, "--tasks", SUMS], code=4).stderr


def test_a_lost_line_is_within_the_limit_and_counted(run: Path) -> None:
    """Less than one in a hundred verdicts, that is; each of them is counted."""
    doctored(run, lambda rows: rows[1:])
    judgebench(["score", run, "--tasks", SUMS])
    counts = counts_of(run)
    assert counts["missing"] + counts["read"] == ITEMS
    assert counts["missing"] == 0 or manifest_of(run).status == "complete"


def test_every_case_ends_in_one_way(run: Path) -> None:
    """Read, re-asked, unread, failed, skipped or missing: the six add up to the cases."""

    def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        judged = [row for row in rows if row["replies"]]
        again, unread, failed, broken = (dict(row) for row in judged[:4])
        again["replies"] = [{**again["replies"][0], "text": "hm"}, *again["replies"]]
        unread["replies"] = [{**unread["replies"][0], "text": "hm"}]
        failed["replies"] = [{"error": "HTTP 500"}]
        broken["replies"] = [{**broken["replies"][0], "finish_reason": "error"}]
        return [again, unread, failed, broken, *judged[5:]]

    doctored(run, change)
    judgebench(["score", run, "--tasks", SUMS], code=4)
    counts = counts_of(run)
    ends = {end: counts[end] for end in ENDS}
    assert ends == {"read": 95, "reasked_and_read": 1, "unread": 1, "failed": 2, "skipped": 0, "missing": 1}
    assert sum(ends.values()) == ITEMS


def test_what_is_missing_is_asked_for(run: Path) -> None:
    """``judge`` asks for what lines are gone, and for nothing else; the answers are verified again."""
    doctored(run, lambda rows: rows[: len(rows) // 2])
    kept = sum(bool(row["replies"]) for row in lines_of(run / "sums" / "judgements.jsonl"))
    with odd_server(rate=0) as server:
        judgebench(["judge", run, "--tasks", SUMS, "--judge", f"{server.base_url}#j"])
        assert len(server.events()) == ITEMS - kept
    assert (counts_of(run)["read"], counts_of(run)["verified"]) == (ITEMS, ITEMS)


def test_verified_answers_are_no_second_judge(run: Path) -> None:
    """``judge`` goes on with a run whose answers were verified as well: what we verified was not judged by a model."""
    doctored(run, lambda rows: [row for row in rows if row["example_id"] < "sum-060" or not row["replies"]])
    with odd_server(rate=0) as server:
        judgebench(["judge", run, "--tasks", SUMS, "--judge", f"{server.base_url}#j"])
        assert len(server.events()) == ITEMS - 60
    assert (counts_of(run)["read"], counts_of(run)["verified"]) == (ITEMS, ITEMS)


def judgement(number: int, value: float = 1.0, text: str = "fine") -> Judgement:
    """One of a numbered example."""
    return Judgement(
        case_id=f"c{number}",
        example_id=f"e{number}",
        judge="j",
        judge_model="m",
        answers=("a",),
        verdict=Verdict(value=value),
        replies=(Completion(text=text),),
    )


def test_the_later_of_two_judgements_counts(tmp_path: Path) -> None:
    """In the file as it grows, and in the sorted one; lines are sorted in parts that fit into memory."""
    folder = TaskFolder(tmp_path)
    written = [judgement(number, text="x" * 1000) for number in (3, 1, 2, 1)]
    written += [judgement(number, 2.0) for number in (2, 0)]
    for one in written:
        folder.append(one)
    folder.close()
    expected = [("e3", 1.0), ("e1", 1.0), ("e2", 2.0), ("e0", 2.0)]
    assert [(j.example_id, j.verdict.value) for j in folder.judgements()] == expected
    path = tmp_path / "judgements.jsonl"
    sort_lines(path, Judgement, lambda j: (j.example_id,))
    assert [(j.example_id, j.verdict.value) for j in folder.judgements()] == sorted(expected)


@pytest.mark.parametrize("portion", [1, 3_000, 10**9])
def test_sorting_in_parts_is_sorting(portion: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many lines are held at once; a torn last line is left out, of equal keys the last line is kept."""
    monkeypatch.setattr("judgebench.codec.SORTED_BYTES", portion)
    path = tmp_path / "lines.jsonl"
    numbers = [(number * 37) % 101 for number in range(300)]
    write_lines(path, [judgement(number, float(place)) for place, number in enumerate(numbers)])
    with path.open("ab") as file:
        file.write(b'{"torn')
    sort_lines(path, Judgement, lambda j: (int(j.example_id[1:]),))
    found = [(int(j.example_id[1:]), j.verdict.value) for j in decode_lines(path, Judgement)]
    assert found == sorted({number: float(place) for place, number in enumerate(numbers)}.items())
    assert [file.name for file in tmp_path.iterdir()] == ["lines.jsonl"]


def test_a_sorted_file_is_only_read(tmp_path: Path) -> None:
    """It is written again if a line is torn, comes too early, comes twice or is not kept."""
    path = tmp_path / "lines.jsonl"

    def sorts(*numbers: int, torn: bytes = b"", keep: int = 9) -> bool:
        path.write_bytes(b"".join(encode(judgement(number)) + b"\n" for number in numbers) + torn)
        before = path.stat().st_ino
        sort_lines(path, Judgement, lambda j: (j.example_id,), keep=lambda j: j.example_id < f"e{keep}")
        return path.stat().st_ino != before

    assert not sorts(1, 2, 5)
    assert sorts(1, 2, 5, torn=b"{")
    assert sorts(2, 1, 5)
    assert sorts(1, 2, 2)
    assert sorts(1, 2, 5, keep=5)


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    """And the file is left as it was."""
    path = tmp_path / "lines.jsonl"
    path.write_bytes(encode(judgement(1)) + b"\n{}\n" + encode(judgement(0)) + b"\n")
    before = path.read_bytes()
    with pytest.raises(RecordError, match=r"lines\.jsonl:2"):
        sort_lines(path, Judgement, lambda j: (j.example_id,))
    assert path.read_bytes() == before


def test_what_is_estimated_or_lost_is_shown(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the numbers, where there is such."""
    from judgebench.models.call_store import Spending
    from judgebench.run.folder import RunFolder

    folder, manifest = RunFolder(run), manifest_of(run)
    manifest.spending = Spending(calls=7, usd=1.5, estimated_calls=2, estimated_usd=0.25, lost_calls=3, lost_usd=0.75)
    print_results(folder.results(), manifest, as_json=False, verbose=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "spent: $1.5000 in 7 calls" in shown
    assert (
        "the tokens of 2 calls, which the endpoint did not report; they count at the most they can be, $0.2500" in shown
    )
    assert "3 calls under way when a process was killed, which may have been billed, at most $0.7500" in shown
