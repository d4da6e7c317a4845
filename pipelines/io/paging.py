"""The ways in which an API gives its records page by page, as a source's configuration names them."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from pipelines.config import Model

Count = Annotated[int, Field(gt=0)]


class _Sized(Model):
    size_param: str = "size"
    size: Count | None = None

    @property
    def sized(self) -> dict[str, str]:
        """The parameter that asks for so many records a page."""
        return {self.size_param: str(self.size)} if self.size else {}


class ByPage(_Sized):
    """Pages have numbers: `first`, and on by `step` (by `size` with first 0 where the parameter is an offset)."""

    by: Literal["page"]
    param: str = "page"
    first: int = 1
    step: Count = 1


class ByCursor(_Sized):
    """Each page says, at the dotted path `next`, by which value of `param` the next one is asked for."""

    by: Literal["cursor"]
    param: str = "cursor"
    next: str = "next"


class ByLink(_Sized):
    """Each page gives the next one's address: at the dotted path `next`, else in its Link header (RFC 8288)."""

    by: Literal["link"]
    next: str = ""


class OnePage(Model):
    """All records come in one answer."""

    by: Literal["none"] = "none"

    @property
    def sized(self) -> dict[str, str]:
        """Nothing to ask for."""
        return {}


Paging = Annotated[ByPage | ByCursor | ByLink | OnePage, Field(discriminator="by")]


def next_link(header: str) -> str | None:
    """The target of the link with the relation `next` in a Link header (RFC 8288); None when there is none."""
    for target, parameters in re.findall(r"<([^>]*)>([^<]*)", header):
        relation = re.search(r""";\s*rel\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;,"]+))""", parameters, re.IGNORECASE)
        if relation and "next" in (relation[1] or relation[2] or relation[3] or "").lower().split():
            return str(target)
    return None
