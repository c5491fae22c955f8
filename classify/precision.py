"""Which arithmetic this processor is fast at."""

from classify import environment


def choose(precision):
    """Return (``"float32"`` or ``"bfloat16"``, the reason in a few words) for ``--precision``.

    ``auto`` takes bfloat16 only where the processor multiplies it natively. Elsewhere it is emulated, which is slower
    than float32.
    """
    if precision != "auto":
        return precision, "as asked"
    from classify.backends import backend

    gpus = backend.gpu_capabilities()
    if gpus:
        native = min(gpus) >= (8, 0)  # Ampere was the first
        return ("bfloat16", "native on this GPU") if native else ("float32", "no native bfloat16 on this GPU")
    native = next((flag for flag in backend.FAST_BFLOAT16 if flag in environment.cpu_flags()), None)
    return ("bfloat16", f"native here: {native}") if native else ("float32", "no fast bfloat16 here")
