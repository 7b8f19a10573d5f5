"""Makes ``leaderboards/bridges``: bridges from the numbers that second judges of published models have published.

    python scripts/make_ready_bridges.py DATA [FOLDER]

DATA is the folder of published data that ``JUDGEBENCH_TEST_DATA`` names; FOLDER is ``leaderboards/bridges`` unless
given. Bridges that the rules refuse are not written. Equal data give equal bytes, whoever makes them and whenever.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from judgebench import api, tasks
from judgebench.analysis.bridging import left_out, make_bridge
from judgebench.analysis.official_tables import joined_vendors, official_table
from judgebench.codec import canonical_hash
from judgebench.data.rows import read_rows
from judgebench.data.sources import SourceFinder
from judgebench.models.trained_by import base_vendor_of, vendor_of
from judgebench.run.bridge_files import (
    SUFFIX,
    Bridge,
    BridgeItems,
    BridgeJudge,
    BridgeModel,
    ModelNumbers,
    fitted_metric,
    write_bridge,
)
from judgebench.run.bridging import asked_items, bridge_protocol
from judgebench.run.loading import load_task
from judgebench.run.protocol import protocol
from judgebench.run.reading import read_run

FOLDER = Path(__file__).resolve().parents[1] / "leaderboards" / "bridges"
MADE = date(2026, 11, 30)
VERSION = "0.1.0"
ALPACAEVAL = ("alpaca_eval_cot_gpt4_turbo_fn", "alpaca_eval_gpt4_turbo_fn")
"""AlpacaEval's evaluators whose verdicts on published models are at hand."""
ARENAHARD = "arenahard@v2.0:category=hard_prompt,judge={}"
ARENAHARD_JUDGES = ("gpt-4.1", "gemini-2.5")
STYLE_CONTROLLED = "win_rate_style_controlled"
ONE_TABLE = "one fit to all models of the published table"
UNTOLD = ("sources",)


def main(data: Path, folder: Path) -> None:
    """Write the bridges."""
    for bridge in bridges(data):
        if any(metric.status != "refused" for metric in bridge.metrics.values()):
            write_bridge(folder / f"{bridge.name}{SUFFIX}", bridge)
            print(bridge.name, {name: metric.status for name, metric in bridge.metrics.items()})
        else:
            print(bridge.name, "refused:", {name: metric.reasons for name, metric in bridge.metrics.items()})


def bridges(data: Path) -> Iterator[Bridge]:
    """All bridges, also those that are refused."""
    for evaluator in ALPACAEVAL:
        yield alpacaeval(data, evaluator)
    for judge, official in (ARENAHARD_JUDGES, ARENAHARD_JUDGES[::-1]):
        yield arenahard(data, judge, official)


def alpacaeval(data: Path, evaluator: str) -> Bridge:
    """From one of upstream's other evaluators, whose published verdicts are scored here, to the official one."""
    with tempfile.TemporaryDirectory() as place:
        runs = [read_run(path) for path in _imported(data, evaluator, Path(place))]
        finder = SourceFinder(Path(place) / "cache", [data / "alpacaeval"], offline=True)
        made = make_bridge(runs, "alpacaeval", "published", finder, name=f"alpacaeval-{evaluator}-to-official")
    return msgspec.structs.replace(
        made,
        created=MADE,
        judgebench=VERSION,
        judge=msgspec.structs.replace(made.judge, unknown=UNTOLD),
        models=tuple(msgspec.structs.replace(model, run_id=None) for model in made.models),
        drift=None,
    )


def _imported(data: Path, evaluator: str, place: Path) -> Iterator[Path]:
    """A run of each model, made of its published answers and verdicts."""
    baseline = [row.fields for row in read_rows(data / "alpacaeval" / "eval_set" / "alpaca_eval_gpt4_baseline.json.gz")]
    verdicts: dict[str, list[dict[str, Any]]] = {}
    for row in read_rows(data / "bridge" / "ae2_other_judges.parquet"):
        if row.fields["judge"] == evaluator:
            verdicts.setdefault(row.fields["model"], []).append(row.fields)
    for model, own in sorted(verdicts.items()):
        rows = read_rows(data / "bridge" / "outputs" / f"{model}.json.gz")
        answers = {row.fields["instruction"]: row.fields["output"] for row in rows}
        annotations = [
            {
                "instruction": baseline[verdict["idx"]]["instruction"],
                "output_1": baseline[verdict["idx"]]["output"],
                "generator_1": baseline[verdict["idx"]]["generator"],
                # One model has no answer to one item: the judge was shown an empty one.
                "output_2": answers.get(baseline[verdict["idx"]]["instruction"], ""),
                "generator_2": model,
                "annotator": evaluator,
                "preference": verdict["preference"],
            }
            for verdict in sorted(own, key=lambda verdict: verdict["idx"])
        ]
        file = place / f"{model}.json"
        file.write_text(json.dumps(annotations))
        api.import_run(
            file, "alpaca_eval", out=place / model, task="alpacaeval", mirrors=[data / "alpacaeval"], offline=True
        )
        yield place / model


def arenahard(data: Path, judge: str, official: str) -> Bridge:
    """From one judge's published table to the other's. A run alone has no such numbers, so R3 refuses every run."""
    label = ARENAHARD.format(judge)
    (spec,) = tasks.parse_specs(label)
    with tempfile.TemporaryDirectory() as place:
        finder = SourceFinder(Path(place), [data / "arena_hard", data / "upstream"], offline=True)
        loaded = load_task(spec, finder, starter=False)
    judged = official_table(f"published:{label}", loaded.task)
    table = official_table(f"published:{ARENAHARD.format(official)}", loaded.task)
    told = protocol(loaded, {name: [(own, judge)] for name, own in loaded.data.judges.items()})
    known = {**bridge_protocol(told), "fit": ONE_TABLE}
    vendors = {name: joined_vendors([name]) for name in (judge, official)}
    models = tuple(
        BridgeModel(
            name=name,
            vendor=vendor_of(name),
            base_vendor=base_vendor_of(name),
            included=reason is None,
            reason=reason,
            n_judged=len(loaded.data.examples),
        )
        for name in sorted(set(judged.numbers) & set(table.numbers))
        for reason in [left_out(name, vendor_of(name), vendors[judge], vendors[official], loaded.data.baselines)]
        if reason != "baseline"
    )
    numbers = {
        model.name: ModelNumbers(
            judged=judged.numbers[model.name][STYLE_CONTROLLED], official=table.numbers[model.name][STYLE_CONTROLLED]
        )
        for model in models
    }
    n, ids = asked_items(told)
    return Bridge(
        name=f"arenahard-v2.0-hard_prompt-{judge}-to-{official}",
        created=MADE,
        judgebench=VERSION,
        task=loaded.task.name,
        task_version=loaded.task.version,
        options=dict(loaded.task.options),
        official=table.about,
        judge=BridgeJudge(
            spec=judged.about.source,
            identity=judge,
            served_model=None,
            vendor=vendors[judge],
            protocol=known,
            protocol_hash=canonical_hash(known),
            unknown=UNTOLD,
        ),
        items=BridgeItems(n=n, ids_hash=ids),
        models=models,
        metrics={STYLE_CONTROLLED: fitted_metric("percent", (0.0, 100.0), numbers, models)},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else FOLDER)
