"""An API that is guarded by Auth0's SDK, as it is: it accepts what `verify_request` accepts, and prints its address.

The SDK gets the issuer's metadata and keys from the first line of the input instead of fetching them by HTTPS.
"""

import asyncio
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from auth0_api_python import ApiClient, ApiClientOptions
from auth0_api_python.errors import BaseAuthError

published = json.loads(sys.stdin.readline())


async def fetch(url: str) -> Any:
    return published["metadata" if "openid-configuration" in url else "jwks"]


class Api(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = f"http://{self.headers['host']}{self.path}"
        try:
            claims = asyncio.run(sdk.verify_request(dict(self.headers), "GET", url))
            self.respond(200, {"user": claims["sub"]})
        except BaseAuthError as error:
            self.respond(error.get_status_code(), {"error": error.get_error_code()}, error.get_headers())

    def respond(self, status: int, body: dict[str, Any], headers: Any = ()) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


sdk = ApiClient(
    ApiClientOptions(domain=published["domain"], audience=published["audience"], custom_fetch=fetch, dpop_required=True)
)
server = HTTPServer(("127.0.0.1", 0), Api)
sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
sys.stdout.flush()
server.serve_forever()
