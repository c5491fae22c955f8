"""What a program runs on: the processor, the packages, and the commit of this code."""

import contextlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "numpy", "scikit-learn")
CPU_INFO = Path("/proc/cpuinfo")


def processor():
    """Return the processor's name and the number of cores that this process may use: 'AMD EPYC, 2 cores'."""
    name = next((line.split(":")[1].strip() for line in cpu_info() if line.startswith("model name")), None)
    return f"{name or platform.processor() or platform.machine()}, {cores()} cores"


def cores():
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def cpu_flags():
    """Return what the processor can do, in Linux's words, 'avx512_bf16'; nothing on another system."""
    return next((line.split()[2:] for line in cpu_info() if line.startswith("flags")), [])


def cpu_info():
    """Return what Linux says of the processor, as lines; none on another system."""
    try:
        return CPU_INFO.read_text().splitlines()
    except OSError:
        return []


def packages():
    """Return the versions of Python and of the packages that results depend on."""
    versions = {"python": platform.python_version()}
    for name in (*PACKAGES, *(["jax"] if os.environ.get("KERAS_BACKEND") == "jax" else [])):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # as where tensorflow-cpu stands in
            versions[name] = importlib.metadata.version(name)
    return versions


def commit():
    """Return this code's git commit, ``-dirty`` if files differ from it, or None outside a git checkout."""
    command = ("git", "-C", PROJECT, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
