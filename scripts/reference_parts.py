"""The generated parts of the documentation, by name: tables of keys, metrics, settings, codes, phases, and help."""

from __future__ import annotations

import ast
import inspect
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from enum import Enum
from typing import Any

from pydantic import BaseModel
from reference_schema import key_table

from canaryd import settings
from canaryd.cli.exit_codes import Exit
from canaryd.cli.main import app, run_command_line
from canaryd.config.schema import desired_schema, policy_schema
from canaryd.core.invariants import INVARIANTS
from canaryd.core.phases import TRANSITIONS
from canaryd.core.readings import Absence, Fault
from canaryd.plugins import Group, registered
from canaryd.telemetry import catalogue

HELP_WIDTH = "80"
SELF_EXPLAINING = {
    "UNREACHABLE": "No connection: refused, broken off, no such name, no TLS.",
    "TIMEOUT": "No answer within the deadline.",
}
"""Words that the code leaves without a docstring."""


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def docs_of_members(owner: type) -> Mapping[str, str]:
    """Return the docstrings below a class's members, which Python itself does not keep."""
    body = ast.parse(inspect.getsource(owner)).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    name = ""
    for statement in body.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                pass
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                found[name] = " ".join(text.split()).replace("``", "`")
    return found


# ---------------------------------------------------------------- codes and words


def exit_codes() -> str:
    """Return every exit code with its meaning."""
    docs = docs_of_members(Exit)
    return table(("code", "name", "meaning"), ((str(code.value), f"`{code.name}`", docs[code.name]) for code in Exit))


def words_of(*enums: type[Enum]) -> str:
    """Return the members of enumerations with their meaning."""
    return table(
        ("word", "meaning"),
        (
            (f"`{member.value}`", docs_of_members(enum).get(member.name) or SELF_EXPLAINING[member.name])
            for enum in enums
            for member in enum
        ),
    )


def phases() -> str:
    """Return the table of phases as a Mermaid state diagram; several steps between two phases share an arrow."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> new"]
    for phase, ways in TRANSITIONS.items():
        steps: dict[str, list[str]] = {}
        for step, target in ways.items():
            steps.setdefault(target, []).append(step.replace("_", " "))
        lines += [f"    {phase} --> {target}: {', '.join(names)}" for target, names in steps.items()]
    return "\n".join([*lines, "```"])


def invariants() -> str:
    """Return what must never happen, by the number that the log gives."""
    rows = ((name, (inspect.getdoc(function) or "").splitlines()[0]) for name, function in INVARIANTS.items())
    return table(("number", "invariant"), rows)


# ---------------------------------------------------------------- the command line


def command_line() -> str:
    """Return the help of every verb, as the terminal shows it."""
    os.environ |= {"COLUMNS": HELP_WIDTH, "TERM": "dumb", "NO_COLOR": "1"}
    sys.argv[0] = "canaryd"  # the name that help is given under
    verbs = [str(command.callback.__name__) for command in app.registered_commands if command.callback]
    return "\n\n".join(_help(verb) for verb in verbs)


def _help(verb: str) -> str:
    printed = io.StringIO()
    with redirect_stdout(printed):
        run_command_line([verb, "--help"])
    return f"## {verb}\n\n```text\n{printed.getvalue().strip()}\n```"


# ---------------------------------------------------------------- adapters


def options_of(group: Group, name: str) -> str:
    """Return the options of one adapter."""
    options: type[BaseModel] = registered(group)[name].load().Options
    rows = [_option(field_name, field, options) for field_name, field in options.model_fields.items()]
    return table(("option", "default", "meaning"), iter(rows)) if rows else "It has no options."


def _option(name: str, field: Any, options: type[BaseModel]) -> Sequence[str]:  # noqa: ANN401 - pydantic's FieldInfo
    meaning = field.description or docs_of_members(options)[name]
    meaning = " ".join(meaning.split()).replace("``", "`")
    if field.is_required():
        return f"`{name}`", "required", meaning
    return f"`{name}`", "none" if field.default is None else f"`{field.default}`", meaning


PARTS: Mapping[str, Callable[[], str]] = {
    "exit-codes": exit_codes,
    "absences": lambda: words_of(Absence),
    "faults": lambda: words_of(Fault),
    "phases": phases,
    "invariants": invariants,
    "command-line": command_line,
    "metrics": catalogue.as_markdown,
    "settings": settings.describe,
    "policy-keys": lambda: key_table(policy_schema()),
    "desired-keys": lambda: key_table(desired_schema()),
    "prometheus-options": lambda: options_of(Group.SOURCE, "prometheus"),
    "scrape-options": lambda: options_of(Group.SOURCE, "scrape"),
    "http-json-options": lambda: options_of(Group.SOURCE, "http_json"),
    "config-file-options": lambda: options_of(Group.ROUTER, "config_file"),
    "sqlite-options": lambda: options_of(Group.STORE, "sqlite"),
}
