"""Copies of the files of certificates, which new connections to PostgreSQL use.

libpq reads the files for each connection. A file that is replaced by an invalid one would therefore
end a running server's changes. The copies stay in use until a reload has proved new ones.
"""

import os
import weakref
from dataclasses import replace

from headgate_engine.stores.location import StoreLogin


class CertificateCopies:
    """Copies in memory of the files that *login* names. `login` names the copies instead.

    A file that cannot be copied keeps its name: the connection then reports the error. The copies
    end with this object.
    """

    def __init__(self, login: StoreLogin) -> None:
        self._files: list[int] = []
        weakref.finalize(self, _close, self._files)
        self.login = replace(
            login,
            ca_file=self._copy(login.ca_file),
            certificate_file=self._copy(login.certificate_file),
            private_key_file=self._copy(login.private_key_file),
        )

    def _copy(self, path: str) -> str:
        """Returns the path of a copy of the file *path*, or *path* if it cannot be copied."""
        try:
            with open(path, "rb") as file:
                content = file.read()
            file_number = os.memfd_create("certificate")
        except OSError:
            return path
        self._files.append(file_number)
        os.fchmod(file_number, 0o600)  # libpq refuses a key that others may read
        with open(file_number, "wb", closefd=False) as copy:
            copy.write(content)
        return f"/proc/self/fd/{file_number}"


def _close(files: list[int]) -> None:
    for number in files:
        os.close(number)
