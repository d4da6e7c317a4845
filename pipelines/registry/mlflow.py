"""Versions and aliases mirrored to an MLflow server by its REST API. The table `models` is the truth, and nothing reads MLflow.

MLflow counts versions itself, so a version is recognized there by its tags `ringmill.version` and `ringmill.hash`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit, urlunsplit

import urllib3
from urllib3.exceptions import HTTPError

from pipelines.config import Pipeline
from pipelines.config.registry import MlflowMirror
from pipelines.errors import ExternalError
from pipelines.registry.versions import CHALLENGER, CHAMPION, ModelVersion

API = "/api/2.0/mlflow"
TIMEOUT = urllib3.Timeout(connect=5, read=30)
NOT_FOUND, EXISTS = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"
ALIASES: Final = (CHAMPION, CHALLENGER)
EXCERPT = 200


class MlflowError(ExternalError):
    """Raised when an MLflow server does not answer, or refuses a request; `code` is its own word for why."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def mirror(config: Pipeline, versions: Sequence[ModelVersion]) -> bool:
    """Bring the server of `registry.mlflow` up to the versions as they are now; return whether anything there was behind.

    Raises MlflowError, after which the server may be up to date in part: the next call does the rest.
    """
    settings = config.registry.mlflow
    if settings is None:
        return False
    return _RegisteredModel(settings, settings.model or config.pipeline).update(versions)


class _RegisteredModel:
    """The registered model on a server."""

    def __init__(self, settings: MlflowMirror, name: str) -> None:
        uri = urlsplit(settings.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", ""))
        self._uri = urlunsplit((uri.scheme, uri.netloc.rpartition("@")[2], uri.path.rstrip("/"), "", ""))  # what messages show
        if uri.scheme not in ("http", "https"):
            raise MlflowError(
                f"the address is {self._uri or 'not set'}; expected one of http or https. Set registry.mlflow.tracking_uri or "
                f"the environment variable MLFLOW_TRACKING_URI."
            )
        self._name = name
        retries = urllib3.Retry(2, backoff_factor=0.2)
        self._http = urllib3.PoolManager(timeout=TIMEOUT, retries=retries, headers=_credentials(uri))

    def update(self, versions: Sequence[ModelVersion]) -> bool:
        """Create what is missing, correct what differs; return whether anything did."""
        aliases = self._aliases()
        stored = {_key(tags): (number, tags) for number, tags in self._versions()}
        numbers, changed = {}, False
        for version in versions:
            wanted = _tags(version)
            number, tags = stored.get(_key(wanted)) or (self._create_version(version, wanted), wanted)
            changed |= _key(wanted) not in stored
            numbers[version.version] = number
            for key in (key for key in wanted if tags.get(key) != wanted[key]):
                self._post("model-versions/set-tag", version=number, key=key, value=wanted[key])
                changed = True
        expected = {str(version.alias): numbers[version.version] for version in versions if version.alias}
        return self._move_aliases(aliases, expected) or changed

    def _aliases(self) -> dict[str, str]:
        """The versions by alias; the registered model is created when it is missing."""
        try:
            model = self._call("GET", "registered-models/get", {"name": self._name})["registered_model"]
        except MlflowError as error:
            if error.code != NOT_FOUND:
                raise
            self._create_model()
            return {}
        return {each["alias"]: str(each["version"]) for each in model.get("aliases", [])}

    def _create_model(self) -> None:
        try:
            self._post("registered-models/create", description="Mirrored by ringmill from its table models.")
        except MlflowError as error:
            if error.code != EXISTS:  # another run was faster
                raise

    def _versions(self) -> list[tuple[str, dict[str, str]]]:
        """Number and tags of each version."""
        versions: list[tuple[str, dict[str, str]]] = []
        query = {"filter": f"name='{self._name}'", "max_results": "1000"}
        while True:
            page = self._call("GET", "model-versions/search", query)
            for each in page.get("model_versions", []):
                tags = {tag["key"]: tag.get("value", "") for tag in each.get("tags", [])}
                versions.append((str(each["version"]), tags))
            if not page.get("next_page_token"):
                return versions
            query["page_token"] = page["next_page_token"]

    def _create_version(self, version: ModelVersion, tags: Mapping[str, str]) -> str:
        # MLflow refuses local paths that are no artifacts of its own runs.
        local = urlsplit(version.uri).scheme in ("", "file")
        source = f"ringmill://{quote(version.name)}/{version.version}" if local else version.uri
        content = {"source": source, "tags": [{"key": key, "value": value} for key, value in tags.items()]}
        created = self._post("model-versions/create", description=version.change_reason, **content)
        return str(created["model_version"]["version"])

    def _move_aliases(self, stored: Mapping[str, str], expected: Mapping[str, str]) -> bool:
        """Move our aliases, and no other; return whether one moved."""
        moved = [alias for alias in ALIASES if stored.get(alias) != expected.get(alias)]
        for alias in moved:
            if alias in expected:
                self._post("registered-models/alias", alias=alias, version=expected[alias])
            else:
                self._call("DELETE", "registered-models/alias", json={"name": self._name, "alias": alias})
        return bool(moved)

    def _post(self, path: str, **content: object) -> dict[str, Any]:
        return self._call("POST", path, json={"name": self._name, **content})

    def _call(self, method: str, path: str, query: Mapping[str, str] | None = None, json: object = None) -> dict[str, Any]:
        url = f"{self._uri}{API}/{path}{'?' + urlencode(query) if query else ''}"
        try:
            response = self._http.request(method, url, json=json)
            content = response.json()
        except (HTTPError, ValueError) as error:
            raise MlflowError(f"{self._uri}: {path} failed: {error}. Check the address, and that MLflow is there.") from error
        if not isinstance(content, dict):
            raise MlflowError(f"{self._uri}: {path}: the answer is no JSON object. Check that MLflow is there.")
        if response.status != 200:
            code, message = (str(content.get(key, "")) for key in ("error_code", "message"))
            raise MlflowError(f"{self._uri}: {path}: status {response.status}, {code} {message[:EXCERPT]}", code)
        return content


def _tags(version: ModelVersion) -> dict[str, str]:
    return {
        "ringmill.version": str(version.version),
        "ringmill.hash": version.hash,
        "ringmill.state": version.state,
        "ringmill.uri": version.uri,
        "ringmill.train_run_id": version.train_run_id,
    }


def _key(tags: Mapping[str, str]) -> tuple[str | None, str | None]:
    return tags.get("ringmill.version"), tags.get("ringmill.hash")


def _credentials(uri: SplitResult) -> dict[str, str]:
    """A header with the credentials of the address or of the environment variables that MLflow's own clients read."""
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"authorization": f"Bearer {token}"}
    user = unquote(uri.username or "") or os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = unquote(uri.password or "") or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    return urllib3.make_headers(basic_auth=f"{user}:{password}") if user else {}
