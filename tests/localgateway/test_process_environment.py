"""The environment variables of the gateway's processes."""

from localgateway.process_environment import embedded, with_dynamodb

ENGINE = "http://127.0.0.1:5000"
SHELL = {"PATH": "/bin", "HOME": "/home/me", "CONNECTIONS_TABLE": "other", "PYTHONPATH": "/x"}


def test_the_shells_settings_are_not_inherited() -> None:
    """Processes inherit only what they need to run, and no credentials."""
    shell = {**SHELL, "AWS_ACCESS_KEY_ID": "mine", "AWS_PROFILE": "mine", "AWS_REGION": "eu-west-1"}

    variables = embedded(shell)

    assert variables == {
        "PATH": "/bin",
        "HOME": "/home/me",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def test_every_service_is_the_embedded_one() -> None:
    """Without `--dynamodb-endpoint`, one endpoint serves all."""
    variables = with_dynamodb(SHELL, ENGINE, None)

    assert variables == {**embedded(SHELL), "AWS_ENDPOINT_URL": ENGINE}


def test_another_dynamodb_gets_the_shells_credentials_and_region() -> None:
    """Dummy credentials are used if the shell has none."""
    shell = {**SHELL, "AWS_PROFILE": "mine", "AWS_DEFAULT_REGION": "eu-west-1"}

    own = with_dynamodb(shell, ENGINE, "http://127.0.0.1:8000")
    dummy = with_dynamodb(SHELL, ENGINE, "http://127.0.0.1:8000")

    assert own["AWS_ENDPOINT_URL_DYNAMODB"] == "http://127.0.0.1:8000"
    assert own["AWS_ENDPOINT_URL"] == ENGINE
    assert own["AWS_PROFILE"] == "mine"
    assert "AWS_ACCESS_KEY_ID" not in own
    assert own["AWS_REGION"] == own["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert dummy["AWS_ACCESS_KEY_ID"] == "local"
    assert dummy["AWS_REGION"] == "us-east-1"
