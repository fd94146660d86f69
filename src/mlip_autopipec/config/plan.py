"""What the workflow needs to know before anything has run: names of walkers and where files lie."""

from __future__ import annotations


def walker_names(temperatures_k: list[float], replicas: int = 1) -> dict[str, float]:
    """Names of walkers and their temperatures (K): ``T0300-0``, ``T0300-1``, ``T0800-0`` ..."""
    return {f"T{t:04.0f}-{n}": t for t in temperatures_k for n in range(replicas)}
