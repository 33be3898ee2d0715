"""What goes wrong with a store, in sentences that say what to do."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
)

from runnerd.plugins.errors import BackendAway, NotFound, OutOfSpace, PluginError, Refused

_SLOW = frozenset(
    {
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "TooManyRequests",
        "429",
    }
)
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired")
_SKEWED = ("RequestTimeTooSkewed", "RequestExpired")
_ELSEWHERE = (
    "PermanentRedirect",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "301",
    "307",
)
_DENIED = ("AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "403")
_MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "NotFound", "404"})
_DAMAGED = frozenset({"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch"})
_PASSING = frozenset({"RequestTimeout", "OperationAborted"})
_FULL = frozenset(
    {
        "QuotaExceeded",
        "XMinioStorageFull",
        "XMinioAdminBucketQuotaExceeded",
        "InsufficientStorage",
        "InsufficientCapacity",
        "507",
    }
)
_STREAM = (HTTPClientError, ConnectionError, IncompleteReadError)
_RENEW = (
    "the daemon's session token for the S3 store has expired: renew it, or use credentials that "
    "renew themselves (a role, a web identity)"
)
_CORRECT = "correct the daemon's AWS_… variables, or its profile"
_CURES: dict[type[BotoCoreError], str] = {
    NoCredentialsError: (
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the daemon's environment, or profile "
        "in [plugins.s3], or give the machine a role that may use the S3 store"
    ),
    PartialCredentialsError: _CORRECT,
    CredentialRetrievalError: _CORRECT,
    ProfileNotFound: "correct profile in [plugins.s3], or the AWS files of the daemon's user",
    SSLError: (
        "name the authority of the S3 store's certificate by AWS_CA_BUNDLE in the daemon's "
        "environment, or correct endpoint_url in [plugins.s3]"
    ),
}


class Passing(BackendAway):
    """The store is away, slow or damaged what it got: the same request may work in a moment."""


class UploadGone(BackendAway):
    """The store does not know the multipart upload: it was completed, or aborted, before."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which store it is about. ``endpoint`` is its address, as people know it."""

    bucket: str
    endpoint: str
    region: str | None

    def fault(self, error: Exception, key: str) -> PluginError:
        """Give the contract's error for one of boto3's, about ``key``, which may be empty."""
        if isinstance(error, ClientError):
            return self._refusal(error) or self._answered(error, key)
        for kind, cure in _CURES.items():
            if isinstance(error, kind):
                return BackendAway(f"{_line(error)}: {cure}")
        if isinstance(error, _STREAM):
            return Passing(
                f"the S3 store at {self.endpoint} does not answer ({type(error).__name__}): "
                "check that it runs, the network, and endpoint_url in [plugins.s3]"
            )
        if isinstance(error, BotoCoreError):
            return BackendAway(f"{_line(error)}: correct [plugins.s3], or the AWS_… variables")
        return Passing(f"the S3 store at {self.endpoint} can't be asked: {_line(error)}")

    def _refusal(self, error: ClientError) -> BackendAway | None:
        """Give what the daemon's operator has to mend, None where it is something else."""
        answer: Any = error.response
        code = str(answer.get("Error", {}).get("Code", ""))
        sentences = {
            "InvalidAccessKeyId": (
                f"the S3 store at {self.endpoint} does not know the daemon's access key: correct "
                "AWS_ACCESS_KEY_ID or the profile"
            ),
            "SignatureDoesNotMatch": (
                f"the S3 store at {self.endpoint} refuses the daemon's signature: its secret "
                "access key is wrong, correct AWS_SECRET_ACCESS_KEY or the profile"
            ),
            "NoSuchBucket": (
                f"there is no bucket {self.bucket!r} at {self.endpoint}: make it, or correct "
                "bucket or endpoint_url in [plugins.s3]"
            ),
            **dict.fromkeys(_EXPIRED, _RENEW),
            **dict.fromkeys(
                _SKEWED,
                f"the clock of this machine is off{_difference(answer)}, so the S3 store refuses "
                "its requests: set it, by NTP for instance",
            ),
            **dict.fromkeys(_ELSEWHERE, self._elsewhere(answer)),
            **dict.fromkeys(
                _DENIED,
                f"the credentials may not {error.operation_name} in the bucket {self.bucket!r}: "
                "allow s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload, "
                "s3:ListBucket and s3:ListBucketMultipartUploads there",
            ),
        }
        return BackendAway(sentences[code]) if code in sentences else None

    def _elsewhere(self, answer: Any) -> str:
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        region = answer.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region")
        known = f"is in the region {region!r}" if region else "is in another region"
        asked = repr(self.region) if self.region else "the default one"
        setting = f"region = {region!r}" if region else "region"
        return f"the bucket {self.bucket!r} {known}, not in {asked}: set {setting} in [plugins.s3]"

    def _answered(self, error: ClientError, key: str) -> PluginError:
        answer: Any = error.response
        code = str(answer.get("Error", {}).get("Code", ""))
        status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        fault: PluginError
        if code in _MISSING:
            fault = NotFound(f"there is no object {key!r}")
        elif code == "NoSuchUpload":
            fault = UploadGone(f"the upload of {key!r} was ended by somebody else: send it again")
        elif code in _FULL:
            fault = OutOfSpace(f"the S3 store has no room for {key!r} ({code}): make room there")
        elif code in _SLOW or status == 503:
            fault = Passing(f"the S3 store asks for fewer requests ({code})", retry_after=5.0)
        elif code in _DAMAGED:
            fault = Passing(f"{key!r} was damaged on its way to the S3 store ({code})")
        elif status >= 500 or code in _PASSING:
            fault = Passing(
                f"the S3 store at {self.endpoint} failed with {status} {code}: look at its own log"
            )
        else:
            fault = Refused(
                f"the S3 store refuses {error.operation_name} for {key!r}: {_line(error)}"
            )
        return fault


def _difference(answer: Any) -> str:
    said = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        there = parsedate_to_datetime(said)
    except (TypeError, ValueError):
        return ""
    there = there if there.tzinfo else there.replace(tzinfo=UTC)
    seconds = abs((there - datetime.now(UTC)).total_seconds())
    return f" by {seconds:.0f} seconds" if seconds > 60 else ""


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
