"""The HTTP API of Prometheus: one instant query in, series or an error value out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from canaryd.core.readings import Fault, Unread
from canaryd.metrics.http_client import Answer, HttpReader, status_name
from canaryd.metrics.promql import promql_duration
from canaryd.metrics.series import Series
from canaryd.ports import Finding

QUERY_PATH = "/api/v1/query"
BUILD_PATH = "/api/v1/status/buildinfo"
CHECK_DEADLINE_S = 10.0
_ERROR_LENGTH = 200

Vector = tuple[Series, ...]
_Point = tuple[float, str]


class _Sample(BaseModel):
    metric: dict[str, str]
    value: _Point


class _VectorData(BaseModel):
    resultType: Literal["vector"]  # noqa: N815 (the API's own name)
    result: list[_Sample]


class _ScalarData(BaseModel):
    resultType: Literal["scalar"]  # noqa: N815
    result: _Point


class _Success(BaseModel):
    status: Literal["success"]
    data: Annotated[_VectorData | _ScalarData, Field(discriminator="resultType")]


class _Failure(BaseModel):
    status: Literal["error"]
    errorType: str  # noqa: N815
    error: str


_SUCCESS = TypeAdapter(_Success)
_FAILURE = TypeAdapter(_Failure)


async def instant_query(
    http: HttpReader, url: str, expression: str, *, at: float, deadline_s: float
) -> Vector | Unread:
    """Evaluate an expression at a Unix time. A scalar comes back as one series without labels."""
    server_timeout = promql_duration(max(0.001, round(http.timeout_s(deadline_s), 3)))
    form = {"query": expression, "time": f"{at:.3f}", "timeout": server_timeout}
    answer = await http.post(url + QUERY_PATH, form, deadline_s=deadline_s)
    if isinstance(answer, Unread):
        return answer
    return _vector(answer.body) if answer.ok else _rejected(answer)


async def check_server(http: HttpReader, url: str) -> Finding:
    """Say whether queries are answered. Servers that hide their version are asked for a constant instead."""
    build = await http.get(url + BUILD_PATH, deadline_s=CHECK_DEADLINE_S)
    if not isinstance(build, Unread) and build.ok:
        return Finding(ok=True, subject=url, detail="answers")
    constant = await instant_query(http, url, "vector(1)", at=0.0, deadline_s=CHECK_DEADLINE_S)
    if isinstance(constant, Unread):
        return Finding(ok=False, subject=url, detail=constant.detail, remedy="is this the address of a Prometheus?")
    return Finding(ok=True, subject=url, detail="answers")


def _vector(body: bytes) -> Vector | Unread:
    try:
        data = _SUCCESS.validate_json(body).data
        if isinstance(data, _ScalarData):
            return (Series({}, float(data.result[1])),)
        return tuple(Series(sample.metric, float(sample.value[1])) for sample in data.result)
    except ValidationError as error:
        return Unread(why=Fault.BAD_ANSWER, detail=_misfit(error))
    except ValueError:
        return Unread(why=Fault.BAD_ANSWER, detail="the answer holds a value that is no number")


def _misfit(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "union_tag_invalid":
        return "the query gives no instant vector: is a function around the [range] missing?"
    return "the answer is not what Prometheus answers: is the url right?"


def _rejected(answer: Answer) -> Unread:
    try:
        failure = _FAILURE.validate_json(answer.body)
    except ValidationError:
        return answer.refusal()
    why = Fault.TIMEOUT if failure.errorType == "timeout" else Fault.REFUSED
    words = _one_line(failure.error)
    return Unread(why=why, detail=f"{status_name(answer.status)}: {words}")


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    line = line if len(line) <= _ERROR_LENGTH else f"{line[: _ERROR_LENGTH - 1]}…"
    return "".join(char if char.isprintable() else "?" for char in line)
