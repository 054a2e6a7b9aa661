"""A grid's intensity of this moment, asked of those who publish it. Off unless a region text begins with "live:".

    live:uk                       Great Britain, api.carbonintensity.org.uk, no key; average, direct emissions
    live:uk:13                    one of its regions, 1 to 17; a forecast for the running half hour
    live:electricitymaps:FR       api.electricitymaps.com v3, key in ELECTRICITYMAPS_TOKEN; average, life cycle
    live:watttime:CAISO_NORTH     api.watttime.org v3, WATTTIME_USER and WATTTIME_PASSWORD; marginal

Asked once, before the run. What came back says when, by which method and of whom in `Intensity.source`. Keys come from
the environment and go to their host and nowhere else: redirects are not followed, and no message repeats an answer.
"""

from __future__ import annotations

import base64
import functools
import http.client
import json
import math
import operator
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from msgspec import Struct

from .carbon import LIVE, is_live
from .errors import UsageProblem
from .model import Intensity

TIMEOUT_S = 10.0
# NIST Special Publication 811 (2008), B.8: one avoirdupois pound is 0.453 592 37 kg exactly.
G_PER_LB = 453.59237
# Twice the dirtiest grid of the carried table and more: what is beyond it is not g/kWh.
MOST_G_PER_KWH = 3000.0
OLDEST = timedelta(days=1)
_MOST_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")

Opener = Callable[..., Any]  # as urllib.request.urlopen: (request, timeout=) -> response


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would send the headers, and so the key, along to wherever an answer points."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _open(request: urllib.request.Request, *, timeout: float) -> Any:
    return urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout)


def live_intensity(
    text: str,
    *,
    flag: str,
    opener: Opener = _open,
    environ: Mapping[str, str] = os.environ,
    now: datetime | None = None,
) -> Intensity:
    """The intensity that `text` (see above) names, as published now. One call to its host; two to WattTime's.

    Raises UsageProblem, naming `flag` and a way out, when the text is none of the above, a key is missing or refused,
    the host does not answer in `TIMEOUT_S`, or answers something else than a current figure above 0 g/kWh.
    """
    ask = _Ask(flag, text.strip(), opener, environ, now or datetime.now(timezone.utc))
    source, _, place = ask.text[len(LIVE) :].partition(":")
    if not is_live(text) or source.lower() not in _SOURCES:
        raise ask.problem("expected live:uk, live:uk:REGION, live:electricitymaps:ZONE or live:watttime:REGION")
    return _SOURCES[source.lower()](ask, place)


class _Ask(Struct, frozen=True):
    """One question: who asked, in which words, and by what means."""

    flag: str
    text: str
    opener: Opener
    environ: Mapping[str, str]
    now: datetime

    def problem(self, what: str) -> UsageProblem:
        return UsageProblem(
            f"{self.flag} {self.text!r}: {what}. Without it: {self.flag} GBR takes a country's yearly mean, "
            f"{self.flag} 56g a figure of your own (gCO2e/kWh)"
        )

    def key(self, name: str) -> str:
        value = self.environ.get(name, "").strip()
        if not value:
            raise self.problem(f"needs a key in the environment: {name}")
        if not (value.isascii() and value.isprintable()):
            raise self.problem(f"the key in {name} has characters that no key has")
        return value

    def place(self, place: str, example: str) -> str:
        if not _NAME.fullmatch(place):
            raise self.problem(f"expected a place such as {example}")
        return place

    def json(self, url: str, headers: Mapping[str, str], *, keys: str = "") -> Any:
        """The JSON that a GET of `url` answers; `keys` names the variables whose values it may refuse."""
        host = urllib.parse.urlsplit(url).hostname
        request = urllib.request.Request(url, headers={"Accept": "application/json", **headers})  # noqa: S310
        try:
            with self.opener(request, timeout=TIMEOUT_S) as response:
                body = response.read(_MOST_BYTES + 1)
        except urllib.error.HTTPError as error:
            error.close()
            raise self.problem(f"{host} {_refusal(error.code, keys)} (HTTP {error.code})") from None
        except TimeoutError:
            raise self.problem(f"no answer from {host} in {TIMEOUT_S:g} s") from None
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError; it wraps a slow connect too
            reason = getattr(error, "reason", None)
            if isinstance(reason, TimeoutError):
                raise self.problem(f"no answer from {host} in {TIMEOUT_S:g} s") from None
            raise self.problem(f"cannot reach {host} ({type(reason or error).__name__})") from None
        try:
            if len(body) > _MOST_BYTES:
                raise ValueError
            return json.loads(body)
        except (ValueError, RecursionError):
            raise self.problem(f"{host} answered something that is not JSON") from None

    def figure(self, answer: Any, *path: str | int) -> Any:
        """What stands at `path` in the answer."""
        try:
            return functools.reduce(operator.getitem, path, answer)
        except (LookupError, TypeError):
            where = ".".join(map(str, path))
            raise self.problem(f"the answer has no {where}: the interface may have changed") from None

    def number(self, answer: Any, *path: str | int) -> float:
        """The number that stands at `path`: NaN where something else does."""
        found = self.figure(answer, *path)
        try:
            return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else math.nan
        except OverflowError:
            return math.inf

    def intensity(
        self, g_per_kwh: float, *, region: str, at: Any, source: str, licence: str | None = None
    ) -> Intensity:
        if not 0 < g_per_kwh <= MOST_G_PER_KWH:
            raise self.problem(
                f"the figure is {g_per_kwh:.6g} g/kWh, expected above 0 and up to {MOST_G_PER_KWH:g}; a 0 counts "
                "direct or marginal emissions only, and no electricity is free of them over its life cycle"
            )
        moment = self.moment(at)
        return Intensity(
            g_per_kwh=g_per_kwh,
            region=region,
            year=moment.year,
            source=f"{source}; {moment:%Y-%m-%dT%H:%MZ}",
            licence=licence,
        )

    def moment(self, at: Any) -> datetime:
        try:
            moment = datetime.fromisoformat(re.sub(r"Z$", "+00:00", at))  # Python 3.10 does not read "Z"
            moment = moment.replace(tzinfo=moment.tzinfo or timezone.utc).astimezone(timezone.utc)
        except (TypeError, ValueError, OverflowError):
            raise self.problem("the answer does not say when its figure was true") from None
        if abs(self.now - moment) > OLDEST:
            raise self.problem(f"the figure is of {moment:%Y-%m-%d %H:%M} UTC, not of today")
        return moment


def _refusal(code: int, keys: str) -> str:
    if code in (401, 403) and keys:
        return f"does not accept {keys} for this"
    if code in (400, 404):
        return "does not know this place"
    if code == 429:
        return "has had too many questions; wait some minutes"
    return "failed" if code >= 500 else "refused"


def _uk(ask: _Ask, place: str) -> Intensity:
    base, region = "https://api.carbonintensity.org.uk", "GBR"
    if place:
        if not re.fullmatch(r"[1-9]|1[0-7]", place):
            raise ask.problem("expected a region from 1 to 17 (13 is London)")
        answer = ask.json(f"{base}/regional/regionid/{place}", {})
        # A list of one region, or that region: the host's answers have been seen to have either.
        found = ask.figure(answer, "data")
        period = ask.figure(found, *((0,) if isinstance(found, list) else ()), "data", 0)
        region = f"GBR region {place}"
    else:
        period = ask.figure(ask.json(f"{base}/intensity", {}), "data", 0)
    values = ask.figure(period, "intensity")
    # "actual" is their estimate of the half hour; it comes later than the forecast, and for regions never.
    estimated = isinstance(values, dict) and values.get("actual") is not None
    return ask.intensity(
        ask.number(values, "actual" if estimated else "forecast"),
        region=region,
        at=ask.figure(period, "from"),
        source=f"live, carbonintensity.org.uk: average, direct emissions, {'estimate' if estimated else 'forecast'}",
        licence="CC-BY-4.0",
    )


def _electricitymaps(ask: _Ask, place: str) -> Intensity:
    zone = ask.place(place, "live:electricitymaps:FR")
    query = {"zone": zone, "emissionFactorType": "lifecycle", "disableCallerLookup": "true"}
    answer = ask.json(
        f"https://api.electricitymaps.com/v3/carbon-intensity/latest?{urllib.parse.urlencode(query)}",
        {"auth-token": ask.key("ELECTRICITYMAPS_TOKEN")},
        keys="ELECTRICITYMAPS_TOKEN",
    )
    value = ask.number(answer, "carbonIntensity")
    if str(ask.figure(answer, "zone")).upper() != zone.upper():
        raise ask.problem("the answer is of another zone")
    if ask.figure(answer, "emissionFactorType") != "lifecycle":
        raise ask.problem("the answer is not of life-cycle emissions")
    estimated = "estimated" if ask.figure(answer, "isEstimated") else "measured mix"
    return ask.intensity(
        value,
        region=zone,
        at=ask.figure(answer, "datetime"),
        source=f"live, electricitymaps.com: average, life cycle, {estimated}",
    )


def _watttime(ask: _Ask, place: str) -> Intensity:
    region = ask.place(place, "live:watttime:CAISO_NORTH")
    base, keys = "https://api.watttime.org", "WATTTIME_USER and WATTTIME_PASSWORD"
    pair = f"{ask.key('WATTTIME_USER')}:{ask.key('WATTTIME_PASSWORD')}"
    login = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    token = ask.figure(ask.json(f"{base}/login", login, keys=keys), "token")
    if not (isinstance(token, str) and token and token.isascii() and token.isprintable()):
        raise ask.problem("the answer has no token: the interface may have changed")
    query = {"region": region, "signal_type": "co2_moer", "horizon_hours": "0"}
    answer = ask.json(
        f"{base}/v3/forecast?{urllib.parse.urlencode(query)}", {"Authorization": f"Bearer {token}"}, keys=keys
    )
    if ask.figure(answer, "meta", "units") != "lbs_co2_per_mwh":
        raise ask.problem("the answer is not in lbs_co2_per_mwh: the interface may have changed")
    if ask.figure(answer, "meta", "region") != region:
        raise ask.problem("the answer is of another region")
    return ask.intensity(
        ask.number(answer, "data", 0, "value") * G_PER_LB / 1000,  # lb/MWh to g/kWh
        region=region,
        at=ask.figure(answer, "data", 0, "point_time"),
        source="live, watttime.org: marginal, CO2 of operation, nowcast",
    )


_SOURCES: Mapping[str, Callable[[_Ask, str], Intensity]] = {
    "uk": _uk,
    "electricitymaps": _electricitymaps,
    "watttime": _watttime,
}
