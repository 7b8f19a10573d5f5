"""``judgebench arena --wb-elo``: WildBench's ratings from the run folders of its stored scores."""

import json
import math
from pathlib import Path

import pytest

from judgebench import api
from judgebench.arena.anchoring import read_anchors
from judgebench.arena.wb_elo import VoteRule, WbArena, wb_elo
from judgebench.run.reading import read_runs
from tests.commands import judgebench
from tests.tasks import wildbench_data as wb
from tests.tasks.wildbench_data import WILDBENCH


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each model of the stored scores, imported without the official texts, and the ratings of anchors."""
    folder = tmp_path_factory.mktemp("wb")
    files = wb.score_files("v0625-gpt4o")
    given = {row["model"].replace("-128k", ""): row["Arena Elo (hard-en) - latest"] for row in wb.published("external")}
    for model, path in files.items():
        source = wb.write_records(folder / "records" / f"{model}.json", wb.score_records(path))
        place = {"out": folder / "runs" / model, "mirrors": [WILDBENCH.path], "offline": True}
        api.import_run(source, "wildbench", task="wildbench:metrics=score", name=model, **place)  # type: ignore[arg-type]
    rows = [f"{model},{given[model]}" for model in files if given.get(model, "-") != "-"]
    (folder / "anchors.csv").write_text("model,elo\n" + "\n".join(rows) + "\n")
    return folder


def check(found: WbArena, config: str) -> None:
    """Votes are upstream's exactly; mean ratings lie within the noise of its 600 and our 128 orders."""
    wanted = {row["model"].replace("-128k", ""): row for row in wb.elo_expected() if row["config"] == config}
    first = next(iter(wanted.values()))
    assert (found.votes, found.decided) == (int(first["votes"]), int(first["non_tie_votes"]))
    # Models that stay where they are anchored are left out of upstream's table.
    assert set(wanted) <= {model.model for model in found.models}
    for model in (one for one in found.models if one.model in wanted):
        std = float(wanted[model.model]["std"])
        assert model.elo == pytest.approx(float(wanted[model.model]["avg"]), abs=4 * std / math.sqrt(128) + 0.6)


@pytest.mark.parametrize("config", ["A", "B", "C"])
def test_ratings_are_upstreams_in_every_setting(config: str, folder: Path) -> None:
    """All votes, and those with a winner, to the vote."""
    row = next(row for row in wb.elo_expected() if row["config"] == config)
    rule = VoteRule(
        margin=float(row["margin"]),
        tie_margin=float(row["tie_margin"]),
        length_margin=float(row["length_margin"]),
        dynamic=row["dynamic"] == "True",
        interval=int(row["interval"]),
    )
    runs = read_runs([folder / "runs"]).readable
    check(wb_elo(runs, given=read_anchors([str(folder / "anchors.csv")]), rule=rule), config)


def test_the_command_has_the_official_setting(folder: Path) -> None:
    """Without flags but the anchors; it prints how many votes there were, and that the spread is that of the order."""
    words = ["arena", folder / "runs", "--wb-elo", "--anchor", folder / "anchors.csv"]
    found = json.loads(judgebench([*words, "--json"]).stdout)
    assert (found["votes"], found["decided"], found["metric"]) == (14856, 5650, "score")
    printed = " ".join(judgebench(words).stdout.split())
    assert "14,856 votes from score on 1,024 questions; 5,650 had a winner" in printed
    assert "says nothing about other questions" in printed
