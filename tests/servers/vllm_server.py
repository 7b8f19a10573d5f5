"""Starts vLLM's own server as a process, on loopback; it speaks all the protocols that ``chat_server.py`` imitates."""

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from tests.patience import wait_for

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
}


@contextmanager
def vllm_server(checkpoint: Path, *, name: str, key: str, context: int, log: Path) -> Iterator[str]:
    """Serve the checkpoint under a name to whoever has the key; gives the address without ``/v1``."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    flags = [f"--model={checkpoint}", f"--served-model-name={name}", f"--max-model-len={context}"]
    with log.open("w") as file:
        process = subprocess.Popen(
            # The command ``vllm serve`` asks for the package's version, which the CPU build has under another name.
            [
                *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", *flags, f"--api-key={key}"),
                *("--host=127.0.0.1", f"--port={port}", "--dtype=float32", "--enforce-eager"),
                # It would add the checkpoint's own penalties and temperature to what a request says.
                "--generation-config=vllm",
            ],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **ENVIRONMENT},
        )
    try:
        _wait(process, address, log)
        yield address
    finally:
        process.terminate()
        process.wait()


def _wait(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, f"vLLM's server did not come up: {log.read_text()[-2000:]}"
        try:
            with urllib.request.urlopen(f"{address}/health"):
                return True
        except (URLError, OSError):
            return False

    wait_for(answers, look_every=0.5)
