"""Credentials and endpoints are those that botocore finds, in every environment."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from botocore.session import Session

from parley.aws import clients
from parley.aws.credentials import credential_source, find_endpoint, find_region
from parley.aws.failures import NoCredentials
from parley.aws.signature import Credentials

SERVICES = ("dynamodb", "secretsmanager", "lambda")
REGIONS = (
    *("us-east-1", "eu-west-1", "ap-southeast-7", "il-central-1", "mx-central-1", "ca-west-1"),
    *("us-gov-west-1", "cn-north-1", "us-iso-east-1", "us-isob-east-1", "eusc-de-east-1"),
)
VARIABLES: dict[str, dict[str, str]] = {
    "nothing": {},
    "one endpoint for all": {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"},
    "one for each": {
        "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://127.0.0.1:2",
        "AWS_ENDPOINT_URL_LAMBDA": "https://127.0.0.1:3",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
    },
    "those are ignored": {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    },
    "FIPS": {"AWS_USE_FIPS_ENDPOINT": "true"},
    "dual stack": {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
}


@pytest.fixture(autouse=True)
def fresh_session(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """botocore reads the environment once for each session."""
    clients.botocore_session.cache_clear()
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    yield
    clients.botocore_session.cache_clear()


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_s_endpoints(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    session = Session()
    for service in SERVICES:
        theirs = session.create_client(service).meta.endpoint_url
        assert find_endpoint(service, find_region()) == theirs


@pytest.mark.parametrize("name", VARIABLES)
def test_endpoints_that_the_environment_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in VARIABLES[name].items():
        monkeypatch.setenv(variable, value)
    session = Session()
    for service in SERVICES:
        theirs = session.create_client(service).meta.endpoint_url
        assert find_endpoint(service, find_region()) == theirs


def test_a_region_of_lambda_s_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert find_region() == "eu-north-1"


def test_lambda_s_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert credential_source()() == Credentials(
        "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "token"
    )


def test_a_container_s_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(
                {
                    "AccessKeyId": "ASIACONTAINER",
                    "SecretAccessKey": "secret",
                    "Token": self.headers.get("Authorization", ""),
                    "Expiration": "2099-01-01T00:00:00Z",
                }
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        url = f"http://127.0.0.1:{server.server_port}/v1/credentials"
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod")
        source = credential_source()
        assert [source() for _ in range(2)] == [Credentials("ASIACONTAINER", "secret", "pod")] * 2
        server.shutdown()
        thread.join()


def test_credentials_that_expire_are_read_again_by_botocore(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2099-01-01T00:00:00Z")
    source = credential_source()
    assert source().access_key == "AKIDEXAMPLE"
    assert "botocore" in sys.modules


def test_nobody_s_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(NoCredentials):
        credential_source()()


@pytest.mark.parametrize("function", ["message", "connect", "turn"])
def test_a_usual_environment_does_not_import_botocore(function: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, 'functions/{function}'); import app; "
        "print(*sorted({'botocore.session', 'botocore.client', 'urllib3'} & set(sys.modules)))"
    )
    variables = {
        "TABLE_NAME": "table",
        "TURN_FUNCTION": "turn",
        "SECRET_ARN": "arn",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_REGION": "eu-west-1",
        "LLM_MODEL": "m",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_SESSION_TOKEN": "x",
        "POWERTOOLS_METRICS_NAMESPACE": "P",
        "POWERTOOLS_SERVICE_NAME": "p",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=variables
    )
    assert done.stdout.strip() == ""
