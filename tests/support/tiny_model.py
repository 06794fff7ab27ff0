"""A language model that a test makes itself: half a megabyte of chance, in llama.cpp's format.

It knows a few words, says them in an order that its seed decides, and never comes to an end: what
it says is bounded by the tokens that it may say. Run as a program, it is served until stdin closes.

Source:
    The GGUF format, version 3: header, metadata, tensor table, then the tensors, each aligned.
"""

from __future__ import annotations

import json
import math
import random
import struct
import sys
from pathlib import Path
from typing import Final

_WIDTH: Final = 64
_LAYERS: Final = 2
_HEADS: Final = 2
_INNER: Final = 128
_ALIGN: Final = 32
_WORDS: Final = (
    *("▁the", "▁a", "▁river", "▁stone", "▁bird", "▁sings", "▁falls"),
    *("▁old", "▁green", "▁slowly", "▁and", "▁light", "▁over", "▁under"),
)
_Tensors = dict[str, tuple[tuple[int, ...], list[float]]]
_UINT32, _FLOAT32, _STRING, _ARRAY, _INT32 = 4, 6, 8, 9, 5
_TEMPLATE: Final = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: float | str | list[str] | list[float] | list[int]) -> bytes:
    match value:
        case int():
            return struct.pack("<II", _UINT32, value)
        case float():
            return struct.pack("<If", _FLOAT32, value)
        case str():
            return struct.pack("<I", _STRING) + _text(value)
        case [str(), *_]:
            body = b"".join(_text(str(one)) for one in value)
            return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + body
        case [float(), *_]:
            body = struct.pack(f"<{len(value)}f", *value)
            return struct.pack("<IIQ", _ARRAY, _FLOAT32, len(value)) + body
        case _:
            body = struct.pack(f"<{len(value)}i", *value)
            return struct.pack("<IIQ", _ARRAY, _INT32, len(value)) + body


def write(path: Path, *, context: int) -> None:
    """Write the model file; it was made to read `context` tokens at once."""
    chance = random.Random(7)  # noqa: S311 - the same words in every run
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *_WORDS]
    kinds = [2, 3, 3, *([6] * 256), *([1] * len(_WORDS))]
    metadata: dict[str, int | float | str | list[str] | list[float] | list[int]] = {
        "general.architecture": "llama",
        "general.name": "tiny",
        "llama.context_length": context,
        "llama.embedding_length": _WIDTH,
        "llama.block_count": _LAYERS,
        "llama.feed_forward_length": _INNER,
        "llama.attention.head_count": _HEADS,
        "llama.attention.head_count_kv": _HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": _WIDTH // _HEADS,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * len(tokens),
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.chat_template": _TEMPLATE,
    }
    tensors = _tensors(len(tokens), chance)
    table, data = b"", b""
    for name, (shape, values) in tensors.items():
        table += _text(name) + struct.pack("<I", len(shape))
        table += b"".join(struct.pack("<Q", size) for size in shape)
        table += struct.pack("<IQ", 0, len(data))
        data += struct.pack(f"<{len(values)}f", *values)
        data += b"\0" * (-len(data) % _ALIGN)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(_text(name) + _value(value) for name, value in metadata.items()) + table
    path.write_bytes(head + b"\0" * (-len(head) % _ALIGN) + data)


def _tensors(vocabulary: int, chance: random.Random) -> _Tensors:
    def some(columns: int, rows: int) -> tuple[tuple[int, ...], list[float]]:
        scale = 1 / math.sqrt(columns)
        return (columns, rows), [chance.gauss(0, scale) for _ in range(columns * rows)]

    ones = ((_WIDTH,), [1.0] * _WIDTH)
    words = [chance.gauss(0, 1.0) for _ in range(_WIDTH * len(_WORDS))]
    silent = [0.0] * (_WIDTH * (vocabulary - len(_WORDS)))
    found = {
        "token_embd.weight": some(_WIDTH, vocabulary),
        "output_norm.weight": ones,
        # Words only: no byte, and never the end.
        "output.weight": ((_WIDTH, vocabulary), silent + words),
    }
    for layer in range(_LAYERS):
        found |= {
            f"blk.{layer}.attn_norm.weight": ones,
            f"blk.{layer}.ffn_norm.weight": ones,
            f"blk.{layer}.ffn_gate.weight": some(_WIDTH, _INNER),
            f"blk.{layer}.ffn_up.weight": some(_WIDTH, _INNER),
            f"blk.{layer}.ffn_down.weight": some(_INNER, _WIDTH),
        }
        found |= {
            f"blk.{layer}.attn_{part}.weight": some(_WIDTH, _WIDTH)
            for part in ("q", "k", "v", "output")
        }
    return found


def _serve(path: str, context: int) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx = context
    params.n_parallel = 2
    params.warmup = False
    params.endpoint_metrics = True
    params.endpoint_slots = True
    params.port = 0
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    print(json.dumps({"url": server.listening_address}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
