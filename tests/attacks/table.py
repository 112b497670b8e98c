"""The table of attacks. For each attack and each row of `rows.py`, it names the tests that show the protection, or the
reason why the attack does not apply.

`cell_of` raises `LookupError` if an attack has no cell for a row. So a new route, command or duty fails
`test_table.py` until its protection is named. `page()` returns docs/attacks.md:

    make pages
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase
from typing import Final, Literal, TypeAlias

from tests.attacks.rows import BACKGROUND, COMMANDS, LONG_RESPONSES, OPERATOR_ROUTES, PUBLIC_ROUTES, ROUTES, WITH_BODY

Kind: TypeAlias = Literal["route", "operator", "command", "work"]


@dataclass(frozen=True, slots=True)
class Row:
    """A route, a route for operators, a command of the event protocol, or background work."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Covered:
    """Tests that show the protection, as `file.py::test`."""

    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exempt:
    """The reason why an attack does not apply."""

    reason: str


Cell: TypeAlias = Covered | Exempt
Condition: TypeAlias = Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class Attack:
    """A column. The first of `cells` whose condition is true is the cell of a row."""

    title: str
    expected: str
    cells: tuple[tuple[Condition, Cell], ...]

    def cell_of(self, row: Row) -> Cell:
        """Raises `LookupError` if no condition is true. The rows of operators have the same cells."""
        if row.kind == "operator":
            return OPERATOR_CELLS.get(self.title, FOR_OPERATORS)
        for condition, cell in self.cells:
            if condition(row):
                return cell
        raise LookupError(f"{self.title}: no cell for {row.name}")


ROWS: Final = (
    *(Row("route", name) for name in ROUTES),
    *(Row("operator", name) for name in OPERATOR_ROUTES),
    *(Row("command", name) for name in COMMANDS),
    *(Row("work", name) for name in BACKGROUND),
)


def tested(*tests: str) -> Covered:
    """A cell with tests. A test of this folder is named without the folder."""
    return Covered(tuple(f"tests/{test}" if "/" in test else f"tests/attacks/{test}" for test in tests))


FOR_OPERATORS: Final = Exempt("Only operators may send it, for the records of all users.")
OPERATOR_CELLS: Final[dict[str, Cell]] = {
    "A request without credentials": tested("test_operator_routes.py::test_an_operator_route_needs_its_permission"),
    "A user without any permission": tested("test_operator_routes.py::test_an_operator_route_needs_its_permission"),
    "A record of another user": tested("test_operator_routes.py::test_an_operator_route_needs_its_permission"),
    "Repeated credentials": tested(
        "test_repeated_credentials.py::test_every_route_rejects_a_repeated_authorization_header"
    ),
    "A page of another site, without an auth file": tested(
        "test_foreign_origins.py::test_no_route_serves_a_foreign_page",
        "test_foreign_hosts.py::test_no_route_is_served_under_a_foreign_name",
    ),
}

# conditions


def anything(row: Row) -> bool:
    return True


def public(row: Row) -> bool:
    return row.name in PUBLIC_ROUTES


def route(row: Row) -> bool:
    return row.kind == "route"


def command(row: Row) -> bool:
    return row.kind == "command"


def long_response(row: Row) -> bool:
    """A route with a long response."""
    return row.name in LONG_RESPONSES


def an_open_response(row: Row) -> bool:
    """A long response that has started."""
    return row.kind == "work" and (BACKGROUND[row.name].done_by in LONG_RESPONSES or row.name == "an open WebSocket")


def with_body(row: Row) -> bool:
    return row.name in WITH_BODY


def with_query(row: Row) -> bool:
    return row.kind == "route" and bool(ROUTES[row.name].query)


def with_id(row: Row) -> bool:
    return row.kind == "route" and "{" in row.name


def with_thread_id(row: Row) -> bool:
    return "{thread_id}" in row.name


def creates_runs(row: Row) -> bool:
    return row.kind == "route" and "threads:create_run" in ROUTES[row.name].access.required


def creates_threads(row: Row) -> bool:
    """The route on which a client chooses the id of a new thread."""
    return row.name == "POST /threads"


def named(*names: str) -> Condition:
    """The rows with these names."""
    unknown = set(names) - {row.name for row in ROWS}
    assert not unknown, unknown
    return lambda row: row.name in names


SHARED: Final = Exempt("It sends the same response to everybody, without data of any user.")
NO_CALLER: Final = Exempt("No client triggers it directly: it continues an accepted request.")
HOUSEKEEPING: Final = Exempt("It uses only ids, states and times, acts for no user and shows no data.")
REQUEST_BEFORE: Final = Exempt("It is the response to a request. The row of that request shows the protection.")
NO_BODY: Final = Exempt("It reads no body.")
NO_PATH: Final = Exempt("Its path has no parameter.")
NO_ID: Final = Exempt("Its request has no id of a thread, run, cron or assistant.")
AT_ONCE: Final = Exempt("Each request is authorized, and its response is complete at once.")
STORED: Final = Exempt("It reads only data that was validated when a request stored it.")
SOCKET_READS: Final = Exempt("The handler receives only the ids of a thread and a run, which it cannot change.")
ONE_REQUEST: Final = Exempt("Only requests have headers; frames and background work have none.")

QUEUED_RUN, INLINE_RUN = named("a queued run starts"), named("an inline run starts")
DUE_CRON, SOCKET = named("a cron is due"), named("an open WebSocket")
WEBHOOK = named("a webhook is delivered", "an internal webhook is delivered")
TRASH = named("the trash is emptied")

# cells that several attacks share

BACKGROUND_CELLS = (
    (DUE_CRON, tested("test_cron_permissions.py::test_a_cron_creates_no_run_while_its_owner_has_no_access")),
    (QUEUED_RUN, tested("test_lost_access.py::test_a_delayed_run_is_authorized_again_when_it_starts")),
    (INLINE_RUN, tested("test_lost_access.py::test_a_run_that_starts_at_once_is_authorized_once")),
    (WEBHOOK, tested("test_lost_access.py::test_a_webhook_sends_only_what_its_user_may_read_at_delivery")),
    (SOCKET, tested("test_open_responses.py::test_a_metadata_change_that_removes_access_closes_a_websocket")),
    (
        named("an open POST /runs/wait", "an open POST /runs/stream"),
        tested("test_open_responses.py::test_a_metadata_change_ends_the_response_of_a_stateless_run"),
    ),
    (
        an_open_response,
        tested(
            "test_open_responses.py::test_a_metadata_change_that_removes_access_ends_a_response",
            "test_open_responses.py::test_a_response_is_authorized_again_when_the_run_starts",
        ),
    ),
    (anything, HOUSEKEEPING),
)
"""Background work, and the permissions of the user for whom it is done."""

HOSTILE = (
    "test_hostile_values.py::test_no_value_of_a_field_causes_a_server_error",
    "test_hostile_values.py::test_no_query_causes_a_server_error",
)
EVERY_FRAME = "test_hostile_values.py::test_every_frame_gets_a_response"


def hostile(*others: str) -> tuple[tuple[Condition, Cell], ...]:
    """The cells of an attack whose values are sent in each member of bodies and queries, each path and each frame."""
    return (
        (with_body, tested(HOSTILE[0], *others)),
        (with_query, tested(HOSTILE[1])),
        (with_id, tested("test_hostile_values.py::test_no_path_reaches_another_route_or_record")),
        (command, tested(EVERY_FRAME)),
        (route, Exempt("It reads only the headers of the request, and these change no record.")),
        (an_open_response, REQUEST_BEFORE),
        (anything, STORED),
    )


ATTACKS: Final = (
    Attack(
        "A request without credentials",
        "401, or close code 4401 for a WebSocket, before any record is read.",
        (
            (public, SHARED),
            (route, tested("auth/test_every_route.py::test_every_route_denies_a_client_without_permission")),
            (command, tested("auth/test_event_protocol.py::test_a_denied_websocket_is_closed_with_the_http_status")),
            (an_open_response, REQUEST_BEFORE),
            (anything, NO_CALLER),
        ),
    ),
    Attack(
        "A user without any permission",
        "403, or close code 4403 for a WebSocket, before any record is read.",
        (
            (public, SHARED),
            (route, tested("auth/test_every_route.py::test_every_route_denies_a_client_without_permission")),
            (command, tested("auth/test_event_protocol.py::test_a_denied_websocket_is_closed_with_the_http_status")),
            *BACKGROUND_CELLS,
        ),
    ),
    Attack(
        "A record of another user",
        "The response is the same as for an id that does not exist: the same status and bytes at the same cost. Lists "
        "and counts do not contain the record.",
        (
            (public, SHARED),
            (
                with_id,
                tested(
                    "auth/test_every_route.py::test_every_route_hides_the_records_of_another_user",
                    "test_hidden_records.py::test_a_hidden_id_gets_the_response_of_an_unknown_id",
                    "test_hidden_records.py::test_a_large_hidden_record_costs_as_much_as_an_unknown_one",
                ),
            ),
            (route, tested("auth/test_every_route.py::test_every_route_hides_the_records_of_another_user")),
            (
                command,
                tested(
                    "auth/test_event_protocol.py::test_a_denied_websocket_is_closed_with_the_http_status",
                    "auth/test_event_protocol.py::test_a_client_that_waits_for_a_thread_receives_no_event_of_another_user",
                ),
            ),
            *BACKGROUND_CELLS,
        ),
    ),
    Attack(
        "A change of an authorize handler is ignored",
        "The `value` as the handler changed it is stored, searched for or executed. An invalid value is 500, and "
        "nothing is done.",
        (
            (public, SHARED),
            (
                creates_runs,
                tested(
                    "test_handler_values.py::test_every_route_sends_handlers_values_of_declared_shapes",
                    "test_handler_values.py::test_every_way_to_create_a_run_uses_the_changes_of_a_handler",
                ),
            ),
            (
                route,
                tested(
                    "test_handler_values.py::test_every_route_sends_handlers_values_of_declared_shapes",
                    "test_handler_values.py::test_a_change_of_a_handler_takes_effect",
                ),
            ),
            (
                named("run.start"),
                tested("test_handler_values.py::test_every_way_to_create_a_run_uses_the_changes_of_a_handler"),
            ),
            (named("input.respond"), Exempt("It creates its run with the same function as `run.start`.")),
            (command, SOCKET_READS),
            (
                DUE_CRON,
                tested("test_cron_permissions.py::test_a_cron_that_keeps_its_threads_needs_permission_to_create_them"),
            ),
            (
                anything,
                Exempt("The stored record has the changes of the handler; later authorizations only allow or deny."),
            ),
        ),
    ),
    Attack(
        "A denied operation by another route",
        "No route, command or due cron does the denied operation or shows its data, alone or as a part of another "
        "operation.",
        (
            (public, SHARED),
            (
                route,
                tested(
                    "test_entry_points.py::test_a_denied_operation_is_denied_at_every_entry_point",
                    "test_entry_points.py::test_a_filter_applies_at_every_entry_point",
                ),
            ),
            (
                named("run.start"),
                tested("test_entry_points.py::test_a_denied_operation_is_denied_at_every_entry_point"),
            ),
            (command, tested("test_open_responses.py::test_a_websocket_authorizes_each_command")),
            (
                DUE_CRON,
                tested(
                    "test_entry_points.py::test_a_denied_operation_is_denied_at_every_entry_point",
                    "test_cron_permissions.py::test_a_denied_due_time_creates_no_run",
                ),
            ),
            *BACKGROUND_CELLS,
        ),
    ),
    Attack(
        "Access is lost later",
        "Work that starts later is authorized again. It does not start, or it ends when the access ends.",
        (
            (public, SHARED),
            (
                named("PATCH /runs/crons/{cron_id}"),
                tested(
                    "test_cron_permissions.py::test_an_owner_who_may_not_create_the_run_cannot_change_the_cron",
                    "test_cron_permissions.py::test_an_owner_without_access_can_disable_and_delete_the_cron",
                ),
            ),
            (
                named("DELETE /runs/crons/{cron_id}"),
                tested("test_cron_permissions.py::test_an_owner_without_access_can_disable_and_delete_the_cron"),
            ),
            (long_response, Exempt("Its response, once it has started, has its own row.")),
            (route, AT_ONCE),
            (command, tested("test_open_responses.py::test_a_websocket_authorizes_each_command")),
            *BACKGROUND_CELLS,
        ),
    ),
    Attack(
        "Repeated credentials",
        "400, or close code 4400 for a WebSocket, whichever of the values is valid.",
        (
            (
                route,
                tested("test_repeated_credentials.py::test_every_route_rejects_a_repeated_authorization_header"),
            ),
            (command, tested("test_repeated_credentials.py::test_a_websocket_with_repeated_credentials_is_closed")),
            (an_open_response, REQUEST_BEFORE),
            (anything, ONE_REQUEST),
        ),
    ),
    Attack(
        "Credentials in headers are copied",
        "No response, log line, record or config of a run has a credential, whatever langgraph.json includes. The "
        "operator's webhook headers are sent only to hosts that are named.",
        (
            (route, tested("test_credentials.py::test_no_route_or_command_stores_or_returns_a_credential")),
            (command, tested("test_credentials.py::test_no_route_or_command_stores_or_returns_a_credential")),
            (
                named("a webhook is delivered"),
                tested(
                    "test_webhook_secrets.py::test_a_host_that_is_not_allowed_is_rejected_with_the_run",
                    "test_webhook_secrets.py::test_a_redirect_is_not_followed",
                ),
            ),
            (QUEUED_RUN, tested("test_credentials.py::test_no_credential_reaches_a_graph_a_record_or_the_log")),
            (an_open_response, REQUEST_BEFORE),
            (anything, Exempt("Records have no credentials that it could copy.")),
        ),
    ),
    Attack(
        "A page of another site, without an auth file",
        "403 for its origin, 415 for a content type that needs no preflight request, 421 for a host name that is not "
        "the server's. Nothing is done.",
        (
            (
                route,
                tested(
                    "test_foreign_origins.py::test_no_route_serves_a_foreign_page",
                    "test_foreign_origins.py::test_a_body_that_needs_no_preflight_starts_nothing",
                    "test_foreign_hosts.py::test_no_route_is_served_under_a_foreign_name",
                ),
            ),
            (
                command,
                tested(
                    "test_foreign_origins.py::test_no_command_of_a_foreign_page_is_accepted",
                    "test_foreign_hosts.py::test_no_websocket_is_opened_under_a_foreign_name",
                ),
            ),
            (an_open_response, REQUEST_BEFORE),
            (anything, NO_CALLER),
        ),
    ),
    Attack(
        "The id of a deleted record is used again",
        "The new record starts empty and keeps its own data. It gets no data of the deleted record.",
        (
            (public, SHARED),
            (
                lambda row: (
                    (with_thread_id(row) and (not long_response(row) or "{run_id}" in row.name)) or creates_threads(row)
                ),
                tested("test_incarnations.py::test_a_thread_with_the_id_of_a_deleted_thread_is_like_any_new_thread"),
            ),
            (
                with_thread_id,
                tested("http/test_recreated_threads.py::test_a_recreated_thread_keeps_its_state_history_and_interrupt"),
            ),
            (
                lambda row: "{cron_id}" in row.name,
                tested(
                    "crons/test_due_times.py::test_a_worker_that_read_a_cron_before_it_was_changed_creates_no_run_afterwards"
                ),
            ),
            (
                lambda row: "{run_id}" in row.name,
                tested("runs/test_incarnations.py::test_a_log_has_no_events_of_a_deleted_run_with_the_same_id"),
            ),
            (
                lambda row: "/assistants" in row.name or "/store/items" in row.name,
                tested("test_reused_ids.py::test_a_record_with_a_reused_id_has_no_data_of_the_deleted_record"),
            ),
            (
                named("POST /threads/prune"),
                tested(
                    "runs/test_incarnations.py::test_pruning_a_deleted_thread_does_not_change_a_later_thread_with_its_id"
                ),
            ),
            (
                named("POST /runs/cancel"),
                tested(
                    "runs/test_incarnations.py::test_messages_about_a_deleted_run_do_not_stop_a_later_run_with_its_id"
                ),
            ),
            (route, NO_ID),
            (command, tested("test_open_responses.py::test_a_websocket_closes_when_its_thread_is_deleted")),
            (
                TRASH,
                tested("runs/test_incarnations.py::test_emptying_the_trash_keeps_the_checkpoints_of_a_new_thread"),
            ),
            (
                DUE_CRON,
                tested(
                    "crons/test_due_times.py::test_a_worker_that_read_a_cron_before_it_was_changed_creates_no_run_afterwards"
                ),
            ),
            (
                WEBHOOK,
                tested(
                    "runs/test_incarnations.py::"
                    "test_the_webhooks_of_a_deleted_run_and_of_a_later_run_with_its_id_are_both_sent"
                ),
            ),
            (
                named("a queued run starts", "an inline run starts"),
                tested(
                    "runs/test_incarnations.py::"
                    "test_an_attempt_of_a_deleted_run_writes_nothing_to_a_later_run_with_its_id"
                ),
            ),
            (
                named("expired leases are reclaimed"),
                tested(
                    "runs/test_incarnations.py::test_the_lease_of_a_deleted_run_is_not_renewed_for_a_later_run_with_its_id"
                ),
            ),
            (
                named("expired threads are deleted or pruned"),
                tested(
                    "runs/test_incarnations.py::test_pruning_a_deleted_thread_does_not_change_a_later_thread_with_its_id"
                ),
            ),
            (SOCKET, tested("test_open_responses.py::test_a_websocket_closes_when_its_thread_is_deleted")),
            (an_open_response, tested("test_open_responses.py::test_a_stream_ends_when_its_thread_is_deleted")),
            (
                named("stuck records are repaired"),
                Exempt("It repairs a record from its own fields, and copies nothing from one record to another."),
            ),
            (anything, Exempt("It deletes an item by its own time to live; one script checks and deletes it.")),
        ),
    ),
    Attack(
        "Wrong types",
        "A client error (400 or 422) that names the field, never 500.",
        (
            (with_body, tested("test_wrong_types.py::test_the_error_names_a_field_of_a_wrong_type", HOSTILE[0])),
            (
                with_query,
                tested("test_wrong_types.py::test_the_error_names_a_parameter_of_a_wrong_type", HOSTILE[1]),
            ),
            (
                lambda row: row.name in COMMANDS and COMMANDS[row.name].posted,
                tested("test_wrong_types.py::test_a_command_with_parameters_of_wrong_types_is_rejected", EVERY_FRAME),
            ),
            *hostile(),
        ),
    ),
    Attack(
        "Large, deep or many-keyed JSON",
        "413 above the limit of bytes, 422 for more than 200 levels of nesting. The check takes about as long as "
        "parsing the JSON, so that other requests do not wait.",
        (
            (
                with_body,
                tested(
                    "test_large_json.py::test_no_route_accepts_a_body_over_the_limit",
                    "test_large_json.py::test_no_route_accepts_a_body_that_is_nested_too_deeply",
                    "test_large_json.py::test_checking_a_body_costs_about_as_much_as_parsing_it",
                ),
            ),
            (route, NO_BODY),
            (command, tested("test_large_json.py::test_a_frame_that_is_nested_too_deeply_is_rejected")),
            (an_open_response, REQUEST_BEFORE),
            (anything, STORED),
        ),
    ),
    Attack(
        "JSON that looks like serialised objects",
        "It is data: it is returned unchanged, and nothing is imported, created or called.",
        (
            (with_body, tested(HOSTILE[0], "test_unchanged_data.py::test_records_return_their_data_unchanged")),
            (
                named("run.start"),
                tested(EVERY_FRAME, "test_unchanged_data.py::test_the_input_of_a_run_is_returned_unchanged"),
            ),
            (
                named("input.respond"),
                tested(
                    EVERY_FRAME, "test_unchanged_data.py::test_an_answer_to_an_interrupt_reaches_the_node_unchanged"
                ),
            ),
            (
                QUEUED_RUN,
                tested(
                    "test_unchanged_data.py::test_the_input_of_a_run_is_returned_unchanged",
                    "test_unchanged_data.py::test_reserved_configurable_names_have_no_effect",
                ),
            ),
            *hostile(),
        ),
    ),
    Attack(
        "Path tricks",
        "An invalid id is 404 or 422. Another spelling of an id needs the same permission. No file and no other route "
        "is reached.",
        (
            (with_id, tested("test_hostile_values.py::test_no_path_reaches_another_route_or_record")),
            (route, NO_PATH),
            (command, Exempt("A WebSocket has the path of its thread; frames have no path.")),
            (an_open_response, REQUEST_BEFORE),
            (anything, NO_CALLER),
        ),
    ),
    Attack(
        "Line breaks in headers and events",
        "No value of a request becomes a header or a line of an event stream.",
        (
            (
                long_response,
                tested(
                    "test_hostile_values.py::test_no_value_of_a_field_causes_a_server_error",
                    "test_hostile_values.py::test_an_event_name_of_a_graph_stays_one_line",
                ),
            ),
            (route, tested("test_hostile_values.py::test_no_header_causes_a_server_error_or_is_returned")),
            (command, Exempt("A frame is one JSON text, in which line breaks are escaped.")),
            (SOCKET, Exempt("A frame is one JSON text, in which line breaks are escaped.")),
            (an_open_response, tested("test_hostile_values.py::test_an_event_name_of_a_graph_stays_one_line")),
            (WEBHOOK, tested("test_webhook_secrets.py::test_an_ambiguous_url_is_rejected")),
            (anything, Exempt("It writes no header and no event name that a client chose.")),
        ),
    ),
    Attack(
        "Patterns, Lua and key names of Redis",
        "A text matches only itself. Scripts are files, and values of clients are arguments. No key is searched by a "
        "pattern.",
        hostile("test_unchanged_data.py::test_patterns_in_names_match_only_themselves"),
    ),
    Attack(
        "Regular expressions that do not end",
        "No regular expression of a client is executed.",
        ((anything, tested("test_patterns.py::test_no_pattern_comes_from_a_client")),),
    ),
    Attack(
        "Numbers",
        "NaN, infinity, numbers beyond 64 bits, negative limits and offsets are rejected or stored unchanged, never "
        "500.",
        hostile(),
    ),
)


# the page


def page() -> str:
    """docs/attacks.md."""
    tests = _numbers(cell.tests for cell in _cells() if isinstance(cell, Covered))
    reasons = _letters(cell.reason for cell in _cells() if isinstance(cell, Exempt))
    titles = list(zip(ascii_uppercase, ATTACKS, strict=False))
    lines = [
        *_INTRODUCTION,
        "## The attacks",
        "",
        "| | attack | expected result |",
        "|---|---|---|",
        *(f"| {letter} | {attack.title} | {attack.expected} |" for letter, attack in titles),
    ]
    for kind, title in _TITLES.items():
        rows = [row for row in ROWS if row.kind == kind]
        lines += ["", f"## {title}", "", f"| | {' | '.join(letter for letter, _ in titles)} |"]
        lines.append("|---" * (len(titles) + 1) + "|")
        for row in rows:
            cells = [_mark(attack.cell_of(row), tests, reasons) for attack in ATTACKS]
            lines.append(f"| {f'`{row.name}`' if kind != 'work' else row.name} | {' | '.join(cells)} |")
    lines += ["", "## The tests", "", *(f"{number}. `{test}`" for test, number in tests.items())]
    lines += ["", "## Why an attack does not apply", "", "| | |", "|---|---|"]
    lines += [f"| {letter} | {reason} |" for reason, letter in reasons.items()]
    return "\n".join(lines) + "\n"


_TITLES: Final[dict[Kind, str]] = {
    "route": "Routes",
    "operator": "Routes for operators",
    "command": "Commands of the event protocol",
    "work": "Background work",
}
_INTRODUCTION: Final = (
    "# Attacks",
    "",
    "This page shows how Slipway is protected against each kind of attack or faulty client: for each route, each",
    "command of the event protocol, and each kind of background work (crons, webhooks, queued runs, open responses).",
    "A number in a cell is a test that shows the protection. A letter is the reason why the attack does not apply.",
    "Both are listed below.",
    "",
    "`tests/attacks/table.py` generates this page, and a test compares both. A new route, command or duty without a",
    "cell for an attack fails the build. `python -m pytest tests/attacks` runs all attacks.",
    "",
)


def _cells() -> Iterator[Cell]:
    for row in ROWS:
        for attack in ATTACKS:
            yield attack.cell_of(row)


def _numbers(found: Iterable[tuple[str, ...]]) -> dict[str, int]:
    names = sorted({name for names in found for name in names})
    return {name: number for number, name in enumerate(names, 1)}


def _letters(found: Iterable[str]) -> dict[str, str]:
    return dict(zip(dict.fromkeys(found), ascii_lowercase, strict=False))


def _mark(cell: Cell, tests: dict[str, int], reasons: dict[str, str]) -> str:
    if isinstance(cell, Exempt):
        return reasons[cell.reason]
    return " ".join(str(number) for number in sorted(tests[name] for name in cell.tests))
