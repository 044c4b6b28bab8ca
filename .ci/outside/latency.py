"""Reads the results of a run with another program's HdrHistogram, and adds up what was counted in several places.

Usage: latency.py RUN-DIRECTORY

Everything that run.json says of latency must follow from the .hlog and .hgrm files beside it, and the counters of run.json, the
time series, the histograms and the history must agree. Says what it compared; exits with 1 at the first contradiction.
"""

import csv
import json
import math
import sys
from pathlib import Path

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

# The bounds of the published histograms: 1 us to 1 h in nanoseconds, three significant digits.
LOWEST_NS, HIGHEST_NS, DIGITS = 1_000, 3_600_000_000_000, 3
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "p9999": 0.9999}
NS_PER_US = 1e3
NS_PER_MS = 1e6


def check(holds, complaint):
    if not holds:
        sys.exit(f"latency.py: {complaint}")


def of_log(path):
    """The sum of all intervals of a .hlog, and how many there are."""
    total = HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)
    reader = HistogramLogReader(str(path), total)
    intervals = 0
    while (interval := reader.get_next_interval_histogram()) is not None:
        total.add(interval)
        intervals += 1
    reader.close()
    return total, intervals


def at_rank(histogram, rank):
    """The value of this rank, from 1. Libraries round a percentile to a rank in different ways; a rank is a rank."""
    return histogram.get_value_at_percentile(100.0 * rank / histogram.get_total_count())


def check_summary(place, histogram, summary):
    """Count and percentiles of run.json against the other program's."""
    count = histogram.get_total_count()
    check(count == summary["count"], f"{place}: {count} values, run.json has {summary['count']}")
    for name, quantile in QUANTILES.items():
        # The smallest value that at least this share does not exceed.
        theirs = at_rank(histogram, math.ceil(quantile * count - 1e-9))
        ours = round(summary[name] * NS_PER_US)
        check(histogram.values_are_equivalent(ours, theirs), f"{place}: {name} is {theirs} ns, run.json has {ours} ns")
    largest = round(summary["max"] * NS_PER_US)
    check(histogram.values_are_equivalent(largest, histogram.get_max_value()), f"{place}: the maximum differs")


def check_text(path, histogram):
    """Each line of a .hgrm: value in ms, quantile, count up to it."""
    lines = 0
    for line in path.read_text().splitlines():
        fields = line.split()
        if len(fields) < 3 or line.startswith("#") or fields[0] == "Value":
            continue
        value_ms, count = float(fields[0]), int(fields[2])
        value_ns = at_rank(histogram, count)
        check(math.isclose(value_ms, value_ns / NS_PER_MS, rel_tol=1e-3, abs_tol=1e-3), f"{path}: {value_ms} ms has rank {count}, which is {value_ns} ns")
        lines += 1
    check(lines > 0, f"{path} has no percentiles")
    check(count == histogram.get_total_count(), f"{path} ends at {count}")
    return lines


def column_sums(path):
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return {name: sum(int(row[name]) for row in rows) for name in ("offered", "sent", "ok", "failed", "dropped")}


def ok_lines(path):
    """Lines of the measured phase with status ok."""
    with path.open() as file:
        lines = [json.loads(line) for line in file]
    return sum(1 for line in lines if line["status"] == "ok" and "phase" not in line)


def check_repeat(directory, repeat):
    operations = repeat["operations"]
    latencies = repeat["latency_us"]
    check(latencies["all"]["count"] > 0, f"{directory}: nothing succeeded, so nothing was compared")
    by_kind = 0
    for kind, summary in latencies.items():
        log = directory / "latency" / f"{kind}.hlog"
        histogram, intervals = of_log(log)
        check_summary(log, histogram, summary)
        lines = check_text(log.with_suffix(".hgrm"), histogram)
        by_kind += 0 if kind == "all" else summary["count"]
        print(f"{kind}: {summary['count']} values in {intervals} intervals, {len(QUANTILES)} percentiles, {lines} lines of .hgrm")
    check(latencies["all"]["count"] == operations["ok"] == by_kind, f"{directory}: histograms hold {by_kind}, ok are {operations['ok']}")
    sums = column_sums(directory / "timeseries.csv")
    for name, total in sums.items():
        check(total == operations[name], f"{directory}/timeseries.csv: {name} adds up to {total}, run.json has {operations[name]}")
    history = repeat["history"]
    if history["mode"] == "full":
        found = ok_lines(directory / "history.jsonl")
        check(found == operations["ok"], f"{directory}/history.jsonl: {found} lines are ok, run.json has {operations['ok']}")
    print(f"totals agree: {sums}, history {history['mode']}")


def main():
    run = Path(sys.argv[1])
    repeats = json.loads((run / "run.json").read_text())["repeats"]
    check(repeats, f"{run}/run.json has no repeats")
    for number, repeat in enumerate(repeats, 1):
        check_repeat(run / f"repeat-{number}", repeat)


main()
