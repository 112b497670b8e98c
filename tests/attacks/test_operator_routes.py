"""The routes for operators: each needs its permission, and none fails for a hostile request."""

from __future__ import annotations

from itertools import count

import httpx

from slipway.access.operators import ADMINISTER, OPERATE, REVIEW
from tests.attacks.hostile_values import ALL_LITERALS, TEXTS, field_paths, with_literal
from tests.attacks.rows import OPERATOR_ROUTES, create_one_of_each, sample_of, send
from tests.attacks.test_hostile_values import PATHS, VALUES_PER_FIELD, fault_of
from tests.auth.conftest import Client
from tests.auth.samples import Sample
from tests.http.conftest import Served


async def test_an_operator_route_needs_its_permission(served: Served, client: httpx.AsyncClient, ann: Client) -> None:
    """Ann owns the records, and has permissions, but not those of operators. No record changes."""
    ids = await create_one_of_each(ann)
    for name, route in OPERATOR_ROUTES.items():
        assert route.access.operator in (OPERATE, REVIEW, ADMINISTER), name
        anonymous = await send(client, name, ids, headers={"accept": "application/json"})
        assert anonymous.status_code == 401, name  # a browser is led to the page on which people sign in
        for user in ("ann", "dan"):
            response = await send(client, name, ids, user)
            assert response.status_code == 403, name
            assert route.access.operator in response.text, name
    assert (await ann.runs.get(ids["thread_id"], ids["run_id"]))["status"] == "pending"


async def test_no_hostile_value_makes_an_operator_route_fail(
    served: Served, client: httpx.AsyncClient, ann: Client
) -> None:
    faults: dict[tuple[str, str], str] = {}
    numbers, ids = count(), await create_one_of_each(ann)

    async def check(name: str, where: str, response: httpx.Response) -> None:
        if fault := fault_of(response):
            faults[name, where] = fault

    for name, route in OPERATOR_ROUTES.items():
        sample = sample_of(name, ids)
        for field in [(), *(field_paths(route.body) if route.body else ())]:
            for _ in range(VALUES_PER_FIELD if route.body else 0):
                literal = ALL_LITERALS[next(numbers) % len(ALL_LITERALS)]
                content = with_literal(sample.body or {}, field, literal)
                await check(name, f"{field} {literal[:80]}", await send(client, name, ids, "eve", content=content))
        for query in route.query:
            text = TEXTS[next(numbers) % len(TEXTS)][:2000]
            asked = Sample(sample.body, sample.query | {query.name: text})
            await check(name, f"{query.name} {text[:80]}", await send(client, name, ids, "eve", asked))
        for parameter in [each for each in ids if f"{{{each}" in route.path]:
            path = route.path.format(**ids | {parameter: PATHS[next(numbers) % len(PATHS)]})
            await check(name, path, await send(client, name, ids, "eve", path=path))
    assert faults == {}
