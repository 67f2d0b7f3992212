"""`mlserver start FOLDER`, with every port it opens free: its HTTP port given, the others chosen here."""

from __future__ import annotations

import os
import socket
import sys


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


if __name__ == "__main__":
    folder, port = sys.argv[1:]
    os.environ |= {
        "MLSERVER_HTTP_PORT": port,
        "MLSERVER_GRPC_PORT": _free_port(),
        "MLSERVER_METRICS_PORT": _free_port(),
    }
    mlserver = os.path.join(os.path.dirname(sys.executable), "mlserver")
    os.execv(mlserver, [mlserver, "start", folder])
