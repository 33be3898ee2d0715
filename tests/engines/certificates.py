"""Certificates for the tests' own servers, by ``openssl``."""

import subprocess
from pathlib import Path

DAYS = "2"


class Authority:
    """An authority of its own, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        subject = ("-subj", "/CN=runnerd tests", "-days", DAYS)
        key, certificate = self.file("ca", "key"), self.file("ca", "crt")
        self._openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject),
            *("-keyout", str(key), "-out", str(certificate)),
        )

    @property
    def certificate(self) -> Path:
        return self.file("ca", "crt")

    def file(self, name: str, kind: str) -> Path:
        return self.folder / f"{name}.{kind}"

    def make_key(self, name: str) -> None:
        """Make a key without a certificate."""
        self._openssl("genrsa", "-out", str(self.file(name, "key")), "2048")

    def issue(self, name: str, subject: str, names: str = "") -> None:
        """Make a key and a certificate for it; ``names`` as in ``IP:127.0.0.1,DNS:localhost``."""
        request, key = self.file(name, "csr"), self.file(name, "key")
        self._openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", subject),
            *("-keyout", str(key), "-out", str(request)),
        )
        extra = self.file(name, "ext")
        extra.write_text(f"subjectAltName={names}" if names else "")
        self._openssl(
            *("x509", "-req", "-in", str(request), "-days", DAYS, "-CAcreateserial"),
            *("-CA", str(self.certificate), "-CAkey", str(self.file("ca", "key"))),
            *("-extfile", str(extra), "-out", str(self.file(name, "crt"))),
        )

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], capture_output=True, check=True, timeout=60)
