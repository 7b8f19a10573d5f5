"""``bridge make`` and ``check`` on runs of given numbers: the worked example, the invariants, and the rules."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from judgebench import api
from judgebench.cli.bridge import _next_step
from judgebench.models.scripted import ScriptedModel, last_message, playing
from judgebench.records import Request
from judgebench.run.bridge_files import Bridge, read_bridge
from tests.commands import judgebench
from tests.made_bridges import JUDGED, OFFICIAL, made_bridge
from tests.made_runs import write_totals

MODEL = "gpt-4.1-2025-04-14"
PROTOCOL: dict[str, Any] = {
    "task": "alpacaeval",
    "version": "2",
    "options": {},
    "starter": False,
    "examples": {"n": 805, "ids": "sha256:" + "0" * 64},
    "baselines": {},
    "repeats": 1,
    "judge_repeats": 1,
    "judges": {"j": {"prompt_and_rule": "p", "model": MODEL}},
}
LONG_JUDGED = (5.0, 10, 15, 20, 25, 30, 40, 50, 60, 70)
LONG_OFFICIAL = (8.0, 13, 17, 24, 26, 33, 42, 48, 63, 66)


@dataclass
class Bench:
    """A folder in which bridges are made of numbers."""

    folder: Path

    def run(self, name: str, number: float | None, protocol: Mapping[str, Any] = PROTOCOL, **about: Any) -> Path:
        """A run of a model with that number by the judge of today."""
        path = self.folder / f"run-{name}-{number}-{len(list(self.folder.iterdir()))}"
        return write_totals(path, name, number, protocol=protocol, metrics=("win_rate",), **about)

    def make(
        self, judged: Sequence[float], official: Sequence[float], names: Sequence[str] = (), *flags: str, code: int = 0
    ) -> Bridge:
        """The bridge of models with these numbers."""
        names = names or [f"m{number}" for number in range(1, len(judged) + 1)]
        table = self.folder / "official.csv"
        rows = [f"{name},{number!r},gpt-4-1106-preview" for name, number in zip(names, official, strict=True)]
        table.write_text("\n".join(["model,win_rate,judge", *rows]) + "\n")
        runs = [self.run(name, number) for name, number in zip(names, judged, strict=True)]
        self.path = self.folder / "made.bridge.json"
        self.table = table
        command = [
            "bridge",
            "make",
            "--overwrite",
            *runs,
            "--task",
            "alpacaeval",
            "--official",
            table,
            "--out",
            self.path,
            "--offline",
        ]
        judgebench([*command, *flags], code=code)
        return read_bridge(self.path)

    def check(self, run: Path, *flags: str, code: int = 0) -> dict[str, Any]:
        """What the bridge says of a run."""
        command = ["bridge", "check", self.path, run, "--official", self.table, "--json", *flags]
        (row,) = json.loads(judgebench(command, code=code).stdout)["runs"]
        found: dict[str, Any] = row
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty one."""
    return Bench(tmp_path)


def predicted(row: Mapping[str, Any]) -> tuple[float, float, float]:
    """The prediction with its interval."""
    return row["predicted"], row["low"], row["high"]


def test_the_worked_example(bench: Bench) -> None:
    """The method's example by the command: 35 is 38.5579 (30.2935 to 47.5392), 75 extrapolated, 95 refused."""
    bridge = bench.make(JUDGED, OFFICIAL)
    fit = bridge.metrics["win_rate"].fit
    assert fit is not None
    assert (fit.intercept, fit.slope, fit.tau, fit.df) == pytest.approx(
        (-0.4768414919, 0.8834103503, 0.1226381155, 4.009930118), rel=1e-6
    )
    assert predicted(bench.check(bench.run("new", 35.0))) == pytest.approx((38.5579, 30.2935, 47.5392), abs=1e-4)
    beyond = bench.check(bench.run("new", 75.0))
    assert predicted(beyond) == pytest.approx((74.10545, 64.86464, 81.60510), abs=1e-4)
    assert "extrapolated" in beyond["marks"]
    far = bench.check(bench.run("new", 95.0))
    assert (far["predicted"], far["reasons"]) == (None, ["out_of_range"])
    forced = bench.check(bench.run("new", 95.0), "--force")
    assert predicted(forced) == pytest.approx((93.59608, 88.75818, 96.43561), abs=1e-4)
    assert "forced" in forced["marks"]


def test_a_bridge_of_a_benchmark_of_ones_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--task`` takes the path of its folder, as everywhere; runs of another benchmark are refused by name."""
    monkeypatch.chdir(bench.folder)
    judgebench(["tasks", "new", "mine", "--kind", "pairwise"])

    def better(request: Request) -> str:
        """The candidate on as many of every 12 questions as its answer says."""
        question, answers = last_message(request).split("</question>")
        wins = crc32(question.encode()) % 12 < int(answers.split("wins ")[1].split()[0])
        first = answers.index("wins ") < answers.index("</answer_a>")
        return "[[A]]" if wins == first else "[[B]]"

    runs = []
    for number, wins in enumerate((1, 3, 5, 7, 9, 11), start=1):
        answering = ScriptedModel(lambda _, wins=wins: f"wins {wins} of 12", name=f"m{number}")
        with playing(answering) as model, playing(ScriptedModel(better, name="today")) as judge:
            run = bench.folder / f"mine-{number}"
            api.evaluate(model, "./mine", judge=judge, out=run, progress=False)
            runs.append(run)
    table = bench.folder / "official.csv"
    rows = [f"m{number},{value!r},old-judge" for number, value in enumerate(OFFICIAL, start=1)]
    table.write_text("\n".join(["model,win_rate,judge", *rows]) + "\n")
    of_mine = ["--task", "./mine", "--official", table, "--out", "m.bridge.json", "--force"]
    judgebench(["bridge", "make", *runs, *of_mine])
    bridge = read_bridge(Path("m.bridge.json"))
    assert (bridge.label, len(bridge.models)) == ("mine@1", 6)
    judged = [bridge.metrics["win_rate"].numbers[f"m{number}"].judged for number in range(1, 7)]
    assert judged == sorted(judged)
    assert judged[0] < judged[-1]
    other = judgebench(["bridge", "make", bench.run("a", 3.0), *of_mine], code=2).stderr
    assert "mine" in other
    assert "alpacaeval" in other


def test_levels(bench: Bench) -> None:
    """The interval of 90 % lies within that of 95 %, and both are the method's."""
    bench.make(JUDGED, OFFICIAL)
    run = bench.run("new", 35.0)
    assert predicted(bench.check(run, "--level", "0.9")) == pytest.approx((38.55789, 32.12288, 45.41942), abs=1e-4)


def test_equal_numbers(bench: Bench) -> None:
    """Invariant (i): where both judges agree, the prediction is the judge's number, by a slope of 1 without scatter."""
    bridge = bench.make(JUDGED, JUDGED)
    fit = bridge.metrics["win_rate"].fit
    assert fit is not None
    assert (fit.slope, fit.tau) == (pytest.approx(1, abs=1e-9), 1e-4)
    assert bench.check(bench.run("new", 35.0))["predicted"] == pytest.approx(35.0, abs=1e-6)


def test_order_and_names_change_nothing(bench: Bench) -> None:
    """Invariant (iii): the models in another order, and by other names, give the same bridge."""
    first = bench.make(JUDGED, OFFICIAL).metrics["win_rate"]
    second = bench.make(JUDGED[::-1], OFFICIAL[::-1], [f"x{number}" for number in range(6)]).metrics["win_rate"]
    assert first.fit is not None
    assert second.fit is not None
    for field in ("centre", "intercept", "slope", "tau", "df"):
        assert getattr(first.fit, field) == pytest.approx(getattr(second.fit, field), rel=1e-9)
    assert [left.predicted for left in first.loo] == pytest.approx([left.predicted for left in second.loo][::-1])


def test_mirrored_numbers(bench: Bench) -> None:
    """Invariant (v): losses for wins mirror the prediction and its interval."""
    bench.make(JUDGED, OFFICIAL)
    value, low, high = predicted(bench.check(bench.run("new", 35.0)))
    bench.make([100 - x for x in JUDGED], [100 - y for y in OFFICIAL])
    assert predicted(bench.check(bench.run("new", 65.0))) == pytest.approx((100 - value, 100 - high, 100 - low))


def test_no_spread_is_refused(bench: Bench) -> None:
    """Invariant (ix): one number for all models explains nothing, and R2 refuses."""
    bridge = bench.make([30.0] * 6, OFFICIAL, code=3)
    metric = bridge.metrics["win_rate"]
    assert metric.fit is not None
    assert metric.fit.slope == pytest.approx(1, abs=1e-12)
    assert metric.checks.explained == pytest.approx(0, abs=1e-12)
    assert metric.reasons == ("explains_too_little",)


def test_few_models(bench: Bench) -> None:
    """Invariant (x): four models refuse; by force three give a number, without evidence, and two none."""
    assert bench.make(JUDGED[:4], OFFICIAL[:4], code=3).metrics["win_rate"].reasons == ("too_few_models",)
    three = bench.make(JUDGED[:3], OFFICIAL[:3], (), "--force").metrics["win_rate"]
    assert three.loo == ()
    assert three.checks.reason is not None
    assert bench.check(bench.run("new", 20.0), "--force")["predicted"] is not None
    two = bench.make(JUDGED[:2], OFFICIAL[:2], (), "--force").metrics["win_rate"]
    assert (two.fit, two.reasons) == (None, ("too_few_models", "no_fit"))
    row = bench.check(bench.run("new", 15.0), "--force")
    assert (row["predicted"], row["reasons"]) == (None, ["too_few_models", "no_fit"])


def test_permuted_numbers_are_refused(bench: Bench) -> None:
    """Invariant (xi): official numbers in another order tell nothing, so the rule of evidence refuses them."""
    draw, refused = random.Random(3), 0
    for _ in range(5):
        official = draw.sample(LONG_OFFICIAL, len(LONG_OFFICIAL))
        metric = bench.make(LONG_JUDGED, official, (), "--force").metrics["win_rate"]
        refused += metric.reasons == ("explains_too_little",)
    assert refused == 5


def test_r4_through_the_command(bench: Bench) -> None:
    """R4: between vendors, models of either are left out of the bridge, and refused as new ones."""
    names = ["gemini-2.5-pro", "gpt-4o", *(f"m{number}" for number in range(8))]
    table = bench.folder / "official.csv"
    bench.make(LONG_JUDGED, LONG_OFFICIAL, names)
    text = table.read_text().replace("gpt-4-1106-preview", "gemini-2.5")
    table.write_text(text)
    runs = [bench.run(name, number) for name, number in zip(names, LONG_JUDGED, strict=True)]
    made = ["--task", "alpacaeval", "--official", table, "--out", bench.path, "--offline", "--overwrite"]
    judgebench(["bridge", "make", *runs, *made])
    bridge = read_bridge(bench.path)
    assert [(model.name, model.reason) for model in bridge.models if not model.included] == [
        ("gemini-2.5-pro", "vendor"),
        ("gpt-4o", "vendor"),
    ]
    assert bench.check(bench.run("gpt-4.1", 30.0))["reasons"] == ["vendor"]
    row = bench.check(bench.run("gemma-2-9b-it-SimPO", 30.0))
    assert (row["reasons"], "fine_tune" in row["marks"]) == ([], True)


def test_r6_through_the_command(bench: Bench) -> None:
    """R6: a run with 2 of 807 verdicts missing is counted, one with a fortieth of them unread refused."""
    bench.make(LONG_JUDGED, LONG_OFFICIAL)
    assert bench.check(bench.run("new", 30.0))["marks"] == ["missing"]
    assert bench.check(bench.run("new", 30.0, unread=20))["reasons"] == ["incomplete"]


def test_r7_through_the_command(bench: Bench) -> None:
    """R7: a judge that lets a model win everything says nothing of it."""
    bench.make(LONG_JUDGED, LONG_OFFICIAL)
    assert "saturated" in bench.check(bench.run("new", 100.0))["reasons"]


def test_r8_through_the_command(bench: Bench) -> None:
    """R8: an outlier is named by ``show``, and kept."""
    bridge = bench.make(LONG_JUDGED, (*LONG_OFFICIAL[:5], 55.0, *LONG_OFFICIAL[6:]))
    assert len(bridge.included) == 10
    shown = judgebench(["bridge", "show", bench.path, "-v"], COLUMNS="200").stdout
    assert "outlier, kept: m6, " in shown


def test_r9_age(bench: Bench) -> None:
    """R9: half a year later the bridge is marked as old."""
    bench.make(LONG_JUDGED, LONG_OFFICIAL)
    run = bench.run("new", 30.0)
    command = ["bridge", "check", bench.path, run, "--official", bench.table, "--json"]
    (row,) = json.loads(judgebench(command, JUDGEBENCH_TODAY="2030-01-01").stdout)["runs"]
    assert "old" in row["marks"]


WRONG_TABLES = {
    "no model": ("name,win_rate\nm1,10\n", "has the columns model and"),
    "no metric": ("model,score\nm1,10\n", "has the columns model and"),
    "twice": ("model,win_rate\nm1,10\nm1,11\n", "stands there twice"),
    "no number": ("model,win_rate\nm1,many\n", "must be a number"),
    "outside": ("model,win_rate\nm1,0.5\nm2,150\n", "must be in the unit of ours"),
    "others": ("model,win_rate\nanother,10\n", "none of the runs' models has an official number"),
    "two judges": ("model,win_rate,judge\nm1,10,a\nm2,11,b\n", "one table is of one judge"),
}


@pytest.mark.parametrize("name", WRONG_TABLES)
def test_wrong_tables(name: str, bench: Bench) -> None:
    """A table that cannot be meant is refused in one paragraph."""
    text, words = WRONG_TABLES[name]
    table = bench.folder / "official.csv"
    table.write_text(text)
    runs = [bench.run("m1", 10.0), bench.run("m2", 20.0)]
    command = ["bridge", "make", *runs, "--task", "alpacaeval", "--official", table, "--offline"]
    ended = judgebench(command, code=2)
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_wrong_commands(bench: Bench) -> None:
    """What cannot be meant says what to do."""
    bench.make(JUDGED, OFFICIAL)
    run = bench.run("m1", 10.0)
    for arguments, words in (
        (["make", "--task", "alpacaeval"], "a bridge is made of runs"),
        (["make", run, "--task", "mtbench"], "holds no task mtbench"),
        (["make", run, "--task", "alpacaeval", "--plan", "5"], "leave the runs out"),
        (["make", run, "--task", "alpacaeval", "--judge", "openai:gpt-4.1"], "are for --plan"),
        (["make", run, "--task", "alpacaeval", "--metric", "avg_length"], "neither better nor worse"),
        (["make", run, "--task", "alpacaeval", "--metric", "rating"], "is unknown"),
        (["make", run, "--task", "alpacaeval", "--official", "published:none"], "no published table is called 'none'"),
        (["show", "none"], "cannot be read"),
        (["check", bench.path, "--drift"], "keeps no items to ask its judge again about"),
    ):
        ended = judgebench(["bridge", *map(str, arguments)], code=2)
        assert words in ended.stderr, ended.stderr


def test_runs_of_others_that_no_bridge_can_hold(bench: Bench) -> None:
    """A run folder of somebody's with a name of 2,000 letters, or ids without a hash, ends in a paragraph."""
    odd = {**PROTOCOL, "examples": {"n": 805, "ids": "none"}}
    bench.make(JUDGED, OFFICIAL)
    for runs in ([bench.run("m" * 150 + "1", 10.0, odd)], [bench.run("m1", 10.0, odd)]):
        table = bench.folder / "other.csv"
        table.write_text(f"model,win_rate\n{'m' * 150}1,10\nm1,10\n")
        command = ["bridge", "make", *runs, "--task", "alpacaeval", "--official", table, "--offline"]
        ended = judgebench(command, code=2)
        assert "no bridge can hold" in ended.stderr
        assert ended.stderr.count("\n") == 1


def test_names_from_others_cannot_speak_to_the_terminal(bench: Bench) -> None:
    """A model's name with escapes and markup is shown as text."""
    names = ["\x1b[31mred[bold]", *(f"m{number}" for number in range(2, 7))]
    bridge = bench.make(JUDGED, OFFICIAL, names)
    assert bridge.models[0].name == names[0]
    shown = judgebench(["bridge", "show", bench.path, "-v"], COLUMNS="200").stdout
    assert "\x1b[31m" not in shown
    assert "red[bold]" in shown


def test_a_bridge_of_a_judge_that_is_gone_is_for_its_runs() -> None:
    """Nobody can ask it again, so its name means what it meant, and no new run is judged by it."""
    bridge = made_bridge(judge="gpt-4-1106-preview", served_model="gpt-4-1106-preview")
    assert "alias" not in bridge.findings.marks
    assert "alias" in made_bridge(judge="gpt-5.1", served_model="gpt-5.1").findings.marks
    assert "judgebench score RUN --bridge b.json" in _next_step(bridge, Path("b.json"))
