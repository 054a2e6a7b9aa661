"""benchmarks/generation with a tiny random model: the code that made the committed samples. Only where torch is."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_greencode.samples import read_samples

torch = pytest.importorskip("torch", reason="needs torch and transformers")
transformers = pytest.importorskip("transformers", reason="needs torch and transformers")
tokenizers = pytest.importorskip("tokenizers", reason="needs torch and transformers")

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "generation" / "run.py"


@pytest.fixture(scope="module")
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generation_run", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers of random weights, and a tokenizer of single bytes."""
    directory = tmp_path_factory.mktemp("tiny")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(["<pad>", "<eos>", *alphabet])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>"
    ).save_pretrained(directory)
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=4096,
        pad_token_id=0,
        eos_token_id=1,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(directory)
    return directory


def generator(run: ModuleType, directory: Path, **more: Any) -> Any:
    return run.Generator.load(directory, "float32", **{"temperature": 0.0, "max_new_tokens": 12, "threads": 1} | more)


def test_a_batch_writes_what_each_prompt_alone_would(run: ModuleType, tiny: Path) -> None:
    """Padding, shared prompts and rows that leave early change nothing."""
    found = generator(run, tiny)
    prompts = ["def f(x):\n", "def a_longer_name(x, y):\n    return", "x"]
    replies = list(found.complete(prompts, 2))
    for place, prompt in enumerate(prompts):
        inputs = found.tokenizer([prompt], return_tensors="pt")
        output = found.model.generate(**inputs, do_sample=False, max_new_tokens=12)
        tokens = output[0][inputs.input_ids.shape[1] :].tolist()
        alone = run._cut(found.tokenizer.decode(tokens, skip_special_tokens=True))[0]
        text, usage, _ = replies[2 * place]
        assert (text, usage) == replies[2 * place + 1][:2]
        assert text == alone
        assert usage["prompt_tokens"] == len(prompt)


def test_a_stop_ends_a_row_and_is_cut_off(run: ModuleType, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = generator(run, tiny)
    [(text, usage, reason)] = list(found.complete(["def f():"], 1))
    assert (usage["completion_tokens"], reason) == (12, "length")
    monkeypatch.setattr(run, "STOPS", (text[3:5],))
    [(shorter, usage, reason)] = list(found.complete(["def f():"], 1))
    assert (shorter, reason) == (text[: text.find(text[3:5])], "stop")
    assert usage["completion_tokens"] == text.find(text[3:5]) + 2


def test_a_run_has_the_energy_of_every_sample_and_goes_on(
    run: ModuleType, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "tiny.jsonl"
    arguments = [str(tiny), "--dtype", "float32", "-n", "2", "--batch", "4", "--max-new-tokens", "6", "--estimate"]
    assert run.main([*arguments, "--tasks", "3", "--output", str(output)]) == 0
    samples = read_samples(output, None)
    assert len(samples) == 6
    told = float(capsys.readouterr().out.split()[-2])
    energies = [sample.generation.energy_j if sample.generation else None for sample in samples]
    assert None not in energies
    assert math.fsum(filter(None, energies)) == pytest.approx(told, abs=0.6)
    assert {sample.generation.batch_size for sample in samples if sample.generation} == {4, 2}
    assert run.main([*arguments, "--tasks", "4", "--output", str(output)]) == 0
    assert [sample.sample_id for sample in read_samples(output, None)] == [0, 1] * 4
