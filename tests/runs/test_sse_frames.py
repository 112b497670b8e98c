"""Python and the scripts encode server-sent events to the same bytes."""

from __future__ import annotations

import pytest

from slipway.runs.script_results import Settled
from slipway.serialization.json_encoding import dumps
from slipway.sse_frames import data_of, encode_block, encode_frame, event_name, frame_of, name_of, with_id
from tests.runs.conftest import Stores


async def test_scripts_and_python_build_the_same_frames(stores: Stores) -> None:
    await stores.create_run()
    run = await stores.claim_one()
    assert isinstance(await stores.settle(run), Settled)
    entries = await stores.pipeline.send("XRANGE", stores.keys.events(run.run_id), "-", "+")
    frames = [dict(zip(fields[::2], fields[1::2], strict=True))[b"f"] for _, fields in entries]
    assert frames == [
        encode_frame("metadata", dumps({"run_id": run.run_id, "attempt": 1})),
        encode_frame("end", dumps({"run_id": run.run_id, "status": "success"})),
    ]


def test_a_block_is_a_frame_its_id_and_a_blank_line() -> None:
    block = encode_block("values", b'{"a":1}', "17-0")
    assert block == b'event: values\r\ndata: {"a":1}\r\nid: 17-0\r\n\r\n'
    assert block == with_id(encode_frame("values", b'{"a":1}'), "17-0")
    assert encode_block("", b"{}") == b"data: {}\r\n\r\n"


@pytest.mark.parametrize("data", [b'{"a":1}', b'"id: 1 data: 2 event: 3"', b"[]"])
def test_the_parts_of_a_block_can_be_read(data: bytes) -> None:
    block = encode_block("updates|child:1", data, "17-0")
    assert (name_of(block), data_of(block)) == ("updates|child:1", data)
    assert frame_of(block) == encode_frame("updates|child:1", data)


def test_line_breaks_in_an_event_name_are_replaced() -> None:
    assert event_name("values|a\r\nevent: end") == "values|a��event: end"
