"""Small random checkpoints that score answers, and what bare transformers computes with them, one row at a time."""

import functools
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from judgebench.records import Message, Request, Sampling
from tests.models.llama import CONTEXT, prompts, save_random_llama, save_tokenizer

PREFIXES = ("<|source|>", "<|candidate1|>", "<|candidate2|>")


def _random(kind: Any, config: Any, seed: int) -> Any:
    torch = importlib.import_module("torch")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(config)


def save_reward_model(
    folder: Path,
    heads: Sequence[str] = ("reward",),
    *,
    template: bool = True,
    pad: int | None = 0,
    context: int = CONTEXT,
) -> None:
    """A Llama of two layers with a classification head that has these labels."""
    transformers = importlib.import_module("transformers")
    tokenizer = save_tokenizer(folder)
    if not template:
        tokenizer.chat_template = None
        for name in ("chat_template.jinja", "tokenizer_config.json"):
            (folder / name).unlink(missing_ok=True)
        tokenizer.save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.4,
        num_labels=len(heads),
        id2label=dict(enumerate(heads)),
        label2id={name: place for place, name in enumerate(heads)},
        pad_token_id=pad,
    )
    _random(transformers.LlamaForSequenceClassification, config, 1).save_pretrained(folder)


def save_pair_ranker(folder: Path, context: int = 2048, size: int = 32) -> None:
    """A DeBERTa of one layer with a pair ranker's head, in the form of llm-blender/PairRM-hf."""
    transformers = importlib.import_module("transformers")
    tokenizer = save_tokenizer(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": list(PREFIXES)})
    tokenizer.chat_template = None
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)
    ids = tokenizer.convert_tokens_to_ids(list(PREFIXES))
    names = ("source_prefix_id", "cand1_prefix_id", "cand2_prefix_id")
    config = transformers.DebertaV2Config(
        vocab_size=len(tokenizer),
        hidden_size=size,
        intermediate_size=2 * size,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=context,
        relative_attention=True,
        pos_att_type=["c2p", "p2c"],
        type_vocab_size=0,
        initializer_range=0.4,
        pad_token_id=0,
        n_tasks=2,
        drop_out=0.05,
        **dict(zip(names, ids, strict=True)),
    )
    encoder = _random(transformers.DebertaV2Model, config, 2).eval()
    head = _random(_head, config, 3)
    weights = {f"pretrained_model.{name}": value for name, value in encoder.state_dict().items()}
    weights |= {f"head_layer.{name}": value for name, value in head.state_dict().items()}
    config.save_pretrained(folder)
    importlib.import_module("safetensors.torch").save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _head(config: Any) -> Any:
    nn = importlib.import_module("torch").nn
    size = config.hidden_size
    return nn.Sequential(
        nn.Dropout(0.05), nn.Linear(2 * size, size), nn.Tanh(), nn.Dropout(0.05), nn.Linear(size, config.n_tasks)
    )


def save_two_llamas(folder: Path) -> tuple[Path, Path]:
    """Two random Llamas of one tokenizer, a larger and a smaller."""
    save_random_llama(folder / "strong", head_dim=16)
    save_random_llama(folder / "weak")
    return folder / "strong", folder / "weak"


# What bare transformers computes


@functools.cache
def _opened(kind: str, folder: Path) -> tuple[Any, Any]:
    """A tokenizer, and a model of this class of transformers."""
    transformers = importlib.import_module("transformers")
    model = getattr(transformers, kind).from_pretrained(folder, dtype="float32").eval()
    return transformers.AutoTokenizer.from_pretrained(folder), model


def bare_reward(folder: Path, question: str, answer: str) -> list[float]:
    """What each head says, of one row without padding."""
    torch = importlib.import_module("torch")
    tokenizer, model = _opened("AutoModelForSequenceClassification", folder)
    if tokenizer.chat_template:
        chat = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        row = tokenizer.apply_chat_template(chat, tokenize=True, return_tensors="pt", return_dict=True)
    else:
        row = tokenizer(question, answer, return_tensors="pt")
    with torch.inference_mode():
        return list(model(input_ids=row["input_ids"], attention_mask=row["attention_mask"]).logits[0].tolist())


def bare_preference(folder: Path, question: str, first: str, second: str) -> float:
    """The logit of PairRM's model card: tokens of the three texts in a row, and the head on the three prefixes."""
    torch, transformers = (importlib.import_module(name) for name in ("torch", "transformers"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    weights = importlib.import_module("safetensors.torch").load_file(folder / "model.safetensors")
    encoder, head = transformers.DebertaV2Model(config).eval(), _head(config).eval()
    for part, prefix in ((encoder, "pretrained_model."), (head, "head_layer.")):
        part.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
    source = tokenizer.encode(PREFIXES[0] + question, max_length=1224, truncation=True)
    each = (1224 + 2 * 412 - len(source)) // 2
    answers = [
        tokenizer.encode(prefix + text, max_length=each, truncation=True)
        for prefix, text in zip(PREFIXES[1:], (first, second), strict=True)
    ]
    ids = torch.tensor([[*source, *answers[0], *answers[1]]])
    with torch.inference_mode():
        states = encoder(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True).hidden_states[
            -1
        ][0]
        places = [int((ids[0] == token).nonzero()) for token in tokenizer.convert_tokens_to_ids(list(PREFIXES))]
        left, right = (head(torch.cat([states[places[0]], states[place]])) for place in places[1:])
    return float((left - right).mean())


def bare_loglikelihood(folder: Path, question: str, answer: str) -> tuple[float, int]:
    """The log-probability of the answer and its end token after the prompt, and the number of those tokens."""
    torch = importlib.import_module("torch")
    tokenizer, model = _opened("AutoModelForCausalLM", folder)
    chat = [{"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template([*chat, {"role": "assistant", "content": answer}], tokenize=False)
    before = tokenizer(prompt, add_special_tokens=False).input_ids
    ids = torch.tensor([tokenizer(whole, add_special_tokens=False).input_ids])
    with torch.inference_mode():
        logprobs = model(ids).logits[0, :-1].double().log_softmax(-1)
    own = logprobs.gather(-1, ids[0, 1:, None])[len(before) - 1 :, 0]
    return float(own.sum()), len(own)


def pairs_of_texts(count: int) -> list[tuple[str, str, str]]:
    """Questions with two answers each, of very unlike lengths."""
    texts = prompts(3 * count)
    return [(texts[place], texts[place + count], texts[place + 2 * count]) for place in range(count)]


def to_score(*conversations: tuple[str, str]) -> Request:
    """A request to score the answer that ends each of some conversations."""
    messages = [
        message
        for question, answer in conversations
        for message in (Message(role="user", content=question), Message(role="answer", content=answer))
    ]
    return Request(messages=tuple(messages), sampling=Sampling(max_tokens=0))
