"""A model's reply, reduced to its code. Pure; nothing of the reply is ever executed.

A reply that already works as it stands is left alone, byte for byte: scores stay comparable with harnesses that
extract nothing. Otherwise candidates are made in order of preference, and the first that compiles and defines the
entry function wins. Time is linear in the length of the reply: regular expressions never overlap, and how often a
text is compiled is bounded by the constants below, whatever the reply holds.
"""

from __future__ import annotations

import ast
import builtins
import functools
import json
import keyword
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

# Bounds on the work for one reply. What lies beyond them is no answer to a task of one function.
_BLOCKS: Final = 20  # fenced blocks that are looked at, from the last
_CHUNKS: Final = 5_000  # top-level statements
_BODY_CHARACTERS: Final = 20_000
_ESCAPED_CHARACTERS: Final = 100_000
_CUTS: Final = 4  # times an unfinished tail is shortened


class Extracted(Struct, frozen=True):
    """`code` is a whole program, or else a completion to append to the prompt; `rule` names how it was found."""

    code: str
    is_program: bool
    rule: str


def extract(text: str, prompt: str, entry_points: Sequence[str]) -> Extracted:
    """Reduce `text` to the code that defines `entry_points`.

    Never raises. Rule "as-is": `text` is returned unchanged because it works so. Rule "none": nothing was found, and
    `text` is returned unchanged as a completion.
    """
    with warnings.catch_warnings():
        # The compiler warns of a reply's "\d" or `x is 1`; under `-W error` the warning would become a syntax error.
        warnings.simplefilter("ignore")
        task = _read_task(prompt, tuple(entry_points))
        return _as_is(text, task) or next(_candidates(text, task), Extracted(text, False, "none"))


# --- the task ---------------------------------------------------------------------------------------------------


class _Task(Struct, frozen=True):
    """What a prompt asks for. `stub` tells a prompt that ends in an unfinished function from one of mere prose."""

    prompt: str
    names: tuple[str, ...]
    entry: str
    stub: bool
    prefix: str
    prefix_names: frozenset[str]
    indent: str = "    "


@functools.lru_cache(maxsize=1024)
def _read_task(prompt: str, names: tuple[str, ...]) -> _Task:
    tree = _parse(prompt) or _parse(prompt.rstrip() + "\n    pass\n")
    last = tree.body[-1] if tree and tree.body else None
    if isinstance(last, ast.FunctionDef) and last.name in names:
        first_line = min([last.lineno, *(decorator.lineno for decorator in last.decorator_list)])
        prefix = "".join(prompt.splitlines(keepends=True)[: first_line - 1])
        indent = " " * last.body[0].col_offset if last.body[0].lineno > last.lineno else "    "
        return _Task(prompt, names, last.name, True, prefix, _names_bound(prefix), indent)
    entry = names[0] if names else ""
    return _Task(prompt, names, entry, False, prompt if tree else "", _names_bound(prompt))


def _names_bound(source: str) -> frozenset[str]:
    tree = _parse(source)
    return frozenset(_bindings(tree)) if tree else frozenset()


# --- what compiles, and what it defines -------------------------------------------------------------------------


def _fault_line(source: str) -> int | None:
    """The line at which `source` does not compile, 0 if that is unknown, None if it compiles."""
    try:
        # Text is compiled before it becomes a tree: this refuses what nests too deep for the tree's own recursion.
        compile(source, "<reply>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return error.lineno or 0
    except (ValueError, RecursionError, MemoryError, OverflowError, SystemError):
        return 0
    return None


def _parse(source: str) -> ast.Module | None:
    if _fault_line(source) is not None:
        return None
    try:
        return ast.parse(source)
    except (RecursionError, MemoryError):
        return None


def _bindings(tree: ast.Module) -> dict[str, ast.stmt]:
    """Every name bound at module level, with the last statement that binds it."""
    bound: dict[str, ast.stmt] = {}
    for node in _module_level(tree.body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound[node.name] = node
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound.update((alias.asname or alias.name.split(".")[0], node) for alias in node.names)
        elif isinstance(node, ast.Assign) or (isinstance(node, ast.AnnAssign) and node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            parts = (part for target in targets for part in ast.walk(target))
            bound.update((p.id, node) for p in parts if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store))
    return bound


def _module_level(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements in order, with those inside `if`, `try`, `with`, `match` and loops."""
    pending: list[ast.AST] = list(reversed(body))
    while pending:
        node = pending.pop()
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inner = [
                n for n in ast.iter_child_nodes(node) if isinstance(n, (ast.stmt, ast.ExceptHandler, ast.match_case))
            ]
            pending.extend(reversed(inner))


def _is_definition(node: ast.stmt | None) -> bool:
    """Whether `node` gives its name a meaning: no import of it, and no function that is still only a docstring."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return not all(
            isinstance(inner, ast.Pass) or (isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant))
            for inner in node.body
        )
    return isinstance(node, (ast.ClassDef, ast.Assign, ast.AnnAssign))


def _returns(function: ast.FunctionDef) -> bool:
    """Whether `function` itself (no function inside it) returns or yields."""
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Return, ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            pending.extend(ast.iter_child_nodes(node))
    return False


def _class_with_method(tree: ast.Module, name: str) -> str | None:
    for node in reversed(tree.body):
        if isinstance(node, ast.ClassDef) and any(
            isinstance(inner, ast.FunctionDef) and inner.name == name and _is_definition(inner) for inner in node.body
        ):
            return node.name
    return None


# --- candidates, in order of preference -------------------------------------------------------------------------


def _as_is(text: str, task: _Task) -> Extracted | None:
    if task.stub or task.prefix_names:
        if _fault_line(task.prompt + text) is not None:
            return None
        return _lone_method(text, task) or Extracted(text, False, "as-is")
    tree = _parse(text)
    if tree is None or not _bindings(tree).keys() >= set(task.names):
        return None
    return Extracted(text, True, "as-is")


def _lone_method(text: str, task: _Task) -> Extracted | None:
    """The one exception to "as-is": the stub is still empty, and the answer is a method of a class after it."""
    if "class " not in text or f"def {task.entry}" not in text:
        return None
    tree = _parse(task.prompt + text)
    if tree is None or _is_definition(_bindings(tree).get(task.entry)):
        return None
    return next(_program(text, task, "method"), None)


def _candidates(text: str, task: _Task) -> Iterator[Extracted]:
    plain = _normalised(text)
    readings = [("", plain), *_decoded(plain)]
    # Something whole, in any reading, comes before fragments: a fragment may have lost what it needs.
    for candidates in (_whole, _fragments):
        for rule, reading in readings:
            for found in candidates(reading, task):
                yield replace(found, rule=rule or found.rule)


def _whole(text: str, task: _Task) -> Iterator[Extracted]:
    yield from _program(text, task, "program")
    yield from _from_blocks(_fenced(text)[1], task)
    for unquoted in _unquoted(text):
        yield from _program(unquoted, task, "unquoted")


def _fragments(text: str, task: _Task) -> Iterator[Extracted]:
    head, blocks = _fenced(text)
    if blocks:
        yield from _bodies(head, task)
    for block in reversed(blocks[-3:]):
        for found in _from_fragment(block, task):
            yield replace(found, rule="block")
    yield from _from_fragment(text, task)


def _from_fragment(text: str, task: _Task) -> Iterator[Extracted]:
    """Code that stands among prose or is less than a program."""
    yield from _program("".join(_statements(text)), task, "span")
    yield from _repeated_prompt(text, task)
    yield from _bodies(text, task)


def _program(source: str, task: _Task, rule: str) -> Iterator[Extracted]:
    """`source` as a whole program, after whatever of the prompt it relies on, if it is one."""
    tree = _parse(source) if task.entry in source else None
    if tree is None:
        return
    bound = _bindings(tree)
    if not _is_definition(bound.get(task.entry)):
        holder = _class_with_method(tree, task.entry)
        if holder is None:
            return
        source, rule = f"{source.rstrip()}\n\n\n{task.entry} = {holder}().{task.entry}\n", "method"
    if not task.prefix_names <= bound.keys() and _fault_line(task.prefix + source) is None:
        source = task.prefix + source
    if {task.entry, *bound, *task.prefix_names}.issuperset(task.names):
        yield Extracted(source, True, rule)


def _from_blocks(blocks: Sequence[str], task: _Task) -> Iterator[Extracted]:
    """The last block that defines the entry function: models draft first and answer last."""
    considered = blocks[-_BLOCKS:]
    for index in reversed(range(len(considered))):
        for found in _program(considered[index], task, "block"):
            yield _with_helpers(found, [*considered[:index], *considered[index + 1 :]])


def _with_helpers(found: Extracted, others: Sequence[str]) -> Extracted:
    """`found` after the definitions of other blocks, where it uses names that only they define."""
    missing = _names_missing(found.code)
    helpers = [block for block in others if missing & _names_bound(block)] if missing else []
    code = "\n".join([*("".join(_statements(block)) for block in helpers), found.code])
    return replace(found, code=code) if _fault_line(code) is None else found


def _names_missing(source: str) -> set[str]:
    """Names that `source` uses and binds nowhere."""
    tree = _parse(source)
    if tree is None:
        return set()
    used: set[str] = set()
    bound = set(dir(builtins))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.alias):
            bound.add(node.asname or node.name.split(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return used - bound


def _repeated_prompt(text: str, task: _Task) -> Iterator[Extracted]:
    """The prompt again, its docstring out of line: the docstring goes, what follows it is the body."""
    if not task.stub or len(text) > _BODY_CHARACTERS:
        return
    before, define, function = text.rpartition(f"def {task.entry}(")
    if not define:
        before, function = "", text
    signature, quotes, rest = _partition_at_quotes(function)
    _, closed, body = rest.partition(quotes) if quotes else ("", "", "")
    signature = define + signature.rstrip()
    if not closed or (signature and not (define and signature.endswith(":"))):
        return
    if signature:
        opened = "".join(_statements(before)) + signature + "\n"
        for found in _bodies(body, replace(task, prompt=opened)):
            yield from _program(opened + found.code, task, "repeated-prompt")
    for found in _bodies(body, task):
        yield replace(found, rule="repeated-prompt")


def _partition_at_quotes(text: str) -> tuple[str, str, str]:
    double, single = text.partition('"""'), text.partition("'''")
    return double if len(double[0]) < len(single[0]) else single


def _bodies(text: str, task: _Task) -> Iterator[Extracted]:
    """The body alone, in whatever indentation, with prose before it and prose or an unfinished tail after it."""
    if not task.stub or len(text) > _BODY_CHARACTERS:
        return
    text = _between_prose(text)
    if "return" not in text and "yield" not in text:
        return
    for cuts in (0, _CUTS):
        for layout in _layouts(text, task.indent):
            code = _compiled_body(layout, task, cuts)
            if code:
                yield Extracted(code, False, "body")


def _layouts(text: str, indent: str) -> Iterator[str]:
    yield text
    text = re.sub(r"(?m)^[ \t]+", lambda spaces: spaces.group().replace("\t", indent), text)
    yield textwrap.indent(textwrap.dedent(text), indent)
    # The model went on in the prompt's last line: only the first line lacks its indentation.
    first, _, rest = text.partition("\n")
    first = indent + first.strip() + "\n"
    yield first + rest
    yield first + textwrap.indent(textwrap.dedent(rest), indent)


def _compiled_body(layout: str, task: _Task, cuts: int) -> str | None:
    """`layout` as the body of the prompt's function, cut where it stops compiling, at most `cuts` times."""
    prompt_lines = task.prompt.count("\n")
    code = layout
    for _ in range(cuts + 1):
        fault = _fault_line(task.prompt + code)
        if fault is None:
            break
        code = "".join(_with_ends(code)[: max(fault - 1 - prompt_lines, 0)])
    tree = _parse(task.prompt + code)
    function = _bindings(tree).get(task.entry) if tree else None
    if tree is None or not isinstance(function, ast.FunctionDef) or function.lineno > prompt_lines:
        return None
    nested = any(isinstance(node, ast.FunctionDef) and node.name == task.entry for node in function.body)
    if nested or not _returns(function):
        return None
    # Cut inside the function, what is left is complete only if nothing could have followed.
    removed = next((line for line in _with_ends(layout)[code.count("\n") :] if line.strip()), "")
    inside = removed[:1].isspace() and function is tree.body[-1]
    return None if inside and not _leaves(function.body[-1]) else code


def _leaves(statement: ast.stmt) -> bool:
    """Whether control cannot go on after `statement`."""
    if isinstance(statement, ast.If):
        return bool(statement.orelse) and _leaves(statement.body[-1]) and _leaves(statement.orelse[-1])
    return isinstance(statement, (ast.Return, ast.Raise))


# --- the shapes of a reply --------------------------------------------------------------------------------------

_END_OF_TEXT: Final = re.compile(
    r"<\|(?:endoftext|im_end|eot_id|end)\|>|</s>|<EOT>|<\uff5cend\u2581of\u2581sentence\uff5c>"
)


def _normalised(text: str) -> str:
    """`text` without byte order mark and carriage returns, what precedes and follows the answer, and empty quotes."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    text = next((part for part in _END_OF_TEXT.split(text) if part.strip()), text)
    answer = text.rpartition("</think>")[2]
    text = answer if answer.strip() else text
    if re.match(r'\s*""(?!")', text):
        text = text.strip().removeprefix('""').removesuffix('""')
    return text


def _fenced(text: str) -> tuple[str, list[str]]:
    """The text before the first fence, and the fenced blocks; the last may lack its closing fence."""
    head: list[str] = []
    blocks: list[str] = []
    block: list[str] | None = None
    opened = ""
    for line in text.split("\n"):
        before, fence, label = _fence(line)
        if block is None:
            if not fence:
                if not blocks:
                    head.append(line)
                continue
            block, opened = [], fence
        elif fence.startswith(opened) and (not label or not before.strip()):
            block.append(before)
            blocks.append(textwrap.dedent("\n".join(block)).rstrip() + "\n")
            # A labelled fence opens a block, even where the one before was never closed.
            block, opened = ([], fence) if label else (None, "")
        else:
            block.append(line)
    if block is not None:
        blocks.append(textwrap.dedent("\n".join(block)).rstrip() + "\n")
    return "\n".join(head), blocks


def _fence(line: str) -> tuple[str, str, str]:
    """What stands before a fence in `line`, the fence, and its label; three empty strings where there is none."""
    for mark in ("`", "~"):
        before, found, after = line.partition(3 * mark)
        label = after.lstrip(mark)
        # Between words it is the prose that speaks of a fence.
        if found and mark not in label and not (before.strip() and " " in label.strip()):
            return before, found + mark * (len(after) - len(label)), label.strip()
    return "", "", ""


_ENTITIES: Final = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'", "#39": "'", "#x27": "'", "nbsp": " "}
_ENTITY: Final = re.compile(f"&({'|'.join(_ENTITIES)});")


def _decoded(text: str) -> Iterator[tuple[str, str]]:
    """Readings of a text that was escaped on its way, or typed into an interpreter; each with its rule."""
    if len(text) > _ESCAPED_CHARACTERS:
        return
    if "&" in text:
        yield "unescaped", _ENTITY.sub(lambda entity: _ENTITIES[entity[1]], text)
    if "\\n" in text:
        yield from (("unescaped", code) for code in _json_string(text))
    if '\\"' in text or "\\'" in text:
        yield "unescaped", re.sub(r"\\+([\"'])", r"\1", text)
    if "\\n" in text:
        control = {"n": "\n", "t": "\t", "r": ""}
        yield "unescaped", re.sub(r"\\+([ntr\"'])", lambda escape: control.get(escape[1], escape[1]), text)
    if ">>> " in text:
        lines = (line.lstrip() for line in text.split("\n"))
        session = [line[4:] for line in lines if line.startswith((">>> ", "... ")) or line.rstrip() == "..."]
        yield "transcript", "\n".join(session) + "\n"


def _json_string(text: str) -> Iterator[str]:
    """`text` as the inside of a string in JSON, of which only the end may be left."""
    quoted = '"' + text.strip().lstrip('"') + '"'
    try:
        code, end = json.JSONDecoder(strict=False).raw_decode(quoted)
    except ValueError:
        return
    if not quoted[end:].strip("\"'`}] \n"):
        yield code


def _unquoted(text: str) -> Iterator[str]:
    """`text` without the quotes and braces that a reply in JSON leaves around it."""
    if len(text) > _ESCAPED_CHARACTERS:
        return
    text = text.strip().lstrip("\"'`")
    for _ in range(8):
        yield text + "\n"
        if not text.endswith(('"', "'", "`", "}", "]")):
            return
        text = text[:-1].rstrip()
    yield text.rstrip("\"'`}] \n") + "\n"


# --- code among prose -------------------------------------------------------------------------------------------

# Strings and comments of one line. An open string runs to the end of its line, so that no position is read twice.
_TEXTUAL: Final = re.compile(r"\"\"\"|'''|\"[^\"\\]*(?:\\.[^\"\\]*)*\"?|'[^'\\]*(?:\\.[^'\\]*)*'?|#.*")
_RESERVED: Final = "|".join([*keyword.kwlist, "match", "case", "type"])
# The apostrophe of "here's": no string begins right after a letter, but for the prefixes of strings.
_APOSTROPHE: Final = re.compile(r"(?<=[^\W\d_])(?<!\b[bfruBFRU])'(?=(?:s|t|re|ll|ve|d|m)\b)")
# Two words in a row, neither a keyword: never Python, nearly always prose.
_TWO_WORDS: Final = re.compile(rf"\b(?!(?:{_RESERVED})\b)[^\W\d]\w*[ \t]+(?!(?:{_RESERVED})\b)[^\W\d]")
_MARKDOWN: Final = re.compile(r"```|~~~|[-*•] |\*\*|\d+[.)] |[A-Z]\w*[.!?:]$")
_GOES_ON: Final = re.compile(r"[)\]}#]|(?:elif|else|except|finally)\b")
_BEGINS: Final = re.compile(r"@|(?:async|class|def|for|from|if|import|try|while|with)\b|[^\W\d][\w.,\[\] ]*[:=(]")


def _lines(text: str) -> Iterator[tuple[str, bool, bool]]:
    """Each line with its end, whether it begins inside a triple-quoted string, and whether it is prose."""
    quote = ""
    for line in _with_ends(text):
        inside = bool(quote)
        yield line, inside, not inside and _is_prose(line)
        position = 0
        while True:
            if quote:
                position = line.find(quote, position)
                if position < 0:
                    break
                position, quote = position + 3, ""
            match = _TEXTUAL.search(line, position)
            if match is None:
                break
            position = match.end()
            if match.group() in ('"""', "'''"):
                quote = match.group()


def _with_ends(text: str) -> list[str]:
    """The lines of `text` as the compiler counts them, each with its end."""
    return [line + "\n" for line in text.split("\n")]


def _is_prose(line: str) -> bool:
    return bool(_MARKDOWN.match(line.strip()) or _TWO_WORDS.search(_TEXTUAL.sub("''", _APOSTROPHE.sub("", line))))


def _between_prose(text: str) -> str:
    """`text` without the prose before its first line of code, up to where prose follows that code."""
    kept: list[str] = []
    for line, _, prose in _lines(text):
        if prose and kept:
            # A bad line within code is no prose: to end the code there would make something else of it.
            apart = kept[0][0].isspace() or not kept[-1].strip() or line.startswith(("```", "~~~"))
            if apart and not line[0].isspace():
                break
        if kept or (line.strip() and not prose):
            kept.append(line)
    return "".join(kept)


def _statements(text: str) -> Iterator[str]:
    """The top-level statements of `text` that define something; prose, examples and an unfinished tail are left out."""
    for chunk in islice(_chunks(text), _CHUNKS):
        if _BEGINS.match(chunk.lstrip()):
            source = textwrap.dedent(chunk).rstrip() + "\n"
            tree = _parse(source)
            if tree and all(_defines(node) for node in tree.body):
                yield source


def _chunks(text: str) -> Iterator[str]:
    """Runs of lines, each a statement at column 0 with all that belongs to it, or a run of indented lines."""
    chunk: list[str] = []
    decorated = False
    for line, inside, prose in _lines(text):
        at_margin = not inside and not line[0].isspace()
        if prose and (at_margin or not chunk):
            if chunk:
                yield "".join(chunk)
            chunk = []
            continue
        if at_margin and chunk and not decorated and not _GOES_ON.match(line):
            yield "".join(chunk)
            chunk = []
        if chunk or line.strip():
            chunk.append(line)
        if line.strip():
            decorated = not inside and line.startswith("@")
    if chunk:
        yield "".join(chunk)


def _defines(node: ast.stmt) -> bool:
    """Whether a top-level statement can matter to a function: a bare `print(...)` or `assert` is an example."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute)
    if isinstance(node, ast.AnnAssign):
        return node.value is not None
    return not isinstance(node, ast.Assert)
