"""What a server of vla-bench says of a query, for `queries.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping

from vla_bench.errors import WireError
from vla_bench.query_record import QueryRecord
from vla_bench.wires import own


def read_query(answer: Mapping[str, object]) -> QueryRecord | None:
    """None where the answer says nothing, as where its action comes from the server's buffer.  Raises WireError."""
    said = answer.get(own.QUERY)
    if said is None:
        return None
    try:
        return QueryRecord.from_dict(said)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WireError(f"what the server says of the query is not readable: {error!r:.200}") from None
