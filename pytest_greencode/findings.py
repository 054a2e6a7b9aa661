"""Which configuration to take: comparisons, economy and forecasts from an account, found once for all reports.

Pure. Reports only show what stands here, so that they cannot disagree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations, groupby

from msgspec import Struct
from msgspec.structs import replace

from .accounting import uncertain_parts
from .accounts import Account, ConfigurationAccount
from .carbon import S_PER_YEAR, RegionRow, region_sensitivity
from .comparison import (
    Cascades,
    Comparison,
    Effect,
    Escape,
    Front,
    Selection,
    Stopping,
    Taken,
    cascades,
    common_attempts,
    compare,
    effects,
    escape,
    front,
    select,
    stopping,
    taken,
)
from .comparison.pairs import Parts
from .comparison.policy import configuration_of
from .economics.assumptions import Assumptions
from .economics.economy import Economy, economy, unused
from .economics.expectation import Figure, paired_ratio, per_accepted
from .economics.forecast import MONTHS, Demand, Forecast, forecasts, logged_demands, stated_demand
from .economics.payback import Claim, OneOffCost, Payback, claim, one_off, payback, run_cost
from .economics.resources import key_of, uses
from .economics.usage import UsageLog
from .model import J_PER_KWH, AttemptRecord, Configuration, Machine
from .pricing import Pricing
from .reasons import Reason
from .uncertainty import Term

# Among more configurations, each is compared with the cheapest only.
MOST_PAIRED = 6
# Cascades are sought among so many: those on the front, then the cheapest.
MOST_CASCADED = 24


class Decision(Struct, frozen=True, kw_only=True):
    """From `old` to `new`: what may be claimed, and when the one-off costs are paid back, in g and in money."""

    old: ConfigurationAccount
    new: ConfigurationAccount
    comparison: Comparison
    claim: Claim
    payback_g: Payback
    payback_money: Payback


class SuiteFindings(Struct, frozen=True, kw_only=True):
    """Configurations of one suite side by side, at most `k` attempts; what needs two of them is empty or None for one.

    `stoppings` are in the order of `configurations`, which have the least grams per accepted solution first.
    """

    suite: str
    k: int | None
    configurations: tuple[ConfigurationAccount, ...]
    comparisons: tuple[Comparison, ...]
    front: Front | None
    effects: tuple[Effect, ...]
    stoppings: tuple[Stopping, ...]
    cascades: Cascades | None
    selection: Selection | None
    taken: Taken | None
    decision: Decision | None


class ByUse(Struct, frozen=True, kw_only=True):
    """Embodied carbon shared out by use instead of time: TE / uses over the life, g; its headline's value beside it.

    `machines`: the generator's device and the test machine, as many as are known. `uses`: calls over the life of each,
    all of them these calls. None where nobody says how often it is called; `reason` says so.
    """

    machines: tuple[Machine, ...]
    uses: tuple[float, ...]
    by_time_g: float | None
    per_attempt_g: float | None
    per_accepted_g: float | None
    reason: str | None


class Findings(Struct, frozen=True, kw_only=True):
    """`regions`: R of each configuration on other grids, and `by_use` its embodied carbon otherwise, by `key_of`.

    `unused`: names of assumptions without effect.
    """

    suites: tuple[SuiteFindings, ...]
    economies: tuple[Economy, ...]
    one_off: OneOffCost
    forecasts: tuple[Forecast, ...]
    unmet: tuple[Demand, ...]
    usage: UsageLog | None
    regions: Mapping[tuple[str, str, str], tuple[RegionRow, ...]]
    by_use: Mapping[tuple[str, str, str], ByUse]
    escapes: tuple[Escape, ...]
    assumptions: Assumptions
    unused: tuple[str, ...]


def find(
    account: Account,
    records: Sequence[AttemptRecord],
    assumptions: Assumptions,
    pricing: Pricing | None = None,
    *,
    usage: UsageLog | None = None,
    target: float | None = None,
    old: Configuration | None = None,
    new: Configuration | None = None,
    hidden: Iterable[AttemptRecord] = (),
) -> Findings:
    """All there is to find. `records` are those of the account, with their energy; `pricing` knows their GPUs.

    `target`: pass@k that is asked for, in place of the assumptions'. `old` and `new` are the two of the decision;
    without them it is from the one of the others with the highest pass@1 to the cheapest. `hidden`: records of the
    same samples on a stronger suite.
    """
    pricing = pricing or Pricing(account.factors)
    economies = economies_of(account, records, assumptions, pricing)
    by_key = {key_of(each.configuration): each for each in economies}
    stated = stated_demand(assumptions)
    demands = logged_demands(usage) if usage is not None else (stated,) if stated is not None else ()
    met, unmet = forecasts(demands, economies)
    run_g, run_money = run_cost(economies) if economies else (None, None)
    once = one_off(assumptions, account.factors, run_g=run_g, run_money=run_money)
    wanted = assumptions.target.pass_at_k if target is None else target
    hidden = tuple(hidden)
    parts = _parts_of(records, pricing, account.quarantined)

    def decided(
        members: Sequence[ConfigurationAccount], k: int, unusable: Collection[Configuration]
    ) -> Decision | None:
        pair = _decision_pair(members, k, old, new, unusable)
        if pair is None:
            return None
        return _decision(*pair, k, by_key, once, met, assumptions, parts)

    suites = []
    for suite, group in groupby(account.configurations, key=lambda configuration: configuration.suite):
        unsorted = [c for c in group if c.attempts]
        k = common_attempts(unsorted)
        members = sorted(unsorted, key=lambda c: _by_cost(c, k))
        several = len(members) > 1 and k is not None
        best = front(members, k) if several and k else None
        selection = select(members, wanted, k) if wanted is not None and k else None
        suites.append(
            SuiteFindings(
                suite=suite,
                k=k,
                configurations=tuple(members),
                comparisons=tuple(compare(a, b, k, parts=parts) for a, b in _pairs(members)) if several and k else (),
                front=best,
                effects=effects(members, k, model=len({c.model for c in members}) <= MOST_PAIRED)
                if several and k
                else (),
                stoppings=tuple(stopping(c, _otherwise_g(by_key[key_of(c)])) for c in members),
                cascades=cascades(_cascaded(members, best), 1, k) if best is not None and k else None,
                selection=selection,
                taken=taken(members, k, named=new, selection=selection, unusable=best.unusable)
                if best is not None and k
                else None,
                decision=decided(members, k, best.unusable) if best is not None and k else None,
            )
        )
    return Findings(
        suites=tuple(suites),
        economies=economies,
        one_off=once,
        forecasts=tuple(met),
        unmet=tuple(unmet),
        usage=usage,
        regions={key: _regions(each) for key, each in by_key.items() if each.co2e_g.value is not None},
        by_use={key: _by_use(each.configuration, records, pricing, demands) for key, each in by_key.items()},
        escapes=tuple(_escapes(account, records, hidden)),
        assumptions=assumptions,
        unused=tuple(unused(assumptions, account.configurations)),
    )


def _parts_of(records: Sequence[AttemptRecord], pricing: Pricing, quarantined: Collection[str]) -> Parts:
    """Looks each up once, as most pairs have the same tasks."""
    by_key: defaultdict[tuple[str, Configuration], list[AttemptRecord]] = defaultdict(list)
    for record in records:
        if record.task_id not in quarantined:
            by_key[record.suite, record.configuration].append(record)
    found: dict[tuple[str, Configuration, int, tuple[str, ...]], Sequence[Term] | None] = {}

    def parts(configuration: ConfigurationAccount, k: int, tasks: Sequence[str]) -> Sequence[Term] | None:
        named = configuration.suite, configuration_of(configuration)
        key = (*named, k, tuple(sorted(tasks)))
        if key not in found:
            found[key] = uncertain_parts(by_key[named], pricing, k, set(tasks))
        return found[key]

    return parts


def economies_of(
    account: Account, records: Sequence[AttemptRecord], assumptions: Assumptions, pricing: Pricing
) -> tuple[Economy, ...]:
    """Each configuration's, in the account's order."""
    used = uses(records, pricing, quarantined=account.quarantined)
    return tuple(
        economy(configuration, used.get(key_of(configuration)), assumptions, account.factors)
        for configuration in account.configurations
    )


def _by_cost(configuration: ConfigurationAccount, k: int | None) -> tuple[bool, float, str, str]:
    """At the same number of attempts: more of them cost more per accepted solution."""
    row = configuration.retry.get(k or 0)
    grams = configuration.per_accepted.co2e_g if row is None else row.co2e_g_per_accepted
    return grams is None, grams or 0.0, configuration.model, configuration.settings


def _cascaded(members: Sequence[ConfigurationAccount], best: Front) -> list[ConfigurationAccount]:
    on_front = {point.configuration for point in best.points if point.on_front}
    return sorted(members, key=lambda each: configuration_of(each) not in on_front)[:MOST_CASCADED]


def _pairs(
    members: Sequence[ConfigurationAccount],
) -> Iterable[tuple[ConfigurationAccount, ConfigurationAccount]]:
    if len(members) <= MOST_PAIRED:
        return combinations(members, 2)
    return ((members[0], other) for other in members[1:])


def _decision_pair(
    members: Sequence[ConfigurationAccount],
    k: int,
    old: Configuration | None,
    new: Configuration | None,
    unusable: Collection[Configuration],
) -> tuple[ConfigurationAccount, ConfigurationAccount] | None:
    """(old, new), `members` the cheapest first; None where one of them is not in this suite, or both are the same."""

    def named(wanted: Configuration) -> ConfigurationAccount | None:
        return next((each for each in members if configuration_of(each) == wanted), None)

    # A broken-off run may look cheap: unless it is asked for, nobody decides by it.
    known = [each for each in members if not _by_cost(each, k)[0] and configuration_of(each) not in unusable]
    earlier = None if old is None else named(old)
    later = named(new) if new is not None else next((each for each in known if each is not earlier), None)
    if old is None:
        others = [each for each in known if each is not later]
        earlier = max(others, key=lambda each: each.pass_at.get(1, 0.0), default=None)
    if earlier is None or later is None or earlier is later:
        return None
    return earlier, later


def _decision(
    old: ConfigurationAccount,
    new: ConfigurationAccount,
    k: int,
    economies: Mapping[tuple[str, str, str], Economy],
    once: OneOffCost,
    met: Sequence[Forecast],
    assumptions: Assumptions,
    parts: Parts,
) -> Decision:
    found = compare(new, old, k, parts=parts)
    before, after = economies[key_of(old)], economies[key_of(new)]
    ratio = Figure(value=found.co2e_g.value, interval=found.co2e_g.interval, reason=found.co2e_g.reason)
    points = found.pass_probability
    quality = Figure(
        value=None if points.value_pp is None else points.value_pp / 100,
        interval=None if points.interval_pp is None else (points.interval_pp[0] / 100, points.interval_pp[1] / 100),
        reason=points.reason,
    )
    per_month = _per_month(old, new, met)
    # The same tasks and attempts on both sides, of grams and of money.
    before_g = Figure(value=found.b.co2e_g, reason=found.co2e_g.reason)
    before_money, money = _money_of_pair(before, after, k)
    return Decision(
        old=old,
        new=new,
        comparison=found,
        claim=claim(ratio, quality, assumptions.target.quality_margin, doubt=found.co2e_g.doubt),
        payback_g=payback(once.co2e_g, before_g, ratio, per_month),
        payback_money=payback(once.money, before_money, money, per_month),
    )


def _money_of_pair(before: Economy, after: Economy, k: int) -> tuple[Figure, Figure]:
    """What an accepted solution of the old one costs, and new / old, on the tasks of both."""
    ones = before.money.costs, after.money.costs
    for costs in ones:
        if isinstance(costs, str):
            return Figure(reason=costs), Figure(reason=costs)
    allowed = {each.configuration.per_accepted.attempts for each in (before, after) if not each.configuration.chain}
    if allowed - {k}:
        reason = Figure(reason=Reason("money_at_other_k", k=k))
        return reason, reason
    old, new = ones
    assert not isinstance(old, str)
    shared = {task_id: cost for task_id, cost in old.items() if task_id in new}
    return per_accepted(shared), paired_ratio(new, old)


def _per_month(old: ConfigurationAccount, new: ConfigurationAccount, met: Sequence[Forecast]) -> Figure:
    """Accepted solutions in a month: of all calls of what is in use, else of what would be."""
    wanted = [each.solutions_per_month for each in met if each.economy.configuration is old]
    wanted = wanted or [each.solutions_per_month for each in met if each.economy.configuration is new]
    if not wanted:
        return Figure(reason=Reason("no_usage_of_either" if met else "no_usage"))
    known = [figure.value for figure in wanted if figure.value is not None]
    if len(known) < len(wanted):
        return next(figure for figure in wanted if figure.value is None)
    return Figure(value=sum(known))


def _otherwise_g(found: Economy) -> Mapping[str, float] | None:
    """Grams of a person doing each task, where the assumptions say how long that takes."""
    grams = found.human_work.co2e_g
    return None if isinstance(grams, str) or not grams else grams


def _regions(found: Economy) -> tuple[RegionRow, ...]:
    """Both sites on each grid: electricity at the meter per accepted solution, in which PUE is once."""
    kwh = found.energy_kwh.value
    return region_sensitivity(
        generation_j=None if kwh is None else kwh * J_PER_KWH,
        execution_j=0.0,
        embodied_g=found.configuration.per_accepted.embodied_g,
    )


def _by_use(
    configuration: ConfigurationAccount,
    records: Iterable[AttemptRecord],
    pricing: Pricing,
    demands: Sequence[Demand],
) -> ByUse:
    """kappa_k attempts per accepted solution, each its share of TE. Of several devices nobody knows each one's uses."""
    named = configuration.suite, configuration_of(configuration)
    own = [record for record in records if (record.suite, record.configuration) == named]
    devices = {(pricing.generation_machine(r), r.generation.gpu_count if r.generation else None) for r in own}
    device, count = devices.pop() if len(devices) == 1 else (None, None)
    if device is not None and count is not None and count > 1:
        scaled = {name: getattr(device, name) * count for name in ("embodied_g", "embodied_low_g", "embodied_high_g")}
        device = replace(device, name=f"{count} x {device.name}", **scaled)
    machine = pricing.factors.execution_machine
    wanted = [d.calls_per_month for d in demands if d.configuration in ("", configuration.model)]
    calls = [each for each in wanted if each is not None]
    known = [each for each in (device, machine) if each is not None]
    uses = tuple(sum(calls) * MONTHS * each.lifetime_s / S_PER_YEAR for each in known)
    row = configuration.retry.get(configuration.per_accepted.attempts or 0)
    kappa = row.correctness_coefficient if row is not None else None
    if configuration.chain and configuration.accepted:
        kappa = configuration.attempts / configuration.accepted
    reason = None
    if not calls:
        reason = "nobody says how often it is called (usage.calls_per_day, or a log)"
    elif len(known) < 2:
        reason = "the generator's device is not one and the same" if device is None else "no test machine given"
    elif kappa is None:
        reason = configuration.per_accepted.reason or "none accepted"
    per_attempt = None
    if reason is None and all(uses):
        # Of a machine with threads, one thread's part is used.
        per_attempt = sum(each.embodied_g / (each.threads or 1) / n for each, n in zip(known, uses, strict=True))
    return ByUse(
        machines=tuple(known),
        uses=uses,
        by_time_g=configuration.per_accepted.embodied_g,
        per_attempt_g=per_attempt,
        per_accepted_g=None if per_attempt is None or kappa is None else per_attempt * kappa,
        reason=reason,
    )


def _escapes(account: Account, records: Sequence[AttemptRecord], hidden: Sequence[AttemptRecord]) -> Iterable[Escape]:
    known = {record.configuration for record in hidden}
    for configuration in account.configurations:
        k = configuration.per_accepted.attempts
        if k is None or Configuration(model=configuration.model, settings=configuration.settings) not in known:
            continue
        yield escape(configuration, records, hidden, k)
