import pytest

from vla_bench.errors import UsageError
from vla_bench.wires.address import Wire, is_address, parse_address


@pytest.mark.parametrize(
    ("text", "url", "wire"),
    [
        ("ws://localhost:8000", "ws://localhost:8000", None),
        ("ws+openpi://10.0.0.1:9/", "ws://10.0.0.1:9", Wire.OPENPI),
        ("wss+vla-eval://gpu.example.org:443/pi", "wss://gpu.example.org:443/pi", Wire.VLA_EVAL),
        ("ws://[::1]:8000", "ws://[::1]:8000", None),
    ],
)
def test_an_address_is_host_port_and_perhaps_wire(text, url, wire):
    address = parse_address(text)
    assert address.url == url and address.wire is wire and parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ws://localhost", "names no port\n  fix: --model ws://localhost:8000"),
        ("ws://:8000", "names no host"),
        ("ws://a:99999", "is no address"),
        ("ws://[a:1", "is no address"),
        ("ws+grpc://a:1", 'no wire is called "grpc": there are vla-eval, openpi'),
        ("ws://me:secret@a:1", "host, port and path alone"),
        ("ws:a:1", "names no host"),
    ],
)
def test_what_is_no_address_is_refused_in_words(text, says):
    assert is_address(text)
    with pytest.raises(UsageError, match=says):
        parse_address(text)


def test_other_models_are_no_addresses():
    assert not any(is_address(name) for name in ("nano", "ws", "wsx://a", "replay:RUN", "owner/ws", "./ws+a"))
