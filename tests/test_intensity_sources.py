"""Live grid intensity, against a server on this machine that answers in the shapes that the real ones have.

Shapes: Great Britain, carbon-intensity/api-definitions (carbon-intensity.yaml) and recorded answers of 2020 and 2021;
Electricity Maps v3, answers in its users' reports of 2024 and 2025 and the models of its SDK 0.0.1; WattTime v3, its
migration guide and SDK 1.4.0.
"""

from __future__ import annotations

import base64
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pytest_greencode import intensity_sources
from pytest_greencode.errors import UsageProblem
from pytest_greencode.intensity_sources import live_intensity
from pytest_greencode.model import Intensity

NOW = datetime(2026, 11, 22, 1, 40, tzinfo=timezone.utc)
FLAG = "--greencode-region"
SECRETS = {"ELECTRICITYMAPS_TOKEN": "em-s3cret", "WATTTIME_USER": "wt-user", "WATTTIME_PASSWORD": "wt-s3cret:x"}

UK = {
    "data": [
        {
            "from": "2026-11-22T01:30Z",
            "to": "2026-11-22T02:00Z",
            "intensity": {"forecast": 146, "actual": 139, "index": "low"},
        }
    ]
}
LONDON = {
    "data": [
        {
            "regionid": 13,
            "dnoregion": "UKPN London",
            "shortname": "London",
            "data": [
                {
                    "from": "2026-11-22T01:30Z",
                    "to": "2026-11-22T02:00Z",
                    "intensity": {"forecast": 435, "index": "very high"},
                    "generationmix": [{"fuel": "biomass", "perc": 0}, {"fuel": "coal", "perc": 0.1}],
                }
            ],
        }
    ]
}
FRANCE = {
    "zone": "FR",
    "carbonIntensity": 44,
    "datetime": "2026-11-22T01:00:00.000Z",
    "updatedAt": "2026-11-22T00:46:10.233Z",
    "createdAt": "2026-11-19T15:43:23.481Z",
    "emissionFactorType": "lifecycle",
    "isEstimated": True,
    "estimationMethod": "TIME_SLICER_AVERAGE",
    "temporalGranularity": "hourly",
}
CAISO = {
    "data": [{"point_time": "2026-11-22T01:40:00+00:00", "value": 1048.4131919701972}],
    "meta": {
        "data_point_period_seconds": 300,
        "region": "CAISO_NORTH",
        "warnings": [],
        "signal_type": "co2_moer",
        "model": {"date": "2026-03-01"},
        "units": "lbs_co2_per_mwh",
        "generated_at_period_seconds": 300,
        "generated_at": "2026-11-22T01:40:00+00:00",
    },
}
QUESTIONS = {"live:uk": UK, "live:uk:13": LONDON, "live:electricitymaps:FR": FRANCE, "live:watttime:CAISO_NORTH": CAISO}


class Host:
    """Stands for all hosts. `answers`: by path, a JSON value, bytes, a status, or a function of the handler."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                answer = host.answers.get(self.path.partition("?")[0], 404)
                if callable(answer):
                    answer(self)
                    return
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(answer if isinstance(answer, int) else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        self.asked: list[str] = []

    def open(self, request: urllib.request.Request, *, timeout: float) -> Any:
        """The product's own opener, led to this machine."""
        self.asked.append(request.full_url)
        scheme, _, rest = request.full_url.partition("://")
        assert scheme == "https", "a key must not travel in the clear"
        local = f"http://127.0.0.1:{self.server.server_port}/{rest.partition('/')[2]}"
        return intensity_sources._open(
            urllib.request.Request(local, headers=dict(request.header_items())), timeout=min(timeout, 0.5)
        )

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("no_proxy", "*")
    host = Host()
    host.answers = {
        "/intensity": UK,
        "/regional/regionid/13": LONDON,
        "/v3/carbon-intensity/latest": FRANCE,
        "/login": {"token": "wt-t0ken"},
        "/v3/forecast": CAISO,
    }
    yield host
    host.close()


@pytest.fixture
def ask(host: Host) -> Callable[..., Intensity]:
    def ask(text: str, *, environ: dict[str, str] = SECRETS, now: datetime = NOW) -> Intensity:
        return live_intensity(text, flag=FLAG, opener=host.open, environ=environ, now=now)

    return ask


@pytest.fixture
def refused(ask: Callable[..., Intensity]) -> Callable[..., str]:
    """The message; it names flag and text, has ways out, and repeats no secret."""

    def refused(text: str, **parameters: Any) -> str:
        with pytest.raises(UsageProblem) as problem:
            ask(text, **parameters)
        message = str(problem.value)
        assert message.startswith(f"{FLAG} {text!r}: ")
        assert f"{FLAG} GBR" in message
        assert f"{FLAG} 56g" in message
        assert problem.value.__cause__ is None
        assert problem.value.__suppress_context__ or problem.value.__context__ is None
        for secret in (*SECRETS.values(), "wt-t0ken"):
            assert secret not in message
        return message

    return refused


def test_great_britain_is_what_was_estimated_for_the_half_hour(ask, host):
    assert ask("live:uk") == Intensity(
        g_per_kwh=139.0,
        region="GBR",
        year=2026,
        source="live, carbonintensity.org.uk: average, direct emissions, estimate; 2026-11-22T01:30Z",
        licence="CC-BY-4.0",
    )
    assert host.asked == ["https://api.carbonintensity.org.uk/intensity"]


def test_before_it_is_estimated_it_is_forecast(ask, host):
    host.answers["/intensity"] = json.loads(json.dumps(UK).replace("139", "null"))
    found = ask(" LIVE:UK ")
    assert found.g_per_kwh == 146
    assert "forecast" in found.source


@pytest.mark.parametrize("data", [LONDON["data"], LONDON["data"][0]], ids=["list", "object"])
def test_a_region_of_great_britain_in_both_shapes(ask, host, data):
    host.answers["/regional/regionid/13"] = {"data": data}
    found = ask("live:uk:13")
    assert (found.g_per_kwh, found.region) == (435, "GBR region 13")
    assert "forecast" in found.source
    assert host.asked == ["https://api.carbonintensity.org.uk/regional/regionid/13"]


def test_electricity_maps(ask, host):
    assert ask("live:electricitymaps:FR") == Intensity(
        g_per_kwh=44.0,
        region="FR",
        year=2026,
        source="live, electricitymaps.com: average, life cycle, estimated; 2026-11-22T01:00Z",
    )
    [url] = host.asked
    assert url.startswith("https://api.electricitymaps.com/v3/carbon-intensity/latest?zone=FR&")
    assert "emissionFactorType=lifecycle" in url
    assert "disableCallerLookup=true" in url
    assert host.requests[0][1]["auth-token"] == "em-s3cret"


def test_watttime_is_marginal_and_converted_from_pounds(ask, host):
    found = ask("live:watttime:CAISO_NORTH")
    # 1 lb = 0.45359237 kg exactly; lb/MWh to g/kWh is 453.59237 / 1000.
    exact = Fraction(str(CAISO["data"][0]["value"])) * Fraction(45359237, 100000000)
    assert found.g_per_kwh == pytest.approx(float(exact), rel=1e-15)
    assert "marginal" in found.source
    assert "2026-11-22T01:40Z" in found.source
    (login, first), (data, second) = host.requests
    assert login == "/login"
    assert base64.b64decode(first["authorization"].removeprefix("Basic ")).decode() == "wt-user:wt-s3cret:x"
    assert data == "/v3/forecast?region=CAISO_NORTH&signal_type=co2_moer&horizon_hours=0"
    assert second["authorization"] == "Bearer wt-t0ken"


@pytest.mark.parametrize(
    "text",
    [
        "live:",
        "live:uk:0",
        "live:uk:18",
        "live:uk:13/../..",
        "live:electricitymaps",
        "live:electricitymaps:",
        "live:electricitymaps:FR&zone=DE",
        "live:watttime",
        "live:watttime:../login",
        "live:nowhere:FR",
    ],
)
def test_other_texts_are_refused_without_a_call(refused, host, text):
    assert "expected" in refused(text)
    assert host.asked == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("live:electricitymaps:FR", "ELECTRICITYMAPS_TOKEN"),
        ("live:watttime:CAISO_NORTH", "WATTTIME_USER"),
        ("live:watttime:CAISO_NORTH", "WATTTIME_PASSWORD"),
    ],
)
@pytest.mark.parametrize("value", [None, " ", "s3cret\r\nHost: evil", "s3cr\u00e9t"])
def test_a_missing_or_broken_key_is_named_and_not_shown(refused, host, text, name, value):
    environ = {key: secret for key, secret in SECRETS.items() if key != name} | ({name: value} if value else {})
    message = refused(text, environ=environ)
    assert name in message
    assert "s3cr" not in message
    assert host.asked == []


@pytest.mark.parametrize("text", QUESTIONS)
@pytest.mark.parametrize(
    ("status", "says"),
    [
        (400, "does not know this place"),
        (404, "does not know this place"),
        (429, "wait"),
        (500, "failed"),
        (503, "503"),
    ],
)
def test_errors_of_the_host(refused, host, text, status, says):
    host.answers = dict.fromkeys(host.answers, status)
    assert says in refused(text)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("path", ["/login", "/v3/forecast", "/v3/carbon-intensity/latest"])
def test_a_refused_key_is_named(refused, host, status, path):
    host.answers[path] = status
    if path == "/v3/carbon-intensity/latest":
        assert "does not accept ELECTRICITYMAPS_TOKEN" in refused("live:electricitymaps:FR")
    else:
        assert "does not accept WATTTIME_USER and WATTTIME_PASSWORD" in refused("live:watttime:CAISO_NORTH")


@pytest.mark.parametrize("text", QUESTIONS)
@pytest.mark.parametrize("status", [301, 302, 307])
def test_no_key_follows_a_redirect(refused, host, text, status):
    def redirect(handler: Any) -> None:
        handler.send_response(status)
        handler.send_header("Location", "/elsewhere")
        handler.end_headers()

    host.answers = {**dict.fromkeys(host.answers, redirect), "/elsewhere": FRANCE}
    assert f"HTTP {status}" in refused(text)
    assert "/elsewhere" not in [path for path, _ in host.requests]


@pytest.mark.parametrize("text", QUESTIONS)
@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff\xfe", b"[" * 100_000, b" " * (1 << 20) + b"{}", b"1" * 5000])
def test_what_is_no_json(refused, host, text, body):
    host.answers = dict.fromkeys(host.answers, body)
    message = refused(text)
    assert "not JSON" in message
    assert "html" not in message


@pytest.mark.parametrize("text", QUESTIONS)
@pytest.mark.parametrize("answer", [None, [], {}, "x", 7, {"data": []}, {"data": [None]}, {"error": "\x1b[31mevil"}])
def test_another_shape_names_what_is_missing(refused, host, text, answer):
    host.answers = dict.fromkeys(host.answers, answer) | {"/login": {"token": "wt-t0ken"}}
    host.answers = {path: json.dumps(value).encode() for path, value in host.answers.items()}
    message = refused(text)
    assert "the answer has no" in message
    assert "\x1b" not in message


@pytest.mark.parametrize("token", [None, 7, "", "a\nb", ["x"]])
def test_a_login_without_a_usable_token(refused, host, token):
    host.answers["/login"] = {"token": token}
    assert "the answer has no token" in refused("live:watttime:CAISO_NORTH")
    assert len(host.asked) == 1


PLACES = {
    "live:uk": ("/intensity", "139"),
    "live:uk:13": ("/regional/regionid/13", "435"),
    "live:electricitymaps:FR": ("/v3/carbon-intensity/latest", "44,"),
    "live:watttime:CAISO_NORTH": ("/v3/forecast", "1048.4131919701972"),
}


@pytest.mark.parametrize("text", QUESTIONS)
@pytest.mark.parametrize(
    "value", ["0", "-1", "1e5", "1e400", "NaN", "-Infinity", '"50"', "true", "[1]", "1" + "0" * 400]
)
def test_absurd_figures(refused, host, text, value):
    path, old = PLACES[text]
    body = json.dumps(QUESTIONS[text])
    assert body.count(old) == 1
    host.answers[path] = body.replace(old, value + ("," if old.endswith(",") else "")).encode()
    assert "expected above 0" in refused(text)


def test_a_zero_says_why(refused, host):
    host.answers["/regional/regionid/13"] = json.loads(json.dumps(LONDON).replace("435", "0"))
    assert "direct or marginal" in refused("live:uk:13")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"zone": "DE"}, "another zone"),
        ({"emissionFactorType": "direct"}, "life-cycle"),
        ({"datetime": "yesterday"}, "does not say when"),
        ({"datetime": None}, "does not say when"),
        ({"datetime": "0001-01-01T00:00:00+23:59"}, "does not say when"),
        ({"datetime": "2019-05-21T00:00:00.000Z"}, "2019-05-21"),
        ({"datetime": "2030-05-21T00:00:00.000Z"}, "2030-05-21"),
    ],
)
def test_an_answer_to_another_question(refused, host, changes, says):
    host.answers["/v3/carbon-intensity/latest"] = FRANCE | changes
    assert says in refused("live:electricitymaps:FR")


@pytest.mark.parametrize(("key", "value"), [("units", "kg_co2_per_mwh"), ("region", "PJM")])
def test_other_units_and_regions_are_no_answer(refused, host, key, value):
    host.answers["/v3/forecast"] = {**CAISO, "meta": {**CAISO["meta"], key: value}}
    refused("live:watttime:CAISO_NORTH")


def test_a_host_that_does_not_answer_in_time(refused, host):
    done = threading.Event()
    host.answers["/intensity"] = lambda handler: done.wait(5)
    try:
        assert "no answer from api.carbonintensity.org.uk in 10 s" in refused("live:uk")
    finally:
        done.set()


def test_a_host_that_hangs_up_half_way(refused, host):
    def half(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"data"')

    host.answers["/intensity"] = half
    assert "not JSON" in refused("live:uk")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (urllib.error.URLError(TimeoutError("timed out")), "no answer"),
        (urllib.error.URLError(ConnectionRefusedError(111, "secret path")), "ConnectionRefusedError"),
        (ConnectionResetError(104, "reset"), "ConnectionResetError"),
    ],
)
def test_a_host_that_cannot_be_reached(error, says):
    def fails(request: urllib.request.Request, *, timeout: float) -> Any:
        raise error

    with pytest.raises(UsageProblem, match=says) as problem:
        live_intensity("live:uk", flag=FLAG, opener=fails, environ={}, now=NOW)
    assert "secret" not in str(problem.value)


def test_the_real_hosts_are_asked_with_a_time_limit():
    limits: list[float] = []

    def fails(request: urllib.request.Request, *, timeout: float) -> Any:
        limits.append(timeout)
        raise urllib.error.URLError("none")

    for text in QUESTIONS:
        with pytest.raises(UsageProblem):
            live_intensity(text, flag=FLAG, opener=fails, environ=SECRETS, now=NOW)
    assert limits == [10.0] * 4
