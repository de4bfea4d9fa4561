"""The scripted expert: reads the privileged scene and solves the tasks, closed loop."""

from vla_bench.policies.expert.expert import Expert

__all__ = ["Expert"]
