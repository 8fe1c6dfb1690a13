import os

import pytest

from canaryd.errors import OperatorError
from canaryd.settings import MAX_SECRET_BYTES, Settings, describe, load_settings, secret_variable
from canaryd.telemetry import redaction
from canaryd.telemetry.redaction import redact_text


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("CANARYD_") or name in {"STATE_DIRECTORY", "CREDENTIALS_DIRECTORY"}:
            monkeypatch.delenv(name)
    monkeypatch.setattr(redaction, "_secrets", set())


@pytest.fixture
def environment(monkeypatch):
    return monkeypatch.setenv


def test_without_any_variable_everything_has_a_safe_default():
    settings = load_settings()
    assert (settings.http_host, settings.log_format, settings.log_level) == ("127.0.0.1", "auto", "info")
    assert settings.state_dir is None
    assert 1024 < settings.http_port < 32768


def test_variables_set_what_they_name(environment):
    environment("CANARYD_HTTP_HOST", "::1")
    environment("CANARYD_HTTP_PORT", "0")
    environment("CANARYD_HTTP_ALLOWED_HOSTS", "a.example, b.example,")
    environment("CANARYD_LOG_LEVEL", "WARNING")
    settings = load_settings()
    assert (settings.http_host, settings.http_port, settings.log_level) == ("::1", 0, "warning")
    assert settings.http_allowed_hosts == ("a.example", "b.example")


def test_the_command_line_comes_before_the_environment(environment):
    environment("CANARYD_HTTP_PORT", "1")
    environment("CANARYD_STATE_DIR", "/from-environment")
    settings = load_settings(http_port=2, state_dir="/from-flag")
    assert (settings.http_port, str(settings.state_dir)) == (2, "/from-flag")


def test_systemd_folders_are_used_unless_others_are_named(environment):
    environment("STATE_DIRECTORY", "/var/lib/one:/var/lib/two")
    environment("CREDENTIALS_DIRECTORY", "/run/credentials")
    assert str(load_settings().state_dir) == "/var/lib/one"
    assert str(load_settings().secrets_dir) == "/run/credentials"
    environment("CANARYD_STATE_DIR", "/own")
    environment("CANARYD_SECRETS_DIR", "/own-secrets")
    assert str(load_settings().state_dir) == "/own"
    assert str(load_settings().secrets_dir) == "/own-secrets"


def test_an_empty_variable_is_as_good_as_none(environment):
    environment("CANARYD_HTTP_PORT", "")
    environment("STATE_DIRECTORY", "")
    assert load_settings().http_port == load_settings(http_port=22627).http_port
    assert load_settings().state_dir is None


def test_a_misspelt_variable_is_an_error_that_names_the_right_one(environment):
    environment("CANARYD_HTTP_PROT", "1")
    with pytest.raises(OperatorError, match=r"CANARYD_HTTP_PROT.*Did you mean CANARYD_HTTP_PORT\?"):
        load_settings()


def test_an_unknown_variable_without_likeness_is_answered_with_all_there_are(environment):
    environment("CANARYD_ZZZ", "1")
    with pytest.raises(OperatorError, match="CANARYD_STATE_DIR"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CANARYD_HTTP_PORT", "65536"),
        ("CANARYD_HTTP_PORT", "http"),
        ("CANARYD_HTTP_HOST", "localhost"),
        ("CANARYD_LOG_FORMAT", "xml"),
        ("CANARYD_LOG_LEVEL", "loud"),
        ("CANARYD_HTTP_ALLOWED_HOSTS", ",".join(f"h{number}" for number in range(51))),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable(environment, variable, value):
    environment(variable, value)
    with pytest.raises(OperatorError) as error:
        load_settings()
    assert str(error.value).startswith(f"{variable}: ")
    assert "\n" not in str(error.value)


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().http_port = 1


def test_the_documentation_names_every_variable():
    table = describe()
    assert all(f"`CANARYD_{name.upper()}`" in table for name in Settings.model_fields)
    assert all(row.count("|") == 4 for row in table.splitlines())


# ---------------------------------------------------------------- secrets


@pytest.fixture
def folder(tmp_path, environment):
    environment("CANARYD_SECRETS_DIR", str(tmp_path))
    return tmp_path


def test_a_secret_comes_from_its_variable_before_its_file(environment, folder):
    (folder / "prom-token").write_text("from-file\n")
    assert load_settings().secret("prom-token") == "from-file"
    environment("CANARYD_SECRET_PROM_TOKEN", "from-variable")
    assert load_settings().secret("prom-token") == "from-variable"


@pytest.mark.parametrize(
    ("content", "secret"),
    [("s3cret", "s3cret"), ("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), ("a\nb\n\n", "a\nb\n")],
)
def test_one_newline_at_the_end_of_a_file_is_not_part_of_the_secret(folder, content, secret):
    (folder / "token").write_bytes(content.encode())
    assert load_settings().secret("token") == secret


def test_mounted_secrets_may_be_links(folder):
    (folder / "..data").write_text("s3cret")
    (folder / "token").symlink_to("..data")
    assert load_settings().secret("token") == "s3cret"


def test_a_missing_secret_names_both_places(folder):
    with pytest.raises(OperatorError) as error:
        load_settings().secret("prom-token")
    assert "CANARYD_SECRET_PROM_TOKEN" in str(error.value)
    assert str(folder / "prom-token") in str(error.value)


def test_without_a_folder_the_message_says_how_to_have_one():
    with pytest.raises(OperatorError, match="CANARYD_SECRET_TOKEN, or CANARYD_SECRETS_DIR"):
        load_settings().secret("token")


@pytest.mark.parametrize("name", ["../etc/passwd", "", "A", "a/b", "a.b", ".hidden", "a" * 64, "a\n"])
def test_a_name_cannot_leave_the_folder(folder, name):
    with pytest.raises(OperatorError, match="no name of a secret"):
        load_settings().secret(name)


def test_only_small_regular_text_files_are_read(folder):
    os.mkfifo(folder / "pipe")
    (folder / "directory").mkdir()
    (folder / "huge").write_bytes(b"x" * (MAX_SECRET_BYTES + 1))
    (folder / "binary").write_bytes(b"\xff\xfe")
    (folder / "empty").write_text("\n")
    problems = {"pipe": "regular", "directory": "irectory", "huge": "larger", "binary": "UTF-8", "empty": "empty"}
    for name, problem in problems.items():
        with pytest.raises(OperatorError, match=problem):
            load_settings().secret(name)


def test_a_secret_of_the_largest_size_is_read_whole(folder):
    (folder / "large").write_bytes(b"x" * MAX_SECRET_BYTES)
    assert len(load_settings().secret("large")) == MAX_SECRET_BYTES


def test_an_empty_variable_is_an_empty_secret_not_a_missing_one(environment):
    environment("CANARYD_SECRET_TOKEN", "")
    with pytest.raises(OperatorError, match="empty"):
        load_settings().secret("token")


def test_secrets_are_hidden_from_logs_once_they_are_known(environment, folder):
    environment("CANARYD_SECRET_TOKEN", "h0ney-variable")
    (folder / "other").write_text("h0ney-file")
    settings = load_settings()
    assert "h0ney" not in redact_text("h0ney-variable")
    settings.secret("other")
    assert "h0ney" not in redact_text("h0ney-file")


def test_settings_never_show_secrets(environment):
    environment("CANARYD_SECRET_TOKEN", "h0neyt0ken")
    settings = load_settings()
    assert settings.secret("token") == "h0neyt0ken"
    assert "h0neyt0ken" not in f"{settings!r} {settings.model_dump()}"


def test_the_variable_of_a_secret_is_upper_case_with_underscores():
    assert secret_variable("prom-token") == "CANARYD_SECRET_PROM_TOKEN"
