"""What a user chooses: a model, and how it acts."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from vla_bench.errors import UsageError
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.values import Decoding, Device, one_of


@dataclass(frozen=True)
class ModelChoice:
    """Which policy to make, and how.  Raises UsageError for a value outside its closed set.

    model: any name that `resolve_model` knows.
    seed: of a policy that draws.
    suites: short names of the suites that it will act in; they choose among checkpoints and statistics.
    pruner: None is the checkpoint's own: lightvla for a LightVLA checkpoint, none for others.
    pruner_args: its arguments, as `layer=3,keep=0.25` or a TOML file.
    unnorm_key: entry of the checkpoint's action statistics; None is the suite's.
    threads: of the CPU, for the model; None leaves it to torch, which takes all cores.
    action_slice: where the action head reads the decoder's output; None follows the checkpoint's release.
    """

    model: str
    _: KW_ONLY
    seed: int = 0
    suites: tuple[str, ...] = ()
    pruner: str | None = None
    pruner_args: str | None = None
    decoding: Decoding = Decoding.L1
    unnorm_key: str | None = None
    action_slice: ActionSlice | None = None
    device: Device = Device.AUTO
    threads: int | None = None

    def __post_init__(self):
        self._becomes("decoding", one_of(Decoding, self.decoding, "--decoding"))
        self._becomes("device", one_of(Device, self.device, "--device"))
        if self.action_slice is not None:
            self._becomes("action_slice", one_of(ActionSlice, self.action_slice, "--action-slice"))
        if self.pruner_args is not None and self.pruner is None:
            raise UsageError("--pruner-args need a pruner", f"vla-bench eval --pruner fastv --pruner-args {self.pruner_args}")

    def _becomes(self, name: str, member: object) -> None:
        """Plain text is welcome where a member of a closed set is meant."""
        object.__setattr__(self, name, member)
