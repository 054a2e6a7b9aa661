"""How a task is put to a model. Pure: a task and a style give a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ..errors import UsageProblem
from ..model import Task
from ..repository import Repository, is_protected
from .backend import Prompt

COMPLETION = "completion"
# What a chat model is told before the task, by style: to compare short prompts with long ones.
_INSTRUCTIONS: Final = {
    "short": "Python code only:",
    "chat": "Solve this task in Python. Answer with the whole program in one code block.",
    "long": """\
You are an experienced Python programmer, and your code will be run against tests that you do not see.
Solve the task below. Work through these points before you answer:
1. Which inputs are allowed, and which are the edge cases: empty, one element, negative, zero, repeated, very large?
2. What exactly is returned, of what type, and in what order?
3. Which algorithm is right for all of them, and simple? Prefer the standard library.
Then write the whole program: the imports it needs, and every function that the task names, under that very name and
with its parameters. Do not read input, print anything, write tests or add examples of use. Do not explain the code.
Answer with nothing but that program, in one code block.""",
}
STYLES: Final = (COMPLETION, *_INSTRUCTIONS)

# Where a function's body is over: the stop sequences of Chen et al. 2021 ("Evaluating Large Language Models Trained on
# Code", section 2.2), but for the fifth, a comment, as servers take four.
BODY_ENDS: Final = ("\nclass", "\ndef", "\nif", "\nprint")

# Of a repository a model is shown no more than this; of the rest it has the names.
MAX_SHOWN_CHARACTERS: Final = 24_000


def prompt_for(task: Task, style: str) -> Prompt:
    """The task in a style of STYLES. Raises UsageProblem for a task that has nothing to be asked."""
    if not task.prompt and not task.statement:
        raise UsageProblem(
            f"{task.suite} {task.task_id}: expected a prompt, or a text and test_list, found neither: nothing to ask"
        )
    if task.repository is not None:
        return _of_repository(task, task.repository, style)
    if style == COMPLETION:
        return Prompt(text=task.prompt or f'"""\n{task.statement}\n"""\n')
    return Prompt(chat=({"role": "user", "content": f"{_INSTRUCTIONS[style]}\n\n{_stated(task)}"},))


def stops_for(task: Task, style: str) -> tuple[str, ...]:
    """Where to stop a completion unless told otherwise: at the end of a function that its prompt has begun."""
    return BODY_ENDS if style == COMPLETION and task.prompt and task.repository is None else ()


def repair_prompt(task: Task, style: str, tries: Sequence[tuple[str, str]]) -> Prompt:
    """The task again, with what was answered before and what came of it: (answer, message of the failed test)."""
    first = prompt_for(task, style)
    if first.chat is None:
        failed = "".join(f"# Wrong: {message}\n{_commented(answer)}\n" for answer, message in tries)
        return Prompt(text=f"{failed}# Right:\n{first.text}")
    messages: list[Mapping[str, str]] = list(first.chat)
    for answer, message in tries:
        what = "program" if task.repository is None else "answer"
        asked = f"That {what} does not pass the tests: {message}\nMend it, and answer with the whole {what} again."
        messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": asked}]
    return Prompt(chat=tuple(messages))


def _of_repository(task: Task, repository: Repository, style: str) -> Prompt:
    """What a repository's task asks for is a file's text or a patch, whatever the style says of programs."""
    if style == COMPLETION:
        if repository.entry is None:
            raise UsageProblem(
                f"{task.suite} {task.task_id}: asks for a patch, which nobody completes; expected a style of chat: "
                f"{', '.join(_INSTRUCTIONS)}"
            )
        return Prompt(text=f'"""\n{task.prompt.strip()}\n"""\n')
    if repository.entry is None:
        answer = "Answer with nothing but a unified diff over the repository, in one code block."
    else:
        answer = f"Answer with nothing but the whole text of {repository.entry}, in one code block."
    words = f"{task.prompt.strip()}\n\n{_shown(repository)}\n\n{answer}"
    return Prompt(chat=({"role": "user", "content": words},))


def _shown(repository: Repository) -> str:
    """Its modules, but neither tests nor the file that is asked for, which may be its own solution."""
    told, left, names = [], MAX_SHOWN_CHARACTERS, []
    for path, content in sorted(repository.files.items()):
        hidden = path == repository.entry or is_protected(path, repository.tests, repository.protect)
        if hidden or not path.endswith(".py"):
            continue
        text = content.decode("utf-8", "replace")
        if len(text) <= left:
            told.append(f"{path}:\n```python\n{text.rstrip()}\n```")
            left -= len(text)
        else:
            names.append(path)
    if names:
        told.append(f"Not shown: {', '.join(names)}")
    return "\n\n".join(["The repository has:" if told else "The repository has no other module.", *told])


def _stated(task: Task) -> str:
    if not task.prompt:
        return task.statement
    words = f"{task.statement}\n\n" if task.statement else ""
    return f"{words}```python\n{task.prompt.rstrip()}\n```"


def _commented(text: str) -> str:
    return "\n".join(f"#   {line}" for line in text.strip().splitlines())
