"""Problem details, for the OpenAPI document."""

from pydantic import BaseModel, Field


class FieldFault(BaseModel):
    """One thing wrong in a body."""

    loc: list[str | int]
    msg: str


class ProblemDetails(BaseModel):
    """An error by RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="What is wrong and what to do about it.")
    instance: str = Field(description="The request's id, also in `X-Request-Id` and the log.")
    errors: list[FieldFault] = Field([], description="What is wrong with each field.")
