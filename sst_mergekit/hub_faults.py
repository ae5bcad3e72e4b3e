"""What went wrong between us and the Hub, in one line with the next step."""

from __future__ import annotations

from collections.abc import Iterator

from huggingface_hub import get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # pyright: ignore[reportPrivateImportUsage]  (httpx's or httpx2's, as the release has it)
    OfflineModeIsEnabled,
)

# What the client raises where a call to the Hub fails; its upload threads wrap theirs in RuntimeError.
RAISED = (HTTPError, HFValidationError, OSError, RuntimeError, ValueError)

_STATUS = {
    400: "the Hub refuses the request",
    401: "the Hub does not accept the token; log in with 'hf auth login', or set HF_TOKEN",
    402: "the account's storage or plan does not allow it",
    403: "the token may not do this; ask for access there, or make a token with write access to this account",
    404: "no such repository or revision, or the token may not see it",
    409: "the name is taken, or another upload is under way; choose another name, or try again",
    412: "somebody else committed meanwhile; run the same command again",
    413: "the Hub takes no file this large",
    429: "the Hub's rate limit is reached; wait, then run the same command again to go on where it stopped",
}


def one_line(error: BaseException, endpoint: str) -> str:
    """Return why a call to the Hub failed and what to do next; no access token is ever in it."""
    text = _reason(error, endpoint)
    token = get_token()
    return text.replace(token, "[token]") if token else text


def _reason(error: BaseException, endpoint: str) -> str:
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, OfflineModeIsEnabled):
            return "offline mode is on; unset HF_HUB_OFFLINE"
        if isinstance(cause, HfHubHTTPError):
            return _answered(cause)
    for cause in causes:
        if isinstance(cause, HTTPError):
            return (
                f"no connection to {endpoint}, or it broke ({type(cause).__name__}); run the same command "
                "again: it goes on where it stopped"
            )
    return f"{_first_line(str(causes[-1])) or type(causes[-1]).__name__}"


def _answered(error: HfHubHTTPError) -> str:
    status = error.response.status_code
    said = _first_line(error.server_message or "")
    known = _STATUS.get(status, "the Hub has a fault of its own; try again later" if status >= 500 else "")
    return f"{known or 'the Hub refuses'} (HTTP {status}{f': {said}' if said else ''})"


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of the answer that an error came from."""
    for cause in _causes(error):
        if isinstance(cause, HfHubHTTPError):
            return cause.response.status_code
    return None


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
