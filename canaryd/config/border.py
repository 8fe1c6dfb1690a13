"""Pydantic models at the border to a file: what does not fit becomes one ``InvalidFile`` at the right place."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from canaryd.config.document import Document, Path
from canaryd.config.misfit import Misfit, listed, nearest, printable, shown
from canaryd.errors import InvalidFile, Location

Model = TypeVar("Model", bound=BaseModel)
P = ParamSpec("P")
T = TypeVar("T")

_EXPECTED = {
    "missing": "",
    "string_type": "text",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "text like {pattern}",
    "string_unicode": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "too_short": "at least {min_length}",
    "too_long": "at most {max_length}",
    "greater_than": "over {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "under {lt:g}",
    "less_than_equal": "at most {le:g}",
}
_COUNTED = frozenset({"too_short", "too_long"})


class Border(BaseModel):
    """What every model at a border is: strict, closed, frozen, and free of undefined numbers."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def validate(model: type[Model], data: object, document: Document, path: Path = ()) -> Model:
    """Return an instance of ``model``.

    Args:
        model: The pydantic model.
        data: The part of the document's data to validate.
        document: The file, for places.
        path: Where in the document ``data`` stands.

    Raises:
        InvalidFile: The first of all problems, by line.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        details = _without_echoes(error.errors(include_url=False))
        raise first(_invalid(detail, model, document, path) for detail in details) from None


def first(problems: Iterable[InvalidFile]) -> InvalidFile:
    """Return the problem that stands first in the file."""
    return min(problems, key=lambda problem: (problem.at.line, problem.at.column))


def misplaced(misfit: Misfit, document: Document, path: Path) -> InvalidFile:
    """Return a misfit as a problem of the value at ``path``."""
    return InvalidFile(
        document.at(path, misfit.offset),
        misfit.problem,
        found=misfit.found,
        expected=misfit.expected,
        nearest=misfit.nearest,
    )


@dataclass(slots=True)
class Problems:
    """Collects what is wrong in one document, so that the first by line can be told."""

    document: Document
    found: list[InvalidFile] = field(default_factory=list)

    def attempt(self, path: Path, parse: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return what ``parse`` returns; None after a misfit, which is kept as a problem at ``path``."""
        try:
            return parse(*args, **kwargs)
        except Misfit as misfit:
            self.found.append(misplaced(misfit, self.document, path))
            return None

    def raise_first(self) -> None:
        """Raise the first problem by line, if there is any."""
        if self.found:
            raise first(self.found)


@dataclass(frozen=True, slots=True)
class Section:
    """One adapter's part of a policy: its registered type, its name, and options that only the adapter knows."""

    type: str
    name: str
    options: Mapping[str, Any]
    document: Document
    path: Path

    def at(self, *option: str | int) -> Location:
        """Return where an option's value stands, or the section itself."""
        return self.document.at((*self.path, *option))

    def parse(self, model: builtins.type[Model]) -> Model:
        """Return the options as the adapter's own model, or raise InvalidFile at the first wrong line."""
        return validate(model, dict(self.options), self.document, self.path)


def _without_echoes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """A misspelt key is told as such, not also as the absence of the right one."""
    misspelt = {detail["loc"][:-1] for detail in details if detail["type"] == "extra_forbidden"}
    return [each for each in details if each["type"] != "missing" or each["loc"][:-1] not in misspelt]


def _invalid(detail: ErrorDetails, model: type[BaseModel], document: Document, path: Path) -> InvalidFile:
    loc = tuple(part for part in detail["loc"] if not _is_tag(part))
    if loc[-1:] == ("[key]",):
        return _wrong_key(detail, document, (*path, *loc[:-1]))
    place = (*path, *loc)
    if detail["type"] == "missing":
        return InvalidFile(document.at(place[:-1]), f"the key {place[-1]} is missing")
    if detail["type"] == "extra_forbidden":
        return _unknown_key(document, place, _keys_at(model, detail["loc"][:-1]))
    misfit = detail.get("ctx", {}).get("error")
    if isinstance(misfit, Misfit):
        return misplaced(misfit, document, place)
    return _wrong_value(detail, document, place)


def _is_tag(part: str | int) -> bool:
    """Unions are tagged ``<ModelName>``, which no key in a file needs to be."""
    return isinstance(part, str) and part.startswith("<") and part.endswith(">")


def _wrong_key(detail: ErrorDetails, document: Document, place: Path) -> InvalidFile:
    misfit = detail.get("ctx", {}).get("error")
    expected = misfit.expected if isinstance(misfit, Misfit) else _expected(detail)
    return InvalidFile(document.at_key(place), "not a name", found=printable(str(place[-1])), expected=expected)


def _unknown_key(document: Document, place: Path, known: list[str]) -> InvalidFile:
    key = str(place[-1])
    return InvalidFile(
        document.at_key(place), f"unknown key {printable(key)}", expected=listed(known), nearest=nearest(key, known)
    )


def _wrong_value(detail: ErrorDetails, document: Document, place: Path) -> InvalidFile:
    key = next((part for part in reversed(place) if isinstance(part, str)), "")
    found = shown(detail["input"])
    if detail["type"] in _COUNTED:
        found = str(detail["ctx"]["actual_length"] or len(detail["input"]))
    expected = _expected(detail)
    if expected == "text" and isinstance(detail["input"], (int, float)):
        expected = "text, in quotes"
    problem = f"the key {printable(key)} has a wrong value" if key else "this is not what the file should hold"
    return InvalidFile(document.at(place), problem, found=found, expected=expected)


def _expected(detail: ErrorDetails) -> str:
    known = _EXPECTED.get(detail["type"])
    message = detail["msg"].removeprefix("Value error, ")
    return known.format(**detail.get("ctx", {})).replace("'", "") if known is not None else printable(message)


def _keys_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """Return the keys that the model at the end of ``loc`` knows."""
    models = [model]
    for part in loc:
        if _is_tag(part):
            models = [each for each in models if f"<{each.__name__}>" == part] or models
            continue
        inner = [found for each in models if part in each.model_fields for found in _models_in(_annotation(each, part))]
        models = inner or models
    return list(dict.fromkeys(key for each in models for key in _keys_of(each)))


def _keys_of(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _annotation(model: type[BaseModel], name: str | int) -> object:
    return model.model_fields[str(name)].annotation


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]
