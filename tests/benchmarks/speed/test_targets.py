import pytest

from benchmarks.common.machine import has_vnni
from benchmarks.speed.inference import format_results, remarks
from benchmarks.speed.measure import speedup
from benchmarks.speed.targets import (
    CPU_TARGETS,
    check_targets,
    cost_growth,
    cpu_targets,
)


def figures(seconds, latency=10.0, memory=600.0, **more):
    """Results of a system on 1,000 words."""
    return {
        "title": "a system",
        "seconds": {"test": seconds},
        "words_per_second": {"test": 1000 / seconds[0], "100000": 900 / seconds[0]},
        "cost_per_word_us": {"1000": 100.0, "100000": 105.0},
        "latency_ms": {"p50": latency, "p95": 2 * latency},
        "start_to_first_entity_s": 4.0,
        "peak_memory_mb": memory,
        "install_mb": 400.0,
        "entity_f1": {"test": 0.5, "dev": 0.6},
        **more,
    }


@pytest.fixture
def systems():
    return {
        "transformers": figures([10.0, 12.0, 30.0]),
        "onnx-int8": figures(
            [2.0, 2.0, 3.0], latency=2.5, memory=200.0, share_of_limit=0.45
        ),
    }


def judged(systems):
    return {row["name"]: row for row in check_targets(CPU_TARGETS, systems)}


def test_ratios_are_of_the_same_round(systems):
    # 5, 6 and 10.
    assert speedup(systems, "onnx-int8", "transformers") == 6.0
    assert speedup(systems, "onnx-int8", "torch") is None


def test_targets_are_met_or_missed(systems):
    rows = judged(systems)
    speed = rows["words a second, int8 against transformers at its best"]
    assert speed["target"] == ">= 5" and speed["measured"] == 6.0 and speed["met"]
    latency = rows["latency of a post (p50), int8 against transformers"]
    assert latency["measured"] == 0.25 and latency["met"] is False
    memory = rows["peak memory, int8 against transformers"]
    assert memory["measured"] == pytest.approx(1 / 3) and memory["met"]
    share = rows["share of the int8 limit, int8"]
    assert share["measured"] == 0.45 and share["met"] is False


def test_targets_of_skipped_systems_are_open(systems):
    row = judged(systems)["dev entity F1, fp32 less int8"]
    assert row["measured"] is None and row["met"] is None
    assert len(judged({})) == len(CPU_TARGETS)
    assert all(row["met"] is None for row in judged({}).values())


def test_f1_may_rise(systems):
    systems["onnx-fp32"] = figures([4.0] * 3, entity_f1={"test": 0.5, "dev": 0.58})
    row = judged(systems)["dev entity F1, fp32 less int8"]
    assert row["measured"] == pytest.approx(-0.02) and row["met"]


@pytest.fixture
def with_three_layers(systems):
    return {
        **systems,
        "cnn": figures([1.1, 1.8, 2.0], entity_f1={"test": 0.16}, note="no encoder"),
        "onnx-int8-3": figures(
            [1.0, 2.0, 2.5], latency=1.5, entity_f1={"test": 0.485}, note="half of it"
        ),
    }


@pytest.mark.parametrize(
    "has_vnni, bound, is_met", [(True, 1, False), (False, 0.8, True)]
)
def test_speed_of_the_cnn_depends_on_the_processor(
    with_three_layers, has_vnni, bound, is_met
):
    rows = list(check_targets(cpu_targets(has_vnni), with_three_layers))
    [row] = [
        row for row in rows if "words a second" in row["name"] and "CNN" in row["name"]
    ]
    # 1.1, 0.9 and 0.8.
    assert row["measured"] == pytest.approx(0.9) and row["met"] is is_met
    assert row["target"] == f">= {bound}" and len(rows) == len(CPU_TARGETS) + 1


def test_three_layers_have_targets_of_their_own(with_three_layers):
    rows = judged(with_three_layers)
    f1 = rows["test entity F1, int8 with 3 layers against spaCy's CNN"]
    assert f1["measured"] == pytest.approx(0.485 / 0.16) and f1["met"]
    loss = rows["test entity F1, int8 less int8 with 3 layers"]
    assert loss["measured"] == pytest.approx(0.015) and loss["met"] is False
    latency = rows["latency of a post (p50), int8 with 3 layers against transformers"]
    assert latency["measured"] == pytest.approx(0.15) and latency["met"]
    speed = rows["words a second, int8 with 3 layers against transformers at its best"]
    assert speed["measured"] == 10.0 and speed["met"]


def test_no_ratio_to_a_score_of_zero(with_three_layers):
    with_three_layers["cnn"]["entity_f1"]["test"] = 0.0
    row = judged(with_three_layers)[
        "test entity F1, int8 with 3 layers against spaCy's CNN"
    ]
    assert row["measured"] is None and row["met"] is None


def test_vnni_is_a_flag_of_the_processor(tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr("benchmarks.common.machine.Path", lambda name: path)
    assert not has_vnni()
    for flags, found in (("avx2 avx512f", False), ("avx2 avx_vnni sse", True)):
        path.write_text(f"model name : a CPU\nflags : {flags}\n", encoding="utf8")
        assert has_vnni() is found


def test_remarks_explain_systems_with_other_encoders(systems, with_three_layers):
    assert remarks(systems) == ""
    text = remarks(with_three_layers)
    assert text == " *a system*: no encoder. *a system*: half of it."


def test_growth_compares_the_highest_cost_with_the_lowest():
    costs = {"1000": 100.0, "10000": 90.0, "1000 in one": 300.0, "10000 in one": 360.0}
    assert cost_growth({"cost_per_word_us": costs}) == pytest.approx(0.2)


def test_table_has_one_row_per_system(systems):
    device = {"name": "a processor", "threads": 2}
    limits = {"fp32": {"rate": 3.1e11, "library": "torch"}, "operations_per_word": 1.0}
    systems["onnx-int8"]["limit"] = "int8"
    results = {"systems": systems, "limits": limits, "device": device, "rounds": 3}
    head, rule, *rows, blank, below = format_results(results).splitlines()
    assert head.count("|") == rule.count("|") == 11 and "100,000 words" in head
    assert rows == [
        "| a system | 100 | 1.00 | 90 | 10.0 / 20.0 | 4.00 | 600 | 400 | 50.0 |  |",
        "| a system | 500 | 6.00 | 450 | 2.5 / 5.0 | 4.00 | 200 | 400 | 50.0 "
        "| 0.45 (int8) |",
    ]
    assert not blank
    assert below == (
        "a processor, 2 threads, 3 rounds; limits, in 10⁹ operations per second: "
        "fp32 310 (torch)."
    )
