"""Why something is not known, or not so for sure, and by what a suggestion was made: a code and its values.

A reason is its English text, so that whoever only prints it need not care. It keeps its code and its values, so that
reports can say it in another language (`reports.texts.REASONS`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ENGLISH: Mapping[str, str] = {
    # Attempts and tasks.
    "no_finished": "no finished attempts",
    "none_accepted": "none accepted",
    "no_headline": "no headline",
    "energy_missing": "{part} energy missing for {count} of {attempts} attempts",
    "embodied_missing": "embodied carbon missing for {count} of {attempts} attempts",
    "grams_missing": "grams missing",
    "tasks_without_energy": "energy missing in {count} of {tasks} tasks",
    "task_too_short": "{k} attempts allowed, but {task} has {attempts}",
    "a_task_too_short": "{k} attempts allowed, but a task has {attempts}",
    "tasks_too_short": "{k} attempts allowed, but {count} of {tasks} tasks have fewer",
    "too_few_tasks": "too few tasks: {tasks}, an interval needs {least}",
    "needs_more_attempts": "needs more attempts of every task than the k allowed",
    "not_positive": "the cost is not positive",
    "too_wide": "too wide to say anything",
    "spans_everything": "the interval spans everything",
    "chain": "the attempts of a chain cannot be redrawn",
    # Tests of an ordinary suite.
    "tests_lost": "tests that died with their process: {count}; what they used is not known",
    "runs_without_energy": "no energy is known of some runs",
    "none_passed": "no test passed",
    "ran_once": "{count} of {passing} passing tests ran only once",
    "nothing_varied": "nothing varied",
    "other_tests": "not the same tests, or not the same of them passed",
    "machine_unknown": "the machine's embodied carbon is not known",
    # Comparisons; a and b are the two.
    "of": "{name}: {reason}",
    "different_suites": "different suites",
    "no_common_task": "no task in common",
    "no_task_of_all": "no task that all configurations have",
    "none_on_common": "none accepted on the tasks that all have",
    "broken_off": "has {own} of {common} tasks that at least half of the configurations have",
    "different_method": "a's energy of {part} is {a}, b's {b}",
    "counts_as_logged": "{name} is a chain of attempts and counts as logged",
    "different_hardware": "different hardware: a on {a}; b on {b}",
    "hardware_unknown": "the GPU of {which} is not recorded",
    "different_batches": "different batch sizes: a {a}, b {b} on average",
    "different_grids": "different grids or PUE: a {a}; b {b}",
    "different_machines": "different machines behind the embodied carbon of {part}: a {a}; b {b}",
    "different_times": "embodied carbon of {part}: a by {a}, b by {b}",
    # When to stop.
    "otherwise_missing": "the cost of solving it otherwise is missing for {count} of {tasks} tasks",
    "otherwise_cheaper": "solving a task otherwise costs less than trying",
    "beyond_margin": "the next attempts cost more than {limit} times R_1 per further task solved",
    "within_margin": "up to there a further task solved costs at most {limit} times R_1",
    "least_resolved": "least grams per task resolved, with {grams} for a task that is not solved",
    "solves_no_more": "more attempts solve no further task",
    "all_solved": "all tasks are solved by then",
    # Money, people and use.
    "no_price": "no price given",
    "no_records": "what the attempts used up was not given",
    "not_recorded": "not recorded",
    "resource_missing": "{resource} not recorded for {count} of {attempts} attempts",
    "not_given": "{name} not given",
    "not_given_for": "{name} not given for {task}",
    "emits_nothing": "a workstation that emits nothing",
    "not_known": "not known",
    "this_run": "this run",
    "no_one_off": "no one-off cost given",
    "item_without_cost": "one_off.{name}: neither energy_kwh nor co2e_g given",
    "harness_unknown": "what the harness or the hardware emitted is not known",
    "no_solutions": "no solution in a month",
    "no_ratio_interval": "no interval of the ratio",
    "quality_not_compared": "the quality was not compared",
    "no_usage": "no usage given",
    "no_usage_of_either": "no usage of either given",
    "money_at_other_k": "money is counted at other numbers of attempts than {k} (--attempts {k})",
    "no_accepted_share": "no share of accepted calls given",
    "no_rate": "neither a share of accepted calls nor pass@1 is known",
    "by_accepted_share": "share of accepted calls in use",
    "by_pass_1": "pass@1 of the benchmark",
    "by_statement": "stated",
}


class Reason(str):
    """The English text of a reason; `code` is one of `ENGLISH`, "" for several (the values then are theirs)."""

    code: str
    values: Mapping[str, object]

    def __new__(cls, code: str, /, **values: object) -> Reason:
        return cls._made(ENGLISH[code].format(**values), code, values)

    @classmethod
    def _made(cls, text: str, code: str, values: Mapping[str, object]) -> Reason:
        made = super().__new__(cls, text)
        made.code, made.values = code, values
        return made

    @classmethod
    def several(cls, reasons: Iterable[str | None]) -> Reason | None:
        """All there are, as one; None without any."""
        known = [reason for reason in reasons if reason]
        values = {str(number): reason for number, reason in enumerate(known)}
        return cls._made("; ".join(known), "", values) if known else None

    def __str__(self) -> str:
        return self  # not a copy that has forgotten its code

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (str.__str__(self), self.code, dict(self.values))


def _restored(text: str, code: str, values: Mapping[str, object]) -> Reason:
    return Reason._made(text, code, values)
