"""Hardware and software of a measurement."""

import datetime
import os
import platform
from pathlib import Path

import psutil  # type: ignore[import-untyped]

# Load average above which the machine is not idle.
QUIET_LOAD = 0.5
# Ratio of the slowest round to the fastest above which the machine was not idle.
QUIET_SPREAD = 1.15


def processor_name() -> str:
    """Model name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def has_vnni() -> bool:
    """Whether the processor has VNNI, instructions for int8 products. False where
    /proc/cpuinfo doesn't exist.
    """
    info = Path("/proc/cpuinfo")
    words = info.read_text(encoding="utf8").split() if info.exists() else []
    return not {"avx512_vnni", "avx_vnni"}.isdisjoint(words)


def load_average() -> float:
    """Load average of the last minute; 0.0 where the system has none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def describe_machine() -> dict[str, str | int | None]:
    """The processor, platform, Python version, and date of a measurement."""
    return {
        "name": processor_name(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
    }


def memory_mib(process: psutil.Process) -> float:
    """Resident memory of a process and its descendants, in MiB."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20
