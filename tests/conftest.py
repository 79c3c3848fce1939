"""What all tests share: tiny bases, a fixed language, and no network.

The bases are real architectures with random weights and a real tokenizer, made from a
seed in a second: small enough to train in a test, and loaded by the same code as any
folder of a user. Nothing here imports torch until a test asks for a base.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from trainer import language

CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""SmolLM2's template: it writes a system text of its own when it is given none."""

_CORPUS = (
    "问：你是谁？答：在下名为沐雪，你也可以叫我雪雪，很高兴认识你！你喜欢吃什么？咱最喜欢甜甜的东西了。",
    "the quick brown fox jumps over the lazy dog. Who are you? My name is Dory, I live in the sea.",
    "user assistant system You are a helpful AI assistant\n",
)


def pytest_configure(config: pytest.Config) -> None:
    """One thread a process: the models are tiny, and xdist's workers share the cores."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # A busy machine is no fault of the code: no example is failed for its time.
    settings.register_profile("house", deadline=None)
    settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: xdist's workers steal what is behind them, and end together."""
    longest = ("base", "browser")
    items.sort(key=lambda item: not any(item.get_closest_marker(name) for name in longest))


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are tested in English, whatever the locale and the test before."""
    monkeypatch.setenv("RENSHE_LANG", "en")
    language._spoken.set(None)


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """Only this machine can be reached: a test that goes further fails at once."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def check(own: socket.socket, address: Any) -> None:
        if own.family == socket.AF_UNIX:
            return
        host = str(address[0])
        if not (host in ("localhost", "::1", "0.0.0.0", "::") or host.startswith("127.")):
            raise RuntimeError(f"a test tried to reach the network: {address}")

    def guarded(own: socket.socket, address: Any) -> None:
        check(own, address)
        connect(own, address)

    def guarded_ex(own: socket.socket, address: Any) -> int:
        check(own, address)
        return connect_ex(own, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        patch.setattr(socket.socket, "connect_ex", guarded_ex)
        yield


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for converted bases."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("RENSHE_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Gemma 3 folder without chat template; two of its three layers see 16 tokens back."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    folder = tmp_path_factory.mktemp("bases") / "gemma"
    tokenizer = byte_tokenizer(pad="<pad>", eos="<eos>", bos="<bos>")
    tokenizer.save_pretrained(folder)
    config = Gemma3TextConfig(
        **_sizes(len(tokenizer)),
        num_hidden_layers=3,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        sliding_window=16,
        query_pre_attn_scalar=16,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    _save_random(Gemma3ForCausalLM, config, folder)
    return folder


@pytest.fixture(scope="session")
def llama_base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama folder with a chat template; every layer sees everything."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("bases") / "llama"
    tokenizer = byte_tokenizer(
        pad="<|endoftext|>", eos="<|im_end|>", bos="<|im_start|>", template=CHATML
    )
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        **_sizes(len(tokenizer)),
        num_hidden_layers=2,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
        tie_word_embeddings=False,
    )
    _save_random(LlamaForCausalLM, config, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_base(tiny_base_folder: Path) -> Any:
    """The Gemma folder as users load it: frozen, int8, plain chat format."""
    return _loaded(tiny_base_folder, 8)


@pytest.fixture(scope="session")
def dense_base(tiny_base_folder: Path) -> Any:
    """The Gemma folder with its weights as they are."""
    return _loaded(tiny_base_folder, None)


@pytest.fixture(scope="session")
def llama_base(llama_base_folder: Path) -> Any:
    """The Llama folder with its weights as they are, jinja chat format."""
    return _loaded(llama_base_folder, None)


def byte_tokenizer(*, pad: str, eos: str, bos: str, template: str | None = None) -> Any:
    """Return a byte-level BPE tokenizer of about 400 words: it encodes any text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[pad, eos, bos],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    # As Gemma's: whoever asks for special tokens gets one in front.
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, eos_token=eos, bos_token=bos
    )
    fast.chat_template = template
    return fast


def _sizes(vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 512,
        # Large enough that attention is far from even, so that a wrong mask shows.
        "initializer_range": 0.2,
    }


def _save_random(kind: Any, config: Any, folder: Path) -> None:
    import torch

    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = kind(config)
        # Small embeddings, so that a net with tied ones does not just say its input again.
        network.get_input_embeddings().weight.data.mul_(0.3)
        network.save_pretrained(folder)


def _loaded(folder: Path, bits: Any) -> Any:
    from trainer.model import load_base

    return load_base(str(folder), bits=bits, device="cpu")


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests (``pytest.mark.anyio``) run on asyncio, as the bot does."""
    return "asyncio"
