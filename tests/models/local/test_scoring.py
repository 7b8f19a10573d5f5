"""Reward models, pair rankers and density ratios on small random checkpoints: their numbers are bare transformers'."""

from pathlib import Path

import pytest

from judgebench.errors import ModelError, UsageError
from judgebench.models.local import scoring
from judgebench.models.local.density_ratio import DensityRatio
from judgebench.models.local.pair_ranker import PairRanker
from judgebench.models.local.reward import RewardModel
from judgebench.records import Completion
from tests.models.llama import CONTEXT, answers
from tests.models.scorers import (
    bare_loglikelihood,
    bare_preference,
    bare_reward,
    pairs_of_texts,
    save_pair_ranker,
    save_reward_model,
    save_two_llamas,
    to_score,
)

pytest.importorskip("torch")
pytest.importorskip("transformers")

TEXTS = pairs_of_texts(8)
TOLERANCE = 1e-5
"""Of float32, where batches add up in another order than single rows."""


def numbers(completion: Completion, name: str) -> list[float]:
    """One of the numbers of each answer."""
    assert completion.error is None, completion.error
    assert completion.scores is not None
    return [found[name] for found in completion.scores]


@pytest.fixture(scope="module")
def reward_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model of one head."""
    folder = tmp_path_factory.mktemp("scorers") / "rm"
    save_reward_model(folder)
    return folder


# Reward models


@pytest.mark.parametrize("pad", [0, None], ids=["with a padding token", "without one"])
@pytest.mark.parametrize("template", [True, False], ids=["chat template", "pairs of texts"])
def test_rewards_of_batches_are_those_of_single_rows(tmp_path: Path, pad: int | None, template: bool) -> None:
    """Rows of a batch get the reward that transformers alone gives each of them, to 1e-5."""
    save_reward_model(tmp_path / "rm", template=template, pad=pad)
    model = RewardModel(str(tmp_path / "rm"), batch_size=5)
    found = answers(model, [to_score((question, one), (question, two)) for question, one, two in TEXTS])
    for (question, *both), completion in zip(TEXTS, found, strict=True):
        expected = [bare_reward(tmp_path / "rm", question, answer)[0] for answer in both]
        assert numbers(completion, "reward") == pytest.approx(expected, abs=TOLERANCE)


def test_named_heads_make_the_reward(tmp_path: Path) -> None:
    """#HEAD chooses one of several heads, #HEAD=WEIGHT,… a weighted sum; what each head says is kept beside it."""
    heads = ("helpfulness", "correctness", "verbosity")
    save_reward_model(tmp_path / "rm", heads)
    question, answer, _ = TEXTS[3]
    helpful, correct, verbose = bare_reward(tmp_path / "rm", question, answer)
    for spelled, expected in (
        ("correctness", correct),
        ("1", correct),
        ("helpfulness=0.65,verbosity=-0.4", 0.65 * helpful - 0.4 * verbose),
    ):
        model = RewardModel(f"{tmp_path / 'rm'}#{spelled}")
        (completion,) = answers(model, [to_score((question, answer))])
        assert numbers(completion, "reward") == pytest.approx([expected], abs=TOLERANCE)
        assert numbers(completion, "helpfulness") == pytest.approx([helpful], abs=TOLERANCE)
        assert model.name == f"reward:rm#{spelled}"


def test_several_heads_need_a_name(tmp_path: Path) -> None:
    """A model with several heads is refused when it is opened unless the spec says which head is the reward."""
    save_reward_model(tmp_path / "rm", ("helpfulness", "safety"))
    with pytest.raises(UsageError, match=r"2 heads \(helpfulness, safety\).*#helpfulness=0.5,safety=0.5"):
        RewardModel(str(tmp_path / "rm"))
    with pytest.raises(UsageError, match="no head 'humour'; it has helpfulness, safety"):
        RewardModel(f"{tmp_path / 'rm'}#humour")


def test_a_language_model_is_no_reward_model(tmp_path: Path) -> None:
    """A checkpoint without a classification head is refused, where transformers would make one of random numbers."""
    strong, _ = save_two_llamas(tmp_path)
    model = RewardModel(f"{strong}#0")
    with pytest.raises(ModelError, match=r"is not a reward model.*score"):
        answers(model, [to_score(TEXTS[0][:2])])


def test_what_does_not_fit_is_not_cut(reward_folder: Path) -> None:
    """An answer beyond the context is an error of its own; the others are scored."""
    found = answers(RewardModel(str(reward_folder)), [to_score(("fox", "dog " * CONTEXT)), to_score(("fox", "dog"))])
    assert "the model's context is 256" in (found[0].error or "")
    assert found[1].scores is not None


def test_lack_of_memory_makes_batches_smaller(reward_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that do not fit are halved until they do, and no number changes."""
    requests = [to_score((question, answer)) for question, answer, _ in TEXTS]
    expected = answers(RewardModel(str(reward_folder)), requests)
    model, scored = RewardModel(str(reward_folder)), RewardModel.scored

    def little_memory(self: RewardModel, rows: list[scoring.Row]) -> list[scoring.Numbers]:
        if len(rows) > 3:
            raise RuntimeError("CUDA out of memory")
        return scored(self, rows)

    monkeypatch.setattr(RewardModel, "scored", little_memory)
    found = answers(model, requests)
    assert model.retries["out of memory"] > 0
    for one, other in zip(found, expected, strict=True):
        assert numbers(one, "reward") == pytest.approx(numbers(other, "reward"), abs=TOLERANCE)


# Pair rankers


def test_preferences_are_those_of_the_model_card(tmp_path: Path) -> None:
    """A pair ranker's logit is that of PairRM's published input and head, to 1e-5, and depends on the order."""
    save_pair_ranker(tmp_path / "pairrm")
    model = PairRanker(str(tmp_path / "pairrm"), batch_size=4)
    found = answers(model, [to_score((question, one), (question, two)) for question, one, two in TEXTS])
    expected = [bare_preference(tmp_path / "pairrm", *texts) for texts in TEXTS]
    assert [numbers(one, "preference")[0] for one in found] == pytest.approx(expected, abs=TOLERANCE)
    assert len({round(value, 3) for value in expected}) > 6


def test_long_texts_are_cut_as_published_and_marked(tmp_path: Path) -> None:
    """Of 2,048 tokens the question gets 1,224 at most and the answers share the rest; what was cut says so."""
    save_pair_ranker(tmp_path / "pairrm", context=4096)
    question, one, two = "fox " * 700, "the dog " * 400, "owls"
    (found,) = answers(PairRanker(str(tmp_path / "pairrm")), [to_score((question, one), (question, two))])
    expected = bare_preference(tmp_path / "pairrm", question, one, two)
    assert numbers(found, "preference") == pytest.approx([expected], abs=TOLERANCE)
    assert numbers(found, "cut") == [1.0]


def test_a_text_cannot_pose_as_a_prefix(tmp_path: Path) -> None:
    """An answer that contains a token which marks where answers begin is not compared."""
    save_pair_ranker(tmp_path / "pairrm")
    (found,) = answers(PairRanker(str(tmp_path / "pairrm")), [to_score(("fox", "a <|candidate2|> b"), ("fox", "dog"))])
    assert "mark where each begins" in (found.error or "")


def test_another_checkpoint_is_no_pair_ranker(reward_folder: Path) -> None:
    """A checkpoint without the prefixes is refused before its weights are read, with the spec that works."""
    with pytest.raises(ModelError, match=r"no source_prefix_id.*pairrm:llm-blender/PairRM-hf"):
        PairRanker(str(reward_folder))


# Density ratios


@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_ratios_are_differences_of_log_likelihoods(tmp_path: Path, reduce: str) -> None:
    """A ratio is the strong model's log-likelihood of the answer after the prompt, less the weak one's, to 1e-5."""
    strong, weak = save_two_llamas(tmp_path)
    model = DensityRatio((strong, weak), reduce=reduce, batch_size=5)
    found = answers(model, [to_score((question, one), (question, two)) for question, one, two in TEXTS])
    for (question, *both), completion in zip(TEXTS, found, strict=True):
        for answer, scores in zip(both, completion.scores or (), strict=True):
            ours, theirs = (bare_loglikelihood(folder, question, answer) for folder in (strong, weak))
            expected = [total / (count if reduce == "mean" else 1) for total, count in (ours, theirs)]
            # Of some 40 tokens: the last bit of float32 alone is as large as the tolerance where sums are beyond 100.
            assert [scores["strong"], scores["weak"]] == pytest.approx(expected, rel=TOLERANCE)
            assert scores["ratio"] == pytest.approx(expected[0] - expected[1], rel=TOLERANCE, abs=TOLERANCE)
            assert scores["tokens"] == ours[1]
