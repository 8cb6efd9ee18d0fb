"""A real server of the S3 protocol on loopback, and what a client of it needs to know."""

import itertools
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import s3fs
from moto.server import ThreadedMotoServer

SECRET = "not-to-be-told"  # noqa: S105 - the server asks for none
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
    # Nobody else is asked for credentials.
    "AWS_EC2_METADATA_DISABLED": "true",
}


class S3Server(ThreadedMotoServer):
    """A server of which a test may let requests fail."""

    def let_fail(self, number: int, *, every: int) -> None:
        """Answer every so manieth request with a number, such as 500."""
        count = itertools.count(1)
        answer = self._server.app

        def fail(environ: Any, start_response: Any) -> Any:
            if next(count) % every:
                return answer(environ, start_response)
            # A server reads what it is sent, whatever it says to it.
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(f"{number} As Planned", [("Content-Type", "application/xml")])
            return [b"<Error><Code>Planned</Code><Message>as planned</Message></Error>"]

        self._server.app = fail


@contextmanager
def s3_server(let_fail: Callable[[S3Server], None] = lambda _: None) -> Iterator[str]:
    """Serve an empty bucket, and export address and credentials as a user would."""
    server = S3Server(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        s3fs.S3FileSystem.clear_instance_cache()
        # All servers of one process have the same buckets.
        bucket = f"evidence-{uuid.uuid4().hex}"
        s3fs.S3FileSystem().mkdir(bucket)
        let_fail(server)
        yield f"s3://{bucket}"
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()
