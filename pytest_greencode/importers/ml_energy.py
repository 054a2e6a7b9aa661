"""ML.ENERGY: results of its benchmark, request by request, and rows of its leaderboard, means over requests."""

from __future__ import annotations

from ..model import Generation, Method
from .entries import Entry, Fields, documents

READS_RESULTS = (
    "results[].energy (J), .prompt, .output_text, .input_len, .output_len, .latency (s), .error; "
    "steady_state_energy_per_token (J), gpu_model, num_gpus, max_num_seqs, model_id"
)
READS_LEADERBOARD = (
    'version 2: "Energy/req (J)", "Avg Output Tokens", Model, GPU, TP, PP, "Max BS (reqs)"; version 3: '
    "configurations[].energy_per_request_joules, .energy_per_token_joules, .model_id, .gpu_model, .num_gpus, "
    ".max_num_seqs. A mean for each sample of the model, by its tokens where the sample has them"
)


def parse_results(text: str, path: str) -> list[Entry]:
    """An entry for each request of a `results.json`. Raises FileFormatError."""
    return [entry for run in documents(text, path) for entry in _requests(run)]


def _requests(run: Fields) -> list[Entry]:
    per_token = run.amount("steady_state_energy_per_token")
    results = run.children("results")
    if per_token is None or not results:
        raise run.problem(
            "results", "ML.ENERGY's results.json: results and steady_state_energy_per_token", "no such thing"
        )
    return [_request(run, result, per_token) for result in results]


def _request(run: Fields, result: Fields, per_token: float) -> Entry:
    tokens = result.count("output_len")
    if tokens is None:
        raise result.problem("output_len", "a number of tokens", "nothing")
    energy_j = result.amount("energy")
    if energy_j is None:
        energy_j = per_token * tokens
    elif abs(energy_j - per_token * tokens) > 1e-6 * max(energy_j, per_token * tokens):
        raise result.problem(
            "energy",
            "steady_state_energy_per_token * output_len J, as the benchmark writes it",
            f"{energy_j:g} J for {tokens} tokens at {per_token:g} J",
        )
    return result.entry(
        Generation(
            energy_j=energy_j,
            energy_method=Method.ATTRIBUTED,
            energy_scope="gpu",
            source=f"ML.ENERGY benchmark, {per_token:.4g} J per output token in the steady state",
            duration_s=result.amount("latency"),
            prompt_tokens=result.count("input_len"),
            completion_tokens=tokens,
            batch_size=run.count("max_num_seqs"),
            gpu_model=run.text("gpu_model"),
            gpu_count=run.count("num_gpus"),
        ),
        model=run.text("model_id"),
        prompt=result.text("prompt"),
        reply=result.values.get("output_text") if isinstance(result.values.get("output_text"), str) else None,
    )


def parse_leaderboard(text: str, path: str) -> list[Entry]:
    """An entry for each row. Raises FileFormatError."""
    return [entry for document in documents(text, path) for entry in _rows(document)]


def _rows(document: Fields) -> list[Entry]:
    if document.has("Energy/req (J)", "Model"):
        return [_version_2(document)]
    rows = document.children("configurations")
    if not rows:
        raise document.problem(
            None, 'a row of the leaderboard ("Model", "Energy/req (J)") or its configurations', "no such thing"
        )
    return [_version_3(row) for row in rows]


def _version_2(row: Fields) -> Entry:
    devices = [row.count("TP"), row.count("PP")]
    return _mean(
        row,
        row.required("Energy/req (J)", "an energy in J"),
        row.amount("Avg Output Tokens"),
        model=row.text("Model"),
        gpu_model=row.text("GPU"),
        gpu_count=None if None in devices else (devices[0] or 1) * (devices[1] or 1),
        batch_size=row.count("Max BS (reqs)"),
        version=2,
    )


def _version_3(row: Fields) -> Entry:
    energy_j = row.required("energy_per_request_joules", "an energy in J")
    per_token = row.amount("energy_per_token_joules")
    return _mean(
        row,
        energy_j,
        energy_j / per_token if per_token else row.amount("avg_output_len"),
        model=row.text("model_id"),
        gpu_model=row.text("gpu_model"),
        gpu_count=row.count("num_gpus"),
        batch_size=row.count("max_num_seqs"),
        version=3,
    )


def _mean(
    row: Fields,
    energy_j: float,
    tokens: float | None,
    *,
    model: str | None,
    gpu_model: str | None,
    gpu_count: int | None,
    batch_size: int | None,
    version: int,
) -> Entry:
    return row.entry(
        Generation(
            energy_j=energy_j,
            energy_method=Method.DECLARED,
            energy_scope="gpu",
            source=f"ML.ENERGY leaderboard v{version}, mean per request of {model}; not measured on this sample",
            batch_size=batch_size,
            gpu_model=gpu_model,
            gpu_count=gpu_count,
        ),
        model=model,
        per_request=True,
        j_per_token=energy_j / tokens if tokens else None,
    )
