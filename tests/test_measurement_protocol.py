"""The machine's facts from trees of kernel files, and what is said about them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pytest_greencode.meters.protocol import Environment, cautions, cautions_between, read_environment

CPU = "sys/devices/system/cpu"
SERVER = {
    "proc/sys/kernel/osrelease": "6.8.0-45-generic\n",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Xeon\nmicrocode\t: 0x2b\nflags\t\t: fpu sgx sse\n\nprocessor\t: 1\n",
    "proc/stat": "cpu  100 20 30 9999 500 4 6 700 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\n",
    "proc/loadavg": "0.75 0.50 0.25 1/100 4242\n",
    f"{CPU}/intel_pstate/no_turbo": "0\n",
    f"{CPU}/smt/active": "1\n",
    f"{CPU}/cpufreq/boost": "0\n",
    "sys/class/thermal/thermal_zone0/type": "acpitz\n",
    "sys/class/thermal/thermal_zone0/temp": "99000\n",
    "sys/class/thermal/thermal_zone1/type": "x86_pkg_temp\n",
    "sys/class/thermal/thermal_zone1/temp": "41500\n",
} | {
    f"{CPU}/cpu{n}/{name}": text
    for n in range(2)
    for name, text in {
        "cpufreq/scaling_governor": "powersave\n",
        "cpufreq/scaling_driver": "intel_pstate\n",
        "cpufreq/scaling_min_freq": "800000\n",
        "cpufreq/scaling_max_freq": f"{3000000 + 100000 * n}\n",
        "cpufreq/cpuinfo_max_freq": "3100000\n",
        "thermal_throttle/core_throttle_count": f"{n}\n",
        "thermal_throttle/package_throttle_count": "5\n",
    }.items()
}
NOTHING = Environment(**dict.fromkeys(Environment.__struct_fields__, None))
CALM = replace(
    NOTHING,
    cpus=8,
    virtual=False,
    boost=False,
    governors=("performance",),
    frequency_limited=False,
    smt=False,
    load_1min=0.05,
    sgx=False,
    temperature_c=40.0,
    throttle_events=7,
    steal_s=1.0,
    busy_s=100.0,
)


@pytest.fixture
def tree(tmp_path):
    def build(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return build


def test_facts_of_a_server(tree):
    assert read_environment(tree(SERVER)) == Environment(
        kernel="6.8.0-45-generic",
        cpu="Xeon",
        microcode="0x2b",
        cpus=2,
        virtual=False,
        boost=True,
        governors=("powersave",),
        drivers=("intel_pstate",),
        min_frequency_hz=0.8e9,
        max_frequency_hz=3.1e9,
        frequency_limited=True,
        smt=True,
        load_1min=0.75,
        steal_s=7.0,
        busy_s=1.5,
        sgx=True,
        throttle_events=11,
        temperature_c=41.5,
    )


def test_what_is_not_there_is_not_known(tmp_path):
    assert read_environment(tmp_path) == NOTHING


def test_other_drivers_and_sensors(tree):
    files = {
        "proc/cpuinfo": "flags : fpu hypervisor\n",
        f"{CPU}/cpufreq/boost": "1\n",
        "sys/class/hwmon/hwmon0/name": "nvme\n",
        "sys/class/hwmon/hwmon0/temp1_input": "70000\n",
        "sys/class/hwmon/hwmon1/name": "k10temp\n",
        "sys/class/hwmon/hwmon1/temp1_input": "55250\n",
    }
    facts = read_environment(tree(files))
    assert (facts.boost, facts.temperature_c, facts.virtual, facts.sgx) == (True, 55.25, True, False)


@given(st.sampled_from(sorted(SERVER)), st.text(max_size=60) | st.from_regex(r"[-0-9. ]{0,40}\n?", fullmatch=True))
def test_any_text_in_a_file_is_read_or_not_known(tmp_path_factory, name, text):
    root = tmp_path_factory.mktemp("root")
    path = root / name
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8", errors="replace")
    cautions(read_environment(root))


def test_this_host_can_be_read():
    facts = read_environment()
    assert facts.kernel
    assert facts.busy_s > 0
    for caution in cautions(facts):
        assert caution.what
        assert caution.why
        assert caution.remedy


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"virtual": True}, "virtual machine"),
        ({"boost": True}, "Turbo"),
        ({"governors": ("ondemand", "performance")}, "ondemand, performance"),
        ({"frequency_limited": True}, "upper frequency limit"),
        ({"smt": True}, "SMT"),
        ({"load_1min": 1.5}, "load was 1.5 on 8 CPUs"),
        ({"sgx": True}, "SGX"),
        ({"temperature_c": 91.0}, "91 degrees"),
    ],
)
def test_one_caution_for_one_fact(change, words):
    (caution,) = cautions(replace(CALM, **change))
    assert words in caution.what


def test_nothing_is_said_of_a_calm_machine_or_an_unknown_one():
    assert cautions(CALM) == cautions(NOTHING) == []
    assert cautions_between(CALM, CALM) == cautions_between(NOTHING, CALM) == cautions_between(CALM, NOTHING) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"throttle_events": 9}, "throttled 2 times"),
        ({"steal_s": 3.0, "busy_s": 110.0}, "took 2 s of CPU time, beside 10 s"),
        ({"boost": True}, "boost (False to True)"),
        ({"governors": ("powersave",), "smt": True}, "governors (performance to powersave), smt (False to True)"),
    ],
)
def test_what_happened_during_a_run(change, words):
    (caution,) = cautions_between(CALM, replace(CALM, **change))
    assert words in caution.what


@pytest.mark.parametrize("change", [{"throttle_events": 3}, {"steal_s": 1.05, "busy_s": 110.0}, {"steal_s": 0.0}])
def test_counters_that_began_anew_or_hardly_moved(change):
    assert cautions_between(CALM, replace(CALM, **change)) == []
