"""How likely texts are after a prompt (``Sampling.continuations``): what is asked, and what every backend answers.

Tokens are made as lm-eval 0.4.13 makes them (``TemplateLM.loglikelihood`` and ``_encode_pair`` in
``lm_eval/api/model.py``, ``HFLM.tok_encode`` in ``lm_eval/models/huggingface.py``), so that log-likelihoods are the
same, with one exception: nothing is ever cut to fit the context.
"""

from collections.abc import Callable, Sequence

from judgebench.records import Completion, Request, Usage

Encode = Callable[[str], list[int]]
IMPOSSIBLE = -1e9
"""Log-probability of the impossible: JSON has no minus infinity."""


def raw_text(request: Request) -> str:
    """The prompt of a request that goes through no chat template."""
    return "\n\n".join(message.content for message in request.messages)


def split_at_word(context: str, continuation: str) -> tuple[str, str]:
    """Move spaces at the end of the context to what follows: words begin with their space in most tokenizers."""
    bare = context.rstrip()
    return bare, context[len(bare) :] + continuation


def continuation_tokens(
    encode: Encode, encode_bare: Encode, context: str, continuations: Sequence[str], beginning: int | None
) -> tuple[list[int], list[list[int]]]:
    """The tokens of the context, and those that each continuation adds to it; both are encoded together.

    ``encode`` adds the tokenizer's special tokens, ``encode_bare`` does not. After an empty context stands the token
    ``beginning``, a BOS or else an EOS.
    """
    before = encode(context.rstrip()) if context.rstrip() else []
    if before:
        return before, [encode(context + text)[len(before) :] for text in continuations]
    start = [] if beginning is None else [beginning]
    labels = [encode_bare(context + text) for text in continuations]
    return start, [label[1:] if start and label[:1] == start else label for label in labels]


def likelihoods(request: Request, values: Sequence[float], usage: Usage, model: str | None) -> Completion:
    """The log-likelihoods of a request's continuations, in their order, as a completion; its text is the likeliest."""
    pairs = tuple(zip(request.sampling.continuations, values, strict=True))
    return Completion(
        text=max(pairs, key=lambda pair: pair[1])[0],
        finish_reason="stop",
        usage=usage,
        top_logprobs=(pairs,),
        model=model,
    )


def likelihoods_in(completion: Completion, count: int) -> tuple[float, ...] | None:
    """The log-likelihoods of so many continuations in a completion; ``None`` if it does not hold them."""
    positions = completion.top_logprobs or ()
    if len(positions) != 1 or len(positions[0]) != count:
        return None
    return tuple(value for _, value in positions[0])
