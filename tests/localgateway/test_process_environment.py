"""The environment variables of the gateway's processes."""

from localgateway.process_environment import Credentials, embedded, with_dynamodb

ENGINE = "http://127.0.0.1:5000"
SHELL = {"PATH": "/bin", "HOME": "/home/me", "CONNECTIONS_TABLE": "other", "PYTHONPATH": "/x"}
OWN = Credentials("LOCALKEY", "secret")


def test_the_shells_settings_are_not_inherited() -> None:
    """Processes inherit only what they need to run, and the run's credentials and region."""
    shell = {**SHELL, "AWS_ACCESS_KEY_ID": "mine", "AWS_PROFILE": "mine", "AWS_REGION": "eu-west-1"}

    variables = embedded(shell, OWN, "sa-east-1")

    assert variables == {
        "PATH": "/bin",
        "HOME": "/home/me",
        "AWS_ACCESS_KEY_ID": "LOCALKEY",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "sa-east-1",
        "AWS_DEFAULT_REGION": "sa-east-1",
    }


def test_credentials_are_new_for_each_run() -> None:
    """They are long and random, and the secret is not shown."""
    first, second = Credentials(), Credentials()

    assert first.access_key != second.access_key
    assert first.secret_key != second.secret_key
    assert len(first.access_key) >= 24
    assert first.secret_key not in repr(first)


def test_every_service_is_the_embedded_one() -> None:
    """Without `--dynamodb-endpoint`, one endpoint serves all."""
    variables = with_dynamodb(embedded(SHELL, OWN), SHELL, ENGINE, None)

    assert variables == {**embedded(SHELL, OWN), "AWS_ENDPOINT_URL": ENGINE}


def test_another_dynamodb_gets_the_shells_credentials() -> None:
    """The run's credentials are used if the shell has none."""
    shell = {**SHELL, "AWS_PROFILE": "mine"}

    own = with_dynamodb(embedded(shell, OWN), shell, ENGINE, "http://127.0.0.1:8000")
    dummy = with_dynamodb(embedded(SHELL, OWN), SHELL, ENGINE, "http://127.0.0.1:8000")

    assert own["AWS_ENDPOINT_URL_DYNAMODB"] == "http://127.0.0.1:8000"
    assert own["AWS_ENDPOINT_URL"] == ENGINE
    assert own["AWS_PROFILE"] == "mine"
    assert "AWS_ACCESS_KEY_ID" not in own
    assert dummy["AWS_ACCESS_KEY_ID"] == "LOCALKEY"
