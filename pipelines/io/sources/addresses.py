"""JDBC addresses: what one may not hold, wherever it comes from."""

from __future__ import annotations

import re

from pipelines.errors import ConfigError

SECRET = re.compile(r"[?&;](user|[\w.]*(password|pwd|secret|token))=|//[^/]*@|:thin:[^@]*/[^@]*@", re.IGNORECASE)
# Settings by which drivers make an object of a class that the address names; their own classes are welcome.
CLASS = re.compile(
    r"[?&;](socketFactory|sslFactory|sslHostnameVerifier|sslPasswordCallback|authenticationPluginClassName|xmlFactoryFactory"
    r"|\w*Interceptors|propertiesTransform|profilerEventHandler|clientInfoProvider|tlsSocketType|logger)"
    r"=(?!org\.postgresql\.|com\.mysql\.cj\.|org\.mariadb\.)",
    re.IGNORECASE,
)
# Settings by which a driver runs SQL or a library of the address's own, reads or writes files, or makes objects of rows.
RUNS = re.compile(
    r"[?&;](init|enable_load_extension|autoDeserialize|loggerFile|allowLocalInfile|allowLoadLocalInfile\w*|allowUrlInLocalInfile)=",
    re.IGNORECASE,
)


def checked_address(url: str, key: str) -> str:
    """The address; raises ConfigError, which does not show it, when it holds a secret or has the driver run something."""
    if SECRET.search(url):
        raise ConfigError(
            f"{key}: its url holds a user or a password. Move them to `user`, and to the environment variable "
            "that `password` names."
        )
    if match := CLASS.search(url) or RUNS.search(url):
        raise ConfigError(
            f"{key}: its url sets {match[1]}, by which a driver runs code or reaches files that the address names; expected an "
            f"address without it. Leave {match[1]} out."
        )
    return url
