"""What a server grants its clients.  A client that wants more is told so, and disturbs nobody."""

from __future__ import annotations

from vla_bench.documents import MB

FRAME = 8 * MB  # bytes of a frame; two raw pictures of 1024 pixels have 6 MB
WAITING = 4  # frames of a session that wait to be read
SESSIONS = 64  # at a time, by default
BATCH = 32  # queries of a forward pass
QUIET_S = 0.5  # after which a client that has said nothing is taken for one of openpi
IDLE_S = 600.0  # in which a session has sent something
QUERY_S = 300.0  # in which the model has answered
SEND_S = 30.0  # in which a client has read its answer
INSTRUCTION = 1000  # characters
SMALLEST, LARGEST = 16, 1024  # pixels a side of a picture
PATH = 1024  # positions
