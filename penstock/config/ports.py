"""Which port to serve on when nobody names one."""

from __future__ import annotations

import socket

from penstock.config.schema import DEFAULT_PORT


def free_port() -> int:
    """The default port when nobody has it, else 0: any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", DEFAULT_PORT))
        except OSError:
            return 0
    return DEFAULT_PORT
