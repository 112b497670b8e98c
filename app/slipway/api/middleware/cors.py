"""Responds to CORS preflight requests and adds the CORS headers to responses."""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from slipway.api.middleware.origins import Origins
from slipway.graphs.official_sections import CorsSection


class Cors(CORSMiddleware):
    """Starlette's middleware with the section `http.cors` of langgraph.json. `Origins` decides which origins are
    allowed, as for all other requests."""

    def __init__(
        self, app: ASGIApp, origins: Origins, section: CorsSection, exposed: list[str], *, private_network: bool
    ) -> None:
        super().__init__(
            app,
            allow_origins=["*"] if origins.any else [],
            allow_methods=section.allow_methods,
            allow_headers=section.allow_headers,
            allow_credentials=section.allow_credentials,
            allow_private_network=private_network,
            expose_headers=exposed,
            max_age=section.max_age,
        )
        self._origins = origins

    def is_allowed_origin(self, origin: str) -> bool:
        return self._origins.allows(origin)
