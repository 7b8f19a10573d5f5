"""``judgebench judges suites|figures`` and ``data … SUITE``: suites by the real commands, on published decisions."""

import json
from pathlib import Path
from typing import Any

import pytest

from judgebench.auditing.items import Decision, write_decisions
from judgebench.auditing.suites import SUITES, get_suite
from tests.auditing.published import fetched, judgebench_lines, llmbar_decisions, pandalm_decisions
from tests.commands import judgebench
from tests.stats.judge_meta import expected


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """The files of the suites whose data are here, under upstream's names."""
    folder = tmp_path / "mirror"
    for name in ("llmbar", "judgebench", "pandalm"):
        for source in get_suite(name).sources:
            path = folder / name / source.name / source.file.name
            path.parent.mkdir(parents=True)
            path.write_bytes(fetched(source))
    return folder


def report_of(mirror: Path, suite: str, path: Path, *more: str) -> dict[str, Any]:
    """The figures as JSON."""
    ended = judgebench(["judges", "figures", suite, path, "--mirror", mirror, "--offline", "--json", *more])
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def value(report: dict[str, Any], name: str, group: str = "all") -> float:
    """One figure's value; it must be there once."""
    (found,) = [one for one in report["figures"] if (one["name"], one["group"]) == (name, group)]
    return float(found["value"])


def test_llmbar_by_the_command(mirror: Path, tmp_path: Path) -> None:
    """GPT-4's published accuracy and agreement of orders, from a file of decisions; the table says what nulls are."""
    path = tmp_path / "gpt-4.jsonl"
    write_decisions(path, llmbar_decisions("GPT-4/Vanilla"))
    report = report_of(mirror, "llmbar", path)
    wanted = expected("evaluators", "llmbar")["GPT-4/Vanilla"]
    for subset, numbers in wanted.items():
        assert 100 * value(report, "accuracy", subset) == pytest.approx(numbers["avg_accuracy_pct"])
        assert 100 * value(report, "position_agreement", subset) == pytest.approx(numbers["positional_agreement_pct"])
    shown = judgebench(["judges", "figures", "llmbar", path, "--mirror", mirror, "--offline", "--all"]).stdout
    assert "419 of 419 items judged, 838 verdicts: 0 ties, 0 missing" in shown
    assert "null is wrong" in " ".join(shown.split())
    assert shown.index("accuracy, %") < shown.index("natural")


def test_scores_are_decided_by_the_suites_rule(mirror: Path, tmp_path: Path) -> None:
    """A reward model's scores give JudgeBench's published accuracy, with three equal scores as upstream reads them."""
    name = "reward_model/Skywork_Skywork-Reward-Gemma-2-27B on gpt-4o-2024-05-13"
    wanted = expected("judges", "judgebench")[name]
    path = tmp_path / "skywork.jsonl"
    rows = judgebench_lines(wanted)
    write_decisions(path, (Decision(item=row["pair_id"], scores=tuple(row["scores"][0])) for row in rows))
    report = report_of(mirror, "judgebench", path)
    assert 100 * value(report, "accuracy") == pytest.approx(wanted["upstream_pair_accuracy_pct"]["overall"])
    assert (report["judged"], report["items"], report["decisions"]) == (350, 620, 700)
    both = [
        Decision(item=row["pair_id"], order=order, scores=tuple(row["scores"][0]))
        for row in rows
        for order in ("12", "21")
    ]
    write_decisions(path, both)
    again = report_of(mirror, "judgebench", path)
    assert (again["figures"], again["decisions"]) == (report["figures"], 700)


def test_options_of_figures(mirror: Path, tmp_path: Path) -> None:
    """Nulls are wrong; as ties they give PandaLM's own figure, and the report names the option."""
    path = tmp_path / "gpt35.jsonl"
    write_decisions(path, pandalm_decisions("judge_gpt35"))
    wanted = expected("stats", "pandalm")["judge_gpt35"]
    assert value(report_of(mirror, "pandalm", path), "accuracy") == pytest.approx(wanted["accuracy_with_ties"])
    tied = report_of(mirror, "pandalm", path, "--option", "null_as=tie")
    assert value(tied, "accuracy") == pytest.approx(wanted["unparsed_counted_as_tie"]["accuracy"])
    assert tied["options"]["null_as"] == "tie"


def test_what_cannot_be_figured_is_one_paragraph(mirror: Path, tmp_path: Path) -> None:
    """A wrong suite, option, line, item or number of scores; and files that are not here."""
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    write_decisions(good, [Decision(item="natural/0", order=order, shown="A>B") for order in ("12", "21")])
    here = ["--mirror", mirror, "--offline"]

    def refused(*words: object, code: int = 2) -> str:
        ended = judgebench(["judges", "figures", *words], code=code)
        assert ended.stderr.count("\n") == 1, ended.stderr
        return ended.stderr

    assert "no suite is called 'llmbra'" in refused("llmbra", good, *here)
    assert "has no option null_as" in refused("llmbar", good, *here, "--option", "null_as=tie")
    assert "KEY=VALUE" in refused("pandalm", good, *here, "--option", "null_as")
    assert "none of judgebench's" in refused("judgebench", good, *here)
    bad.write_text('{"item": "natural/0", "shown": "A is better"}\n')
    assert "bad.jsonl:1" in refused("llmbar", bad, *here)
    bad.write_text('{"item": "natural/0", "scores": [1, 2, 3]}\n')
    assert "has 2 responses" in refused("llmbar", bad, *here)
    bad.write_text('{"item": "\\u001b[31mred", "shown": "A>B"}\n')
    assert "\x1b" not in refused("llmbar", bad, *here)
    assert "absent.jsonl" in refused("llmbar", tmp_path / "absent.jsonl", *here)
    missing = "2 official files that are not here: alpaca-crossannotations, alpaca-annotations of alpaca-human"
    assert missing in refused("alpaca-human", good, *here)


def test_suites_are_listed(mirror: Path) -> None:
    """Each with its files, their licences and hashes; those in the mirror are here."""
    shown = judgebench(["judges", "suites", "--mirror", mirror]).stdout
    assert all(name in shown for name in SUITES)
    listed = json.loads(judgebench(["judges", "suites", "--mirror", mirror, "--json"]).stdout)
    by_name = {suite["name"]: suite for suite in listed}
    assert {file["here"] for file in by_name["llmbar"]["files"]} == {"mirror"}
    assert by_name["rewardbench"]["files"][0]["here"] == "no"
    assert by_name["pandalm"]["options"]["null_as"] == ["wrong", "tie"]


def test_data_commands_take_suites(mirror: Path) -> None:
    """A suite's files are listed, fetched and verified like those of a task; without a name only tasks' are."""
    listed = judgebench(["data", "list", "judgebench", "--mirror", mirror, "--all"]).stdout.splitlines()
    assert len(listed) == 2
    assert all("none stated" in line and "mirror" in line for line in listed)
    ended = judgebench(["data", "fetch", "llmbar", "--mirror", mirror, "--offline", "-q"])
    assert ended.stdout.count("from mirror") == 5
    assert judgebench(["data", "verify", "llmbar", "--mirror", mirror]).stdout.count("ok, mirror") == 5
    assert "llmbar" not in judgebench(["data", "list", "--all"]).stdout
