"""Ends with 0 when the server in this container answers that it is well, otherwise with 1."""

from __future__ import annotations

import http.client
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("MEMORAS_PORT", "8080")), timeout=4)
try:
    connection.request("GET", "/health")
    is_well = connection.getresponse().status == http.HTTPStatus.OK
except (OSError, http.client.HTTPException):
    is_well = False
sys.exit(0 if is_well else 1)
