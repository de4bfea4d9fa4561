"""openpi's own client on a running `vla-bench serve`: the metadata, a chunk (8, 7), and an error in words.

python openpi.py [HOST [PORT]]              # needs openpi-client==0.1.2 and typing_extensions
"""

from __future__ import annotations

import sys

import numpy as np
from openpi_client.websocket_client_policy import WebsocketClientPolicy

host, port = (*sys.argv[1:], *("127.0.0.1", "8000")[len(sys.argv) - 1 :])[:2]
client = WebsocketClientPolicy(host, int(port))
assert client.get_server_metadata()["wires"] == ["openpi", "vla-eval"]
draw = np.random.default_rng(0)
request = {f"observation/{name}": draw.integers(0, 256, (224, 224, 3), np.uint8) for name in ("image", "wrist_image")}
request |= {"observation/state": np.array([0, 0, 1, 3.1, 0, 0, 0.04, -0.04]), "prompt": "pick up the milk"}
answer = client.infer(request)
assert answer["actions"].shape == (8, 7) and np.isfinite(answer["actions"]).all()
print(f"a chunk {answer['actions'].shape} in {answer['server_timing']['infer_ms']:.0f} ms, kept {answer['query']['kept']}")
try:
    client.infer({"prompt": "pick up the milk"})
except RuntimeError as error:
    print(f"an error in words: {str(error).splitlines()[-1]}")
else:
    raise AssertionError("a request without pictures was answered")
