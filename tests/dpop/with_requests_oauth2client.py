"""requests-oauth2client against our server. `make interop` installs it and runs this; the suite does not."""

import json
import subprocess
from pathlib import Path

from ..oauth.live import served

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / "build" / "interop" / "bin" / "python"
SCRIPT = ROOT / "tests" / "oauth" / "python" / "requests_oauth2client_dpop.py"


def test_requests_oauth2client() -> None:
    """A client in Python that nobody here wrote: refresh and resource with its proofs; a thief gets nothing."""
    with served(dpop=True) as application:
        command = [str(PYTHON), str(SCRIPT), application.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert 0 == done.returncode, done.stderr
    assert {"token_type": "DPoP", "opened": 200, "thief": "invalid_dpop_proof"} == json.loads(done.stdout)
