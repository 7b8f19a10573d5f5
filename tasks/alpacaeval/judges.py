"""AlpacaEval's evaluators: how each asks a judge and reads the reply. Published prompts are pulled at run time.

A row of :data:`EVALUATORS`, and its prompt, are all that an evaluator needs.

Sources: tatsu-lab/alpaca_eval@cd543a1:src/alpaca_eval/{utils.py,completion_parsers.py}.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from judgebench.codec import sha256_hex
from judgebench.data.prompts import HousePrompt, distinctive_lines, fill
from judgebench.errors import UsageError
from judgebench.judges import Judge
from judgebench.judges.logprob import LogprobJudge
from judgebench.judges.own_prompts import NUMBERED_PAIR, split_chatml
from judgebench.judges.rankings import ranking_verdict, tool_ranking_verdict
from judgebench.judges.text import TextJudge
from judgebench.records import Case, Message, Sampling
from judgebench.task import Fetch

FOLDER = Path(__file__).parent
PLACEHOLDERS = ("{instruction}", "{output_1}", "{output_2}")

LABEL_SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_tokens=1, top_logprobs=5)
"""As in the published configuration. The temperature changes nothing, because only logprobs are read."""


RANKING_SAMPLING = Sampling(temperature=0.0, max_tokens=100)
"""As in the published configuration."""


@dataclass(frozen=True)
class PublishedPrompt:
    """A prompt file, split into turns *before* anything is filled in.

    Upstream fills in first and splits afterwards, so an answer that contains turn markers or a placeholder can rewrite
    the judge's prompt. For all other answers the messages are the same.
    """

    turns: tuple[Message, ...]
    sha256: str

    @classmethod
    def parse(cls, data: bytes) -> "PublishedPrompt":
        """Read a prompt file, which must contain each placeholder once."""
        text = data.decode()
        for token in PLACEHOLDERS:
            if text.count(token) != 1:
                raise UsageError(f"the judge prompt must contain {token} exactly once, found {text.count(token)}")
        return cls(split_chatml(text), sha256_hex(data))

    def pair(self, case: Case) -> tuple[Message, ...]:
        """Fill in the instruction and the two answers, in the order in which the case shows them."""
        first, second = case.answers
        values = dict(zip(PLACEHOLDERS, (case.example.instruction, first.text, second.text), strict=True))
        return tuple(
            Message(role=turn.role, content=fill(turn.content, {t: v for t, v in values.items() if t in turn.content}))
            for turn in self.turns
        )

    @property
    def fragments(self) -> tuple[str, ...]:
        """Lines that occur in an answer only if it quotes the prompt."""
        return distinctive_lines("\n".join(turn.content for turn in self.turns), PLACEHOLDERS)


# -- the evaluators


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """One way to have a pair judged."""

    judge: Callable[..., Judge]
    """Makes the judge from a name, messages and a prompt hash. It decides the sampling and how a reply is read."""
    prompt: str | None = None
    """A prompt of ``sources.toml``, or a file ``*.j2`` of this folder. ``None``: only result files can be read."""
    model: str | None = None
    """Upstream's judge model; ``None`` if the evaluator is our own."""
    like: str | None = None
    """Another evaluator with the same prompt and rule, which differs in the model only."""
    replies_in_json: bool = False
    """A reply that a file holds parsed was JSON, not a Python literal."""

    @property
    def is_ours(self) -> bool:
        """Whether its prompt comes with judgebench, so that it can judge the starter set."""
        return self.prompt is not None and self.prompt.endswith(".j2")

    def load(self, name: str, fetch: Fetch) -> tuple[Judge, tuple[str, ...]]:
        """Make the judge; also return the lines that occur in an answer only if it quotes the prompt."""
        if self.prompt is None:
            raise UsageError(f"the evaluator {name} has no prompt here: its files can be imported, but it cannot judge")
        prompt = HousePrompt(FOLDER / self.prompt) if self.is_ours else PublishedPrompt.parse(fetch(self.prompt))
        made = self.judge(name=name, messages=prompt.pair, prompt_sha256=prompt.sha256, texts=NUMBERED_PAIR)
        return made, prompt.fragments


LABEL_JUDGE = partial(LogprobJudge, labels=("m", "M"), sampling=LABEL_SAMPLING)
RANKING_JUDGE = partial(
    TextJudge, sampling=RANKING_SAMPLING, reading="rank of model_1 in a Python list", read_text=ranking_verdict
)
TOOL_JUDGE = partial(
    TextJudge, sampling=RANKING_SAMPLING, reading="rank of m in the tool call", read_text=tool_ranking_verdict
)

EVALUATORS = {
    "weighted_alpaca_eval_gpt4_turbo": Evaluator(prompt="prompt-label", model="gpt-4-1106-preview", judge=LABEL_JUDGE),
    "alpaca_eval_clf_gpt4_turbo": Evaluator(
        prompt="prompt-label", model="gpt-4-1106-preview", judge=partial(LABEL_JUDGE, binarise=True)
    ),
    "alpaca_eval_gpt4": Evaluator(prompt="prompt-ranking", model="gpt-4", judge=RANKING_JUDGE),
    "house_pairwise_label": Evaluator(
        prompt="pairwise_label.j2", judge=partial(LogprobJudge, labels=("A", "B"), sampling=LABEL_SAMPLING)
    ),
    "weighted_alpaca_eval_gpt4.1": Evaluator(
        model="gpt-4.1-2025-04-14", judge=LABEL_JUDGE, like="weighted_alpaca_eval_gpt4_turbo"
    ),
    "weighted_alpaca_eval_gpt-4o-mini-2024-07-18": Evaluator(
        model="gpt-4o-mini-2024-07-18", judge=LABEL_JUDGE, like="weighted_alpaca_eval_gpt4_turbo"
    ),
    "alpaca_eval_gpt4_turbo_fn": Evaluator(model="gpt-4-1106-preview", judge=TOOL_JUDGE, replies_in_json=True),
    "alpaca_eval_cot_gpt4_turbo_fn": Evaluator(model="gpt-4-1106-preview", judge=TOOL_JUDGE, replies_in_json=True),
    "alpaca_eval_gpt4_fn": Evaluator(
        model="gpt-4",
        judge=partial(TOOL_JUDGE, read_text=partial(tool_ranking_verdict, first_name="model_1")),
        replies_in_json=True,
    ),
}
"""The published evaluators (tatsu-lab/alpaca_eval@cd543a1:src/alpaca_eval/evaluators_configs), and our own."""


def evaluator(name: str) -> Evaluator:
    """Return the evaluator of a name. Without a row, the name tells the rule, as upstream's names do."""
    if name in EVALUATORS:
        return EVALUATORS[name]
    if name.endswith("_fn"):
        return Evaluator(judge=TOOL_JUDGE, replies_in_json=True)
    return Evaluator(judge=partial(LABEL_JUDGE, position=-1 if "_cot_" in name else 0, binarise="_clf_" in name))


OTHER_JUDGES = {
    "http://HOST:PORT/v1#NAME": "any OpenAI-compatible server that returns logprobs, such as vLLM: open weights are "
    "not shut down",
    "hf:PATH": "a local checkpoint; scores the labels by likelihood",
    "openai:gpt-4.1-2025-04-14": "returns logprobs; upstream's configuration weighted_alpaca_eval_gpt4.1",
    "openai:gpt-4o-mini-2024-07-18": "returns logprobs; cheap; upstream's configuration "
    "weighted_alpaca_eval_gpt-4o-mini-2024-07-18",
}
"""Judges to turn to when the official one is no longer served."""
