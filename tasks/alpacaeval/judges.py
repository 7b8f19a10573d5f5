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
from judgebench.judges.named import STARTER, NamedJudge
from judgebench.judges.own_prompts import NUMBERED_PAIR, split_chatml
from judgebench.judges.rankings import ranking_verdict, tool_ranking_verdict, two_scores_verdict
from judgebench.judges.text import TextJudge
from judgebench.judges.verdict_rules import VerdictRule, reader
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
    place: str = "openai:"
    """What comes before the model's name in its spec: the backend, or the address."""
    like: str | None = None
    """Another evaluator with the same prompt and rule, which differs in the model only."""
    replies_in_json: bool = False
    """A reply that a file holds parsed was JSON, not a Python literal."""
    unavailable: str = ""
    """Why it cannot judge here."""

    @property
    def is_ours(self) -> bool:
        """Whether its prompt comes with judgebench, so that it can judge the starter set."""
        return self.prompt is not None and self.prompt.endswith(".j2")

    @property
    def spec(self) -> str | None:
        """The spec of upstream's judge model."""
        return None if self.model is None else self.place + self.model

    def load(self, name: str, fetch: Fetch) -> tuple[Judge, tuple[str, ...]]:
        """Make the judge; also return the lines that occur in an answer only if it quotes the prompt."""
        if self.prompt is None:
            raise UsageError(f"the evaluator {name} has no prompt here: its files can be imported, but it cannot judge")
        prompt = HousePrompt(FOLDER / self.prompt) if self.is_ours else PublishedPrompt.parse(fetch(self.prompt))
        made = self.judge(name=name, messages=prompt.pair, prompt_sha256=prompt.sha256, texts=NUMBERED_PAIR)
        return made, prompt.fragments


LABEL_JUDGE = partial(LogprobJudge, labels=("m", "M"), sampling=LABEL_SAMPLING)
AB_JUDGE = partial(LogprobJudge, labels=("A", "B"), sampling=LABEL_SAMPLING)
REASONED = {"sampling": Sampling(temperature=1.0, max_tokens=300, top_logprobs=5), "position": -1}
"""Of the published evaluators that explain themselves first: the last token holds the label."""
RANKING_JUDGE = partial(
    TextJudge,
    sampling=RANKING_SAMPLING,
    reading="rank of model_1 in a Python list",
    read_text=ranking_verdict,
    labels=("model_1",),
    form="a Python list with the rank of each model",
)
TOOL_JUDGE = partial(
    TextJudge, sampling=RANKING_SAMPLING, reading="rank of m in the tool call", read_text=tool_ranking_verdict
)
OUTPUT_NAMES = VerdictRule(
    read="label",
    labels={r"(?:^|\n) ?Output \(a\)": 1.0, r"(?:^|\n) ?Output \(b\)": 0.0},
    patterns=True,
    which="only",
)
OUTPUT_JUDGE = partial(
    TextJudge,
    sampling=Sampling(temperature=0.0, max_tokens=50),
    reading="Output (a) or Output (b), once, at the beginning of a line",
    read_text=reader(OUTPUT_NAMES, None),
    labels=("Output (a)", "Output (b)"),
)
SCORES_JUDGE = partial(
    TextJudge,
    sampling=Sampling(temperature=0.0, max_tokens=1024),
    reading="the higher of two scores in the first line",
    read_text=two_scores_verdict,
    form="the two scores, separated by a space",
)
GPT_4_TURBO = "gpt-4-1106-preview"
NO_TOOLS = "its judge is made to call a function, and no judge is here"
NO_CHAT = "its prompt is a text to be continued, not a conversation, and no completions endpoint is asked here"
IN_ONE_ORDER = (
    "it always shows the baseline first, and here the order is drawn or both are judged; improved_{} draws it"
)

EVALUATORS = {
    "weighted_alpaca_eval_gpt4_turbo": Evaluator(prompt="prompt-label", model=GPT_4_TURBO, judge=LABEL_JUDGE),
    "alpaca_eval_clf_gpt4_turbo": Evaluator(
        prompt="prompt-label", model=GPT_4_TURBO, judge=partial(LABEL_JUDGE, binarise=True)
    ),
    "alpaca_eval_gpt4": Evaluator(prompt="prompt-ranking", model="gpt-4", judge=RANKING_JUDGE),
    "house_pairwise_label": Evaluator(prompt="pairwise_label.j2", judge=partial(AB_JUDGE, reminds=True)),
    "weighted_alpaca_eval_gpt4.1": Evaluator(
        model="gpt-4.1-2025-04-14", judge=LABEL_JUDGE, like="weighted_alpaca_eval_gpt4_turbo"
    ),
    "weighted_alpaca_eval_gpt-4o-mini-2024-07-18": Evaluator(
        model="gpt-4o-mini-2024-07-18", judge=LABEL_JUDGE, like="weighted_alpaca_eval_gpt4_turbo"
    ),
    "weighted_alpaca_eval_gpt4_turbo_new": Evaluator(
        model="gpt-4-turbo", judge=LABEL_JUDGE, like="weighted_alpaca_eval_gpt4_turbo"
    ),
    "weighted_alpaca_eval_vllm_llama3_70b": Evaluator(judge=LABEL_JUDGE, like="weighted_alpaca_eval_gpt4_turbo"),
    "weighted_alpaca_eval_cot_gpt4_turbo": Evaluator(
        prompt="prompt-label-reasoned", model=GPT_4_TURBO, judge=partial(LABEL_JUDGE, **REASONED)
    ),
    "alpaca_eval_clf_cot_gpt4_turbo": Evaluator(
        prompt="prompt-label-reasoned", model=GPT_4_TURBO, judge=partial(LABEL_JUDGE, **REASONED, binarise=True)
    ),
    "gpt4_turbo_logprob": Evaluator(prompt="prompt-letter", model=GPT_4_TURBO, judge=AB_JUDGE),
    "gpt4_turbo_clf": Evaluator(prompt="prompt-letter", model=GPT_4_TURBO, judge=partial(AB_JUDGE, binarise=True)),
    "gpt4_turbo_cot_logprob": Evaluator(
        prompt="prompt-letter-reasoned", model=GPT_4_TURBO, judge=partial(AB_JUDGE, **REASONED)
    ),
    "gpt4_turbo_cot_clf": Evaluator(
        prompt="prompt-letter-reasoned", model=GPT_4_TURBO, judge=partial(AB_JUDGE, **REASONED, binarise=True)
    ),
    "alpaca_eval_gpt4_0314": Evaluator(model="gpt-4-0314", judge=RANKING_JUDGE, like="alpaca_eval_gpt4"),
    "alpaca_eval_gpt4_0613": Evaluator(model="gpt-4-0613", judge=RANKING_JUDGE, like="alpaca_eval_gpt4"),
    "gpt-3.5-turbo-1106_ranking": Evaluator(model="gpt-3.5-turbo-1106", judge=RANKING_JUDGE, like="alpaca_eval_gpt4"),
    "alpaca_eval_llama3_70b_fn": Evaluator(
        model="meta-llama/Llama-3-70b-chat-hf",
        place="https://api.together.xyz/v1#",
        judge=RANKING_JUDGE,
        like="alpaca_eval_gpt4",
    ),
    "alpaca_eval_vllm_llama3_70b_fn": Evaluator(prompt="prompt-ranking-vllm", judge=RANKING_JUDGE),
    "claude_3_opus_ranking": Evaluator(
        prompt="prompt-ranking-claude-3", model="claude-3-opus-20240229", place="anthropic:", judge=RANKING_JUDGE
    ),
    "mistral-large-2402_ranking": Evaluator(
        model="mistral-large-2402",
        place="https://api.mistral.ai/v1#",
        judge=RANKING_JUDGE,
        like="claude_3_opus_ranking",
    ),
    "improved_aviary_gpt4": Evaluator(
        prompt="prompt-leaderboard",
        model="gpt-4",
        judge=partial(RANKING_JUDGE, sampling=Sampling(temperature=0.0, max_tokens=2048)),
    ),
    "improved_lmsys_gpt4": Evaluator(prompt="prompt-two-scores", model="gpt-4", judge=SCORES_JUDGE),
    "gpt4": Evaluator(prompt="prompt-outputs", model="gpt-4-0314", judge=OUTPUT_JUDGE),
    "gpt4_turbo": Evaluator(model=GPT_4_TURBO, judge=OUTPUT_JUDGE, like="gpt4"),
    "chatgpt": Evaluator(model="gpt-3.5-turbo-0301", judge=OUTPUT_JUDGE, like="gpt4"),
    "alpaca_eval_gpt4_turbo_fn": Evaluator(
        model=GPT_4_TURBO, judge=TOOL_JUDGE, replies_in_json=True, unavailable=NO_TOOLS
    ),
    "alpaca_eval_cot_gpt4_turbo_fn": Evaluator(
        model=GPT_4_TURBO, judge=TOOL_JUDGE, replies_in_json=True, unavailable=NO_TOOLS
    ),
    "alpaca_eval_gpt4_fn": Evaluator(
        model="gpt-4",
        judge=partial(TOOL_JUDGE, read_text=partial(tool_ranking_verdict, first_name="model_1")),
        replies_in_json=True,
        unavailable=NO_TOOLS,
    ),
}
"""The published evaluators (tatsu-lab/alpaca_eval@cd543a1:src/alpaca_eval/evaluators_configs), and our own."""

NOT_HERE = {
    "chatgpt_fn": ("openai:gpt-3.5-turbo-16k-0613", NO_TOOLS),
    "lmsys_gpt4": ("openai:gpt-4", IN_ONE_ORDER.format("lmsys_gpt4")),
    "aviary_gpt4": ("openai:gpt-4", IN_ONE_ORDER.format("aviary_gpt4")),
    "alpaca_farm": (None, "it draws one of thirteen judges for each pair, most of which judge several pairs at once"),
    "alpaca_farm_greedy_gpt4": ("openai:gpt-4-0314", "its judge is asked about five pairs at once"),
    "claude": ("anthropic:claude-v1", NO_CHAT),
    "claude_2": ("anthropic:claude-2", NO_CHAT),
    "claude_ranking": ("anthropic:claude-v1", NO_CHAT),
    "bedrock_claude": (None, NO_CHAT),
    "bedrock_claude_2": (None, NO_CHAT),
    "cohere": (None, NO_CHAT),
    "gpt35_turbo_instruct": ("openai:gpt-3.5-turbo-instruct", NO_CHAT),
    "guanaco_33b": ("hf:timdettmers/guanaco-33b-merged", NO_CHAT),
    "oasst_pythia_12b": ("hf:OpenAssistant/oasst-sft-4-pythia-12b-epoch-3.5", NO_CHAT),
    "text_davinci_003": ("openai:text-davinci-003", NO_CHAT),
    "Self-taught-llama3.1-70B-dpo": (None, NO_CHAT),
}
"""Published evaluators that cannot judge here: upstream's model, and why not."""


DEFAULT = "weighted_alpaca_eval_gpt4_turbo"
"""The evaluator of AlpacaEval 2."""


def can_judge(name: str) -> bool:
    """Whether an evaluator of :data:`EVALUATORS` can judge here."""
    return EVALUATORS[EVALUATORS[name].like or name].prompt is not None


def named_judges() -> tuple[NamedJudge, ...]:
    """Every evaluator by name, as ``judgebench judges`` lists them."""
    here = [
        NamedJudge(
            name=name,
            model=own.spec,
            reading=own.judge(name=name, messages=lambda case: (), prompt_sha256="").fingerprint["reading"]
            + (", last token" if own.judge.keywords.get("position") == -1 else ""),
            labels=own.judge.keywords.get("labels", ()),
            prompt=EVALUATORS[own.like or name].prompt,
            chosen_by="" if name == DEFAULT else f"judge={name}",
            unavailable=own.unavailable,
            about=STARTER if own.is_ours else "",
        )
        for name, own in EVALUATORS.items()
        if isinstance(own.judge, partial)
    ]
    rest = [NamedJudge(name=n, model=model, reading="", unavailable=why) for n, (model, why) in NOT_HERE.items()]
    return (*here, *rest)


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
