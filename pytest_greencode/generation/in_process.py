"""A Hugging Face model in this process: batches, and no server to be set up. Needs `torch` and `transformers`."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UsageProblem
from .backend import Prompt, Reply, RequestFailed, before
from .usage import Usage

# Our settings are those of servers; what `generate` calls them.
_NAMES = {"max_tokens": "max_new_tokens", "temperature": "temperature", "top_p": "top_p", "top_k": "top_k",
          "min_p": "min_p", "repetition_penalty": "repetition_penalty"}  # fmt: skip


class TransformersBackend:
    """A causal language model by its name or path, loaded now. One batch at a time.

    `dtype`: "auto", "float32", "bfloat16" ...; `device`: "cpu", "cuda" ..., None for a GPU if there is one. Raises
    UsageProblem for packages and models that are not there.
    """

    def __init__(self, name: str, *, model: str | None = None, dtype: str = "auto", device: str | None = None) -> None:
        try:
            self._torch: Any = importlib.import_module("torch")
            transformers: Any = importlib.import_module("transformers")
        except ImportError as missing:
            raise UsageProblem(
                f"a model in this process needs torch and transformers ({missing}): pip install torch transformers"
            ) from None
        if dtype != "auto" and not isinstance(getattr(self._torch, dtype, None), self._torch.dtype):
            raise UsageProblem(f"no dtype {dtype!r} in torch; expected one such as float32, bfloat16 or float16")
        self._one_at_a_time = threading.Lock()
        self.model = model or name.rstrip("/").rpartition("/")[2]
        self._device = device or ("cuda" if self._torch.cuda.is_available() else "cpu")
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(name, padding_side="left")
            self._model = transformers.AutoModelForCausalLM.from_pretrained(name, dtype=dtype).to(self._device).eval()
        except (OSError, ValueError) as error:
            raise UsageProblem(f"the model {name}: {str(error).splitlines()[0]}") from error
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token

    def answers(self, prompts: Sequence[Prompt], settings: Mapping[str, Any], seed: int | None) -> list[Reply]:
        """As `backend.Backend`: all prompts in one batch. The seed makes a batch's answers again, not each alone."""
        unknown = sorted(settings.keys() - _NAMES.keys() - {"stop"})
        if unknown:
            raise UsageProblem(
                f"a model in this process has no setting {', '.join(unknown)}; it knows {', '.join(_NAMES)}"
            )
        stops = tuple(settings.get("stop") or ())
        options = {_NAMES[name]: value for name, value in settings.items() if name != "stop"}
        # A temperature of 0 stands for the likeliest token, which `generate` asks for in another way.
        options["do_sample"] = options.get("temperature") != 0
        if not options["do_sample"]:
            options = {name: value for name, value in options.items() if name not in ("temperature", "top_p", "top_k")}
        if stops:
            options |= {"stop_strings": list(stops), "tokenizer": self._tokenizer}
        inputs = self._tokenizer([self._text(prompt) for prompt in prompts], return_tensors="pt", padding=True,
                                 add_special_tokens=prompts[0].chat is None).to(self._device)  # fmt: skip
        try:
            with self._one_at_a_time, self._torch.inference_mode():
                if seed is not None:
                    self._torch.manual_seed(seed)
                made = self._model.generate(**inputs, pad_token_id=self._tokenizer.pad_token_id, **options)
        except RuntimeError as error:  # out of memory, among others
            raise RequestFailed(str(error).partition("\n")[0], again=False) from error
        length = inputs["input_ids"].shape[1]
        asked = [int(each) for each in inputs["attention_mask"].sum(dim=1)]
        rows = [row[length:].tolist() for row in made]
        return [
            self._reply(row, count, stops, settings.get("max_tokens")) for row, count in zip(rows, asked, strict=True)
        ]

    def _text(self, prompt: Prompt) -> str:
        if prompt.chat is None:
            return prompt.text
        if self._tokenizer.chat_template is None:
            raise UsageProblem(
                f"{self.model} is no chat model (it has no chat template); ask it with --prompt completion"
            )
        return str(self._tokenizer.apply_chat_template(list(prompt.chat), tokenize=False, add_generation_prompt=True))

    def _reply(self, tokens: list[int], asked: int, stops: tuple[str, ...], most: int | None) -> Reply:
        """Tokens up to the first that ends a text; what a batch is filled up with is nobody's."""
        ends = self._model.generation_config.eos_token_id
        # A row that a stop string has ended is filled up too, with padding.
        ends = {self._tokenizer.pad_token_id, *([ends] if isinstance(ends, int) else ends or ())}
        count = next((index + 1 for index, token in enumerate(tokens) if token in ends), len(tokens))
        text = self._tokenizer.decode(tokens[:count], skip_special_tokens=True)
        whole, text = text, before(text, stops)
        cut = most is not None and count >= most and text == whole and not (tokens and tokens[count - 1] in ends)
        usage = Usage(prompt_tokens=asked, completion_tokens=count)
        return Reply(text=text, usage=usage, finish_reason="length" if cut else "stop")

    def close(self) -> None:
        """A batch that is under way goes on to its end."""
