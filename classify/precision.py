"""Which arithmetic this processor is fast at."""

import os
import platform
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
NATIVE_FLAGS = ("amx_bf16", "avx512_bf16")


def processor():
    """Return the processor's name and the number of cores this process may use: 'AMD EPYC, 2 cores'."""
    name = next((line.split(":")[1].strip() for line in _cpu_info() if line.startswith("model name")), None)
    return f"{name or platform.processor() or platform.machine()}, {cores()} cores"


def cores():
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def choose(precision):
    """Return (``"float32"`` or ``"bfloat16"``, the reason in a few words) for ``--precision``.

    ``auto`` takes bfloat16 only where it is multiplied natively: it is emulated, and slower than float32,
    everywhere else.
    """
    if precision != "auto":
        return precision, "as asked"
    gpus = _gpu_capabilities()
    if gpus:
        native = min(gpus) >= (8, 0)
        return ("bfloat16", "native on this GPU") if native else ("float32", "no native bfloat16 on this GPU")
    flag = next((flag for flag in NATIVE_FLAGS if flag in _cpu_flags()), None)
    if flag:
        return "bfloat16", f"native here: {flag}"
    return "float32", "no native bfloat16 here"


def _cpu_info():
    try:
        return CPU_INFO.read_text().splitlines()
    except OSError:  # not Linux
        return []


def _cpu_flags():
    return next((line.split() for line in _cpu_info() if line.startswith("flags")), [])


def _gpu_capabilities():
    """The compute capabilities, (major, minor), of the GPUs that TensorFlow sees; bfloat16 is native from 8, Ampere."""
    import tensorflow as tf

    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    return [detail.get("compute_capability", (0, 0)) for detail in details]
