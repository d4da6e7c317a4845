"""The ways in which an API gives its records page by page, as a source's configuration names them."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from pipelines.config import Model

Count = Annotated[int, Field(gt=0)]


class _Sized(Model):
    size_param: str = "size"
    """Parameter with the number of records a page."""
    size: Count | None = None
    """Records a page. Without it the API's own default counts."""

    @property
    def sized(self) -> dict[str, str]:
        """The parameter of the number of records a page."""
        return {self.size_param: str(self.size)} if self.size else {}


class ByPage(_Sized):
    """Pages have numbers, counted on from a first one."""

    by: Literal["page"]
    """Names the way of paging."""
    param: str = "page"
    """Parameter with the page's number."""
    first: int = 1
    """Number of the first page."""
    step: Count = 1
    """What the number grows by: the `size`, with `first: 0`, where the parameter is an offset."""


class ByCursor(_Sized):
    """Each page gives the value by which the next one is asked for."""

    by: Literal["cursor"]
    """Names the way of paging."""
    param: str = "cursor"
    """Parameter with the cursor."""
    next: str = "next"
    """Dotted path to the next page's cursor. The last page has none."""


class ByLink(_Sized):
    """Each page gives the next one's address."""

    by: Literal["link"]
    """Names the way of paging."""
    next: str = ""
    """Dotted path to the next page's address. Empty where that is in the Link header (RFC 8288)."""


class OnePage(Model):
    """All records come in one answer."""

    by: Literal["none"] = "none"
    """Names the way of paging."""

    @property
    def sized(self) -> dict[str, str]:
        """No parameter: the size of the page is the server's."""
        return {}


Paging = Annotated[ByPage | ByCursor | ByLink | OnePage, Field(discriminator="by")]


def next_link(header: str) -> str | None:
    """The target of the link with the relation `next` in a Link header (RFC 8288); None when there is none."""
    for target, parameters in re.findall(r"<([^>]*)>([^<]*)", header):
        relation = re.search(r""";\s*rel\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;,"]+))""", parameters, re.IGNORECASE)
        if relation and "next" in (relation[1] or relation[2] or relation[3] or "").lower().split():
            return str(target)
    return None
