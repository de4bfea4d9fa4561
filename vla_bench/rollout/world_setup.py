"""What a machine simulates with: LIBERO's files, an asset pack, OpenGL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from vla_bench import environment
from vla_bench.records import EpisodeKey
from vla_bench.rollout.worker import Simulators
from vla_bench.suites import Suite
from vla_bench.world.assets import AssetPack, resolve_assets
from vla_bench.world.gl import GL, choose_gl
from vla_bench.world.init_states import read_init_states
from vla_bench.world.libero import bddl_file, init_states_file
from vla_bench.world.protocol import make_simulator

WORKER_BYTES = 0.6e9  # resident size of a simulator with the embedded pack, measured and rounded up
WORKER_BYTES_MESHES = 2.5e9  # and with meshes


@dataclass(frozen=True)
class WorldSetup:
    """A machine's asset pack, OpenGL and packages, and the simulators that they make."""

    assets: AssetPack
    gl: GL
    simulators: Simulators
    packages: dict[str, str | None]  # those of the machine that made this, wherever it is read

    @property
    def identity(self) -> dict[str, object]:
        """What of it determines how an episode ends; part of a run's configuration."""
        return {
            "assets": self.assets.identity,
            "gl_backend": self.gl.backend,
            "drawn_by": self.gl.drawn_by,
            "packages": self.packages,
        }


def check_files(suites: Sequence[Suite], keys: Sequence[EpisodeKey]) -> None:
    """Check LIBERO's files for the requested episodes.  Raises WorldError."""
    wanted = {key[:2] for key in keys}
    for suite in suites:
        for task in suite.tasks:
            if (suite.name, task.id) in wanted:
                read_init_states(init_states_file(suite, task))
                bddl_file(suite, task)


def set_up(suites: Sequence[Suite], assets: AssetPack) -> WorldSetup:
    """Choose OpenGL.  Raises WorldError."""
    gl = choose_gl()
    by_name = {suite.name: suite for suite in suites}
    simulators = Simulators(by_name, partial(make_simulator, assets=assets), gl.environment())
    return WorldSetup(assets, gl, simulators, environment.versions(environment.OUTCOME_PACKAGES))


def check_and_set_up(suites: Sequence[Suite], keys: Sequence[EpisodeKey], assets: str) -> WorldSetup:
    """The setup of a machine of which nothing is known.  assets: as `resolve_assets` takes it.  Raises VlaBenchError."""
    check_files(suites, keys)
    return set_up(suites, resolve_assets(assets, suites))


def worker_bytes(assets: AssetPack) -> float:
    """Memory of a simulator."""
    return WORKER_BYTES if assets.embedded else WORKER_BYTES_MESHES
