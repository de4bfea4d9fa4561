"""The server that docs/remote.md shows is one."""

import re
import sys
import types

import numpy as np
from vla_eval.model_servers import serve

from vla_bench.policies.remote.terms import read_hello
from vla_bench.wires.vla_eval import hello

from ...conftest import ROOT
from .servers import CHUNK, SUITE


def test_the_example_serves_a_function(monkeypatch):
    (source,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "remote.md").read_text(), re.DOTALL)
    assert len(source.split("class Server")[1].splitlines()) <= 20 + 3
    monkeypatch.setitem(
        sys.modules, "yours", types.SimpleNamespace(load_model=lambda: lambda picture, text: CHUNK + picture.mean())
    )
    served = []
    monkeypatch.setattr(serve, "serve", lambda server, host, port: served.append(server))
    exec(source, {})
    seen = {"images": {"agentview": np.ones((256, 256, 3), np.uint8)}, "task_description": "push"}
    assert np.allclose(served[0].predict(seen, None)["actions"], CHUNK + 1)
    specs = {"action_spec": served[0].get_action_spec(), "observation_spec": served[0].get_observation_spec()}
    told = {name: {part: spec.to_dict() for part, spec in parts.items()} for name, parts in specs.items()}
    read_hello(hello("test", observation_params=served[0].get_observation_params(), **told), [SUITE])
