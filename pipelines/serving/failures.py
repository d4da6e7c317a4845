"""Requests that are refused, each with its HTTP status."""

from __future__ import annotations


class RequestError(Exception):
    """Raised when a request is refused; its message is the answer's `error`."""

    status = 400

    def __init__(self, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.headers = headers or {}


class UnauthorizedError(RequestError):
    """Raised when a request has no key or another one."""

    status = 401


class NotFoundError(RequestError):
    """Raised when a model, a version or a path does not exist."""

    status = 404


class TimeoutRequestError(RequestError):
    """Raised when a body does not arrive in time."""

    status = 408


class TooLargeError(RequestError):
    """Raised when a body has too many bytes or rows."""

    status = 413


class UnsupportedError(RequestError):
    """Raised when a body is encoded in a way that the service does not read."""

    status = 415


class ValuesError(RequestError):
    """Raised when values are unknown, missing, of the wrong type or outside the contract; a line a field."""

    status = 422


class BusyError(RequestError):
    """Raised when too many requests are in work."""

    status = 429


class UnavailableError(RequestError):
    """Raised when the queue is full, or no model is ready."""

    status = 503
