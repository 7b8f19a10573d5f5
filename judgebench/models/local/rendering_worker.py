"""The process that chat templates are rendered in: ``python -m judgebench.models.local.rendering_worker``.

Started by ``rendering.py``, and limited like the verifiers' worker (``grading/worker.py``): a template is a program
that came with somebody's checkpoint. transformers' sandbox keeps it from the machine, but neither from looping for ever
nor from filling the memory.
"""

from typing import Any

import msgspec

from judgebench.grading.process import requests
from judgebench.grading.worker import arm, limit_memory

CPU_SECONDS = 5.0
"""A template takes a thousandth of it."""
WALL_SECONDS = 60.0
MEMORY_BYTES = 2**30
"""What the process may take beyond what it starts with."""
MAX_CHARACTERS = 16 * 2**20
"""Of a prompt."""


class Conversation(msgspec.Struct, array_like=True):
    """What is to be put into a template."""

    template: str
    messages: list[dict[str, str]]
    variables: dict[str, Any]


class Rendered(msgspec.Struct, array_like=True):
    """The prompt, or why there is none."""

    text: str | None
    error: str | None = None
    over_limit: bool = False


def main() -> None:
    """Serve until the input ends."""
    messages, send = requests()
    from transformers.utils.chat_template_utils import render_jinja_template

    limit_memory(MEMORY_BYTES)
    for message in messages:
        rendered = _rendered(render_jinja_template, msgspec.msgpack.decode(message, type=Conversation))
        send(msgspec.msgpack.encode(rendered))
        if rendered.over_limit:  # what is left of the heap is no ground for the next prompt
            return


def _rendered(render: Any, given: Conversation) -> Rendered:
    arm(CPU_SECONDS, WALL_SECONDS)
    try:
        ((text,), _) = render(
            conversations=[given.messages],
            chat_template=given.template,
            **{"add_generation_prompt": True, **given.variables},
        )
    except MemoryError:
        return Rendered(None, f"it took more than {MEMORY_BYTES // 2**30} GiB of memory", over_limit=True)
    except Exception as error:  # noqa: BLE001 - a template may raise anything
        said = "".join(str(error).strip().splitlines()[:1]).rstrip(".")
        return Rendered(None, f"{type(error).__name__}: {said[:300]}" if said else type(error).__name__)
    finally:
        arm(0.0, 0.0)
    if len(text) > MAX_CHARACTERS:
        return Rendered(None, f"it wrote a prompt of {len(text):,} characters", over_limit=True)
    # Half a surrogate pair can be computed, but not sent.
    return Rendered(text.encode("utf-8", "replace").decode())


if __name__ == "__main__":
    main()
