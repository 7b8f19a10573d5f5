"""Presets: a paper's sampling for the tasks it names, weaker than ``--gen``, stronger than a task's own."""

import pytest

from judgebench import tasks
from judgebench.errors import UsageError
from judgebench.records import Sampling
from judgebench.run import presets
from judgebench.run.loading import load_tasks, task_sampling
from judgebench.run.settings import Settings, override_sampling


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_names_tasks_that_exist_and_settings_that_are_taken(name: str) -> None:
    """And where its figures are from, with a commit."""
    preset = presets.load(name)
    assert preset.sampling
    assert "@" in preset.source
    for task, settings in preset.sampling.items():
        assert task in tasks.names()
        override_sampling(Sampling(), {key: f"{value:g}" for key, value in settings.items()}, name)


def test_a_preset_decides_and_gen_is_stronger() -> None:
    """For the tasks that it names; others keep their own way."""
    settings = Settings(tasks="arenahard,mtbench", starter=True, preset="simpo-llama3", gen={"max_tokens": "99"})
    arena, mtbench = load_tasks(settings)
    assert task_sampling(arena, settings).temperature == 0.0
    assert task_sampling(arena, settings).max_tokens == 99
    assert task_sampling(mtbench, settings).temperature == mtbench.task.sampling.temperature


def test_simpo_s_alpacaeval_temperatures() -> None:
    """Those of its configuration files: .9, .7 and .5, and of AlpacaEval's for its Gemma."""
    found = {
        name: presets.load(name).sampling["alpacaeval"]["temperature"]
        for name in presets.names()
        if name.startswith("simpo")
    }
    assert found == {"simpo-gemma2": 0.5, "simpo-llama3": 0.9, "simpo-mistral-base": 0.7, "simpo-mistral-instruct": 0.5}


def test_a_preset_that_changes_nothing_is_refused() -> None:
    """As is one that does not exist, with those that do."""
    with pytest.raises(UsageError, match=r"is for alpacaeval, arenahard, not for mtbench"):
        load_tasks(Settings(tasks="mtbench", starter=True, preset="simpo-llama3"))
    with pytest.raises(UsageError, match=r"the presets are .*simpo-llama3"):
        load_tasks(Settings(tasks="mtbench", starter=True, preset="no-such"))
