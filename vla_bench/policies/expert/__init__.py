"""The scripted expert: solves the tasks closed loop from the poses of all objects."""

from vla_bench.policies.expert.expert import Expert

__all__ = ["Expert"]
