"""The deployer's file: what it declares, and the sentence for every mistake in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from parley.deployer_files import declares_anything
from parley.errors import ConfigurationError
from parley.tools.catalog import MAX_TOOLS, Catalog, read_catalog

Read = Callable[..., Catalog]
LAMBDA = 'description = "Where an order is."\nlambda = "order-status"\n'
HTTP = (
    'description = "Sends a letter."\nhttp = "https://letters.example/send"\nsecret = "letters"\n'
)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a text as the deployer's file."""

    def read_text(text: str, *private_hosts: str, **files: str) -> Catalog:
        for name, content in files.items():
            (tmp_path / f"{name}.json").write_text(content)
        file = tmp_path / "tools.toml"
        file.write_text(text)
        return read_catalog(file, languages=("en", "de"), private_hosts=private_hosts)

    return read_text


def test_a_tool_is_declared_in_five_lines(read: Read) -> None:
    (spec,) = read(
        """
        [order_status]
        description = "Where an order is."
        parameters.order = { type = "string", description = "Such as A-123" }
        lambda = "order-status"
        effect = "read"
        """
    ).specs
    assert (spec.name, spec.kind, spec.target) == ("order_status", "lambda", "order-status")
    assert (spec.effect, spec.timeout_s, spec.show, spec.confirm) == ("read", 10, "name", False)
    assert spec.offer.description == "Where an order is."
    assert spec.offer.schema == {
        "type": "object",
        "properties": {"order": {"type": "string", "description": "Such as A-123"}},
        "required": ["order"],
        "additionalProperties": False,
    }


def test_a_tool_without_parameters_has_the_schema_of_an_empty_object(read: Read) -> None:
    (spec,) = read(f"[now]\n{LAMBDA}").specs
    assert spec.offer.schema == {"type": "object", "properties": {}}


def test_a_parameter_that_is_optional_is_not_required(read: Read) -> None:
    text = (
        'parameters.a = { type = "string" }\nparameters.b = { type = "integer", optional = true }'
    )
    (spec,) = read(f"[t]\n{LAMBDA}{text}").specs
    assert spec.offer.schema["required"] == ["a"]
    assert spec.offer.schema["properties"]["b"] == {"type": "integer"}


def test_a_schema_may_be_in_a_file_of_its_own(read: Read) -> None:
    order = '{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}'
    (spec,) = read(f'[t]\n{LAMBDA}schema = "order.json"', order=order).specs
    assert spec.offer.schema == {"type": "object", "properties": {}}


def test_what_is_not_said_of_a_tool_is_the_careful_choice(read: Read) -> None:
    (spec,) = read(f"[t]\n{HTTP}").specs
    assert (spec.effect, spec.say, spec.result) == ("write", {}, ())
    assert spec.options == {
        "secret": "letters",
        "auth": "signature",
        "headers": {},
        "method": "POST",
    }


def test_everything_that_can_be_said_of_a_tool_reaches_its_spec(read: Read) -> None:
    (spec,) = read(
        f"""[t]
        {HTTP}
        timeout_s = 20
        title = "Letters"
        show = "all"
        result = ["number"]
        confirm = true
        method = "PUT"
        auth = "bearer"
        headers = {{ X-Tenant = "acme corp" }}
        """
    ).specs
    assert (spec.timeout_s, spec.title, spec.show, spec.result) == (
        20,
        "Letters",
        "all",
        ("number",),
    )
    assert spec.confirm
    assert (spec.options["method"], spec.options["auth"]) == ("PUT", "bearer")
    assert spec.options["headers"] == {"X-Tenant": "acme corp"}


@pytest.mark.parametrize(
    ("say", "language", "sentences"),
    [
        ('"One moment."', "fr", ["One moment."]),
        ('["One moment.", "Still here."]', "fr", ["One moment.", "Still here."]),
        ('{ en = "One moment.", de = ["Moment.", "Gleich."] }', "de", ["Moment.", "Gleich."]),
        ('{ en = "One moment." }', "fr", []),
        ('{ en = "One moment.", other = "Hm." }', "fr", ["Hm."]),
    ],
)
def test_what_is_said_while_a_tool_runs_is_known_by_language(
    read: Read, say: str, language: str, sentences: list[str]
) -> None:
    (spec,) = read(f"[t]\n{LAMBDA}say = {say}").specs
    assert list(spec.sentences(language)) == sentences


def test_a_function_of_the_application_is_a_tool(read: Read) -> None:
    (spec,) = read('[show_map]\ndescription = "Shows a map."\nclient = true').specs
    assert (spec.kind, spec.target, spec.options) == ("client", "", {})


def test_a_function_of_another_stack_is_named_by_its_arn_and_may_be_durable(read: Read) -> None:
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders:live"
    text = f'description = "x"\nlambda = "{arn}"\ndurable = true\nformat = "bedrock-agent"'
    (spec,) = read(f"[t]\n{text}").specs
    assert spec.target == arn
    assert spec.options == {"format": "bedrock-agent", "durable": True}


def test_built_in_tools_are_switched_on_one_by_one(read: Read) -> None:
    language, skip = read("[built_in]\nset_language = true\nskip_turn = true").specs
    assert [(each.name, each.kind, each.target) for each in (language, skip)] == [
        ("set_language", "built_in", "set_language"),
        ("skip_turn", "built_in", "skip_turn"),
    ]
    assert language.offer.schema["properties"]["language"]["enum"] == ["en", "de"]
    assert skip.offer.schema == {"type": "object", "properties": {}}
    assert read("[built_in]\nend_session = false").specs == ()


def test_a_server_of_tools_is_declared_with_what_holds_for_all_of_them(read: Read) -> None:
    (server,) = read(
        """
        [mcp.shop]
        url = "https://shop.example/mcp"
        secret = "shop"
        tools = ["search", "orders.find"]
        effect = "read"
        say = "I am looking."
        timeout_s = 30
        """
    ).servers
    assert (server.name, server.url) == ("shop", "https://shop.example/mcp")
    assert (server.auth, server.secret) == ("bearer", "shop")
    assert server.tools == ("search", "orders.find")
    assert (server.effect, server.timeout_s) == ("read", 30)
    assert server.say == {"": ["I am looking."]}


@pytest.mark.parametrize(("auth", "expected"), [("", "none"), ('auth = "sigv4"', "sigv4")])
def test_a_server_of_tools_needs_no_secret(read: Read, auth: str, expected: str) -> None:
    (server,) = read(f'[mcp.shop]\nurl = "https://shop.example/mcp"\n{auth}').servers
    assert (server.auth, server.secret, server.tools) == (expected, "", ())


PLAIN = 'description = "x"\n'
WRONG: list[tuple[str, str]] = [
    ("[t]\nlambda = 'x'", r"t: description: expected text of 1 to 1,024 .* It is needed\."),
    (f"[t]\n{PLAIN}", "t: expected exactly one of lambda, http and client; got none"),
    (f"[t]\n{LAMBDA}client = true", "t: expected exactly one .*; got lambda and client"),
    (f"[t]\n{PLAIN}client = false", "t: client: expected true"),
    (
        f"[t]\n{LAMBDA}efect = 'read'",
        "t: efect: there is no such field; there are auth, cl",
    ),
    (f"[t]\n{LAMBDA}effect = 'none'", "t: effect: expected read, idempotent or write"),
    (f"[t]\n{LAMBDA}timeout_s = 61", "t: timeout_s: expected a number of seconds from 1 to 60"),
    (f"[t]\n{LAMBDA}timeout_s = 0.5", "t: timeout_s: expected"),
    (f"[t]\n{LAMBDA}timeout_s = '5'", "t: timeout_s: expected"),
    (f"[t]\n{LAMBDA}show = 'everything'", "t: show: expected name, arguments or all"),
    (f"[t]\n{LAMBDA}say = ''", "t: say: expected a sentence"),
    (f"[t]\n{LAMBDA}say = {{ english = 'x' }}", "t: say: expected a sentence"),
    (f"[t]\n{LAMBDA}result = 'number'", "t: result: expected a list of the names"),
    (f"[t]\n{LAMBDA}title = 3", "t: title: expected text of at most 64"),
    (f"[t]\n{LAMBDA}effect = 'read'\nconfirm = true", "t: confirm: only .* write .*, not read"),
    (f"[t]\n{LAMBDA}secret = 'x'", "t: secret: only a tool with http has it"),
    (f"[t]\n{LAMBDA}method = 'POST'", "t: method: only a tool with http has it"),
    (f"[t]\n{LAMBDA}headers = {{}}", "t: headers: only a tool with http has it"),
    (f"[t]\n{HTTP}durable = true", "t: durable: only a tool with lambda has it"),
    (f"[t]\n{HTTP}format = 'bedrock-agent'", "t: format: only a tool with lambda has it"),
    (f"[t]\n{LAMBDA}format = 'json'", "t: format: expected bedrock-agent"),
    (f"[t]\n{LAMBDA}durable = 'yes'", "t: durable: expected true or false"),
    (f"[t]\n{PLAIN}lambda = ''", "t: lambda: expected what follows the stack's name"),
    (f"[t]\n{PLAIN}lambda = 'arn:aws:s3:::bucket'", "t: lambda: expected .* function's ARN"),
    (f"[t]\n{PLAIN}lambda = 'two words'", "t: lambda: expected what follows the stack's name"),
    (f"[t]\n{PLAIN}http = 'https://a.example'", "t: secret: expected the name .* signs"),
    (f"[t]\n{HTTP}method = 'HEAD'", "t: method: expected POST, GET, PUT, PATCH or DELETE"),
    (f"[t]\n{HTTP}auth = 'basic'", "t: auth: expected signature or bearer"),
    (f"[t]\n{LAMBDA}auth = 'bearer'", "t: auth: only a tool with http has it"),
    (
        f"[t]\n{PLAIN}secret = 'x'\nhttp = 'https://a.example/{{order}}'",
        r"t: http: \{order\} is none of its parameters",
    ),
    (
        f"[t]\n{PLAIN}secret = 'x'\nhttp = 'https://{{a}}.example/'\n"
        "parameters.a = { type = 'string' }",
        r"t: http: it may have \{name\} only in its path and query",
    ),
    (f"[t]\n{PLAIN}secret = 'x'\nhttp = 'https://a.example/x{{y'", "t: http: it has a brace"),
    (
        f"[t]\n{PLAIN}secret = 'x'\nhttp = 'https://a.example/{{a.b}}'\n"
        "parameters.'a.b' = { type = 'string' }",
        "t: http: it has a brace",
    ),
    (f"[t]\n{HTTP}headers = {{ Host = 'x' }}", r"t: headers\.Host: every request"),
    (f"[t]\n{HTTP}headers = {{ webhook-ID = 'x' }}", r"t: headers\.webhook-ID: every request"),
    (f"[t]\n{HTTP}headers = {{ Authorization = 'x' }}", r"t: headers\.Authorization: every"),
    (f"[t]\n{HTTP}headers = {{ X-A = 'a\\nb' }}".replace("'", '"'), "t: headers: expected"),
    (f"[t]\n{HTTP}headers = {{ 'X A' = 'a' }}", "t: headers: expected"),
    (f"[t]\n{LAMBDA}parameters.a = {{ type = 'text' }}", r"t: parameters\.a\.type: expected one"),
    (f"[t]\n{LAMBDA}parameters.a = {{ }}", r"t: parameters\.a\.type: expected one of string, int"),
    (f"[t]\n{LAMBDA}parameters.a = 'string'", "t: parameters: expected a table for each"),
    (
        f"[t]\n{LAMBDA}parameters.a = {{ type = 'string', optinal = true }}",
        r"t: parameters\.a\.optinal: there is no such field",
    ),
    (
        f"[t]\n{LAMBDA}parameters.a = {{ type = 'string', optional = 'yes' }}",
        r"t: parameters\.a\.optional: expected true or false",
    ),
    (
        f"[t]\n{LAMBDA}parameters.a = {{ type = 'string', default = 2026-01-01 }}",
        r"t: parameters\.a: expected what JSON has",
    ),
    (
        f"[t]\n{LAMBDA}parameters.'a b' = {{ type = 'string' }}",
        r"t: parameters\.a b: expected a name",
    ),
    (f"[t]\n{LAMBDA}schema = 'x.json'", r"t: schema: there is no file x\.json beside"),
    (f"[t]\n{LAMBDA}schema = '../x.json'", "t: schema: expected the name of a JSON file"),
    (f"[t]\n{LAMBDA}schema = 'list.json'", r"t: schema: expected list\.json to be a JSON Schema"),
    (f"[t]\n{LAMBDA}schema = 'half.json'", r"t: schema: half\.json is not JSON"),
    (
        f"[t]\n{LAMBDA}schema = 'list.json'\nparameters.a = {{ type = 'string' }}",
        "t: schema: expected either a schema or parameters",
    ),
    (f"['a b']\n{LAMBDA}", "a b: its name: expected 1 to 64"),
    (f"['multi_tool_use.parallel']\n{LAMBDA}", r"multi_tool_use\.parallel: its name: expected"),
    (f"[multi_tool_use.parallel]\n{LAMBDA}", "multi_tool_use: parallel: there is no such field"),
    (f"[{'a' * 65}]\n{LAMBDA}", "a{65}: its name: expected 1 to 64"),
    ("order = 'status'", "order: expected a table with fields of auth, client, confirm"),
    ("built_in = true", "built_in: expected a table with fields of end_session"),
    ("[built_in]\nend_call = true", "built_in: end_call: there is no such field; there are end_s"),
    ("[built_in]\nskip_turn = 'yes'", "built_in: skip_turn: expected true or false"),
    (f"[skip_turn]\n{LAMBDA}[built_in]\nskip_turn = true", "skip_turn: its name: a tool of"),
    ("[mcp]\nurl = 'https://a.example'", r"mcp\.url: expected a table with fields"),
    ("mcp = 'https://a.example'", r"mcp: expected a table for each server, as \[mcp\.shop\]"),
    ("[mcp.shop]", r"mcp\.shop: url: expected an https URL\. It is needed"),
    ("[mcp.shop]\nurl = 'https://a.example'\nauth = 'basic'", "mcp.shop: auth: expected none, b"),
    ("[mcp.shop]\nurl = 'https://a.example'\nauth = 'bearer'", "mcp.shop: secret: auth bearer"),
    (
        "[mcp.shop]\nurl = 'https://a.example'\nauth = 'sigv4'\nsecret = 'x'",
        "mcp.shop: secret: auth sigv4 has none",
    ),
    ("[mcp.shop]\nurl = 'https://a.example'\nconfirm = true", "mcp.shop: confirm: there is no"),
    ("[mcp.shop]\nurl = 'https://a.example'\ntools = []", "mcp.shop: tools: expected a list"),
    (f"[mcp.{'s' * 33}]\nurl = 'https://a.example'", "its name: expected at most 32 characters"),
    ("[mcp.shop]\nurl = 'https://a.example'\nlambda = 'x'", "mcp.shop: lambda: there is no such"),
    ("[t\n", r"tools\.toml: it is not TOML: .*line 1"),
    (
        "[mcp.shop]\nurl = 'https://a.example'\n[mcp.shop_eu]\nurl = 'https://b.example'",
        r"mcp\.shop_eu: its name: it begins as the names of the tools of shop do",
    ),
    ("".join(f"[t{n}]\n{LAMBDA}" for n in range(MAX_TOOLS + 1)), "at most 64 tools, got 65"),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG, ids=[sentence for _, sentence in WRONG])
def test_a_mistake_is_a_sentence_with_the_tool_the_field_and_what_is_allowed(
    read: Read, text: str, sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(text, half="{", list='{"type": "array"}')
    found = str(refused.value)
    assert re.search(sentence, found), found
    assert found.startswith("tools.toml: ")
    assert found.endswith(".")
    assert "\n" not in found


def test_every_entry_that_is_wrong_has_its_sentence(read: Read) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(f"[a]\n{LAMBDA}show = 'x'\n[b]\n{LAMBDA}\n[mcp.c]\n")
    first, second = str(refused.value).splitlines()
    assert first.startswith("tools.toml: a: show: ")
    assert second.startswith("tools.toml: mcp.c: url: ")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tools.toml"
    file.write_bytes(b"\xff\xfe[t]")
    with pytest.raises(ConfigurationError, match=r"^tools\.toml: expected text in UTF-8\.$"):
        read_catalog(file, languages=())


@pytest.mark.parametrize(
    "url",
    [
        "http://letters.example/",
        "https://localhost/",
        "https://crm/",
        "https://crm.internal/",
        "https://127.0.0.1:9001/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/",
        "https://10.0.0.1/",
        "https://2130706433/",
        "https://127.1/",
        "https://0x7f.1/",
        "https://LOCALHOST./",
        "ftp://letters.example/",
        "https:///x",
        "https://user:pass@letters.example/",
        "https://letters.example\\@127.0.0.1/",
        "https://letters.example:0/",
        "https://letters.example/#x",
        "letters.example",
    ],
)
@pytest.mark.parametrize("entry", ["[t]\ndescription = 'x'\nsecret = 'x'\nhttp", "[mcp.s]\nurl"])
def test_a_tool_is_at_a_public_host_over_tls(read: Read, entry: str, url: str) -> None:
    with pytest.raises(ConfigurationError, match=r": (http|url): (expected|its host)"):
        read(f"{entry} = '{url}'")


@pytest.mark.parametrize(
    ("url", "listed"),
    [
        ("http://localhost:8000/", "localhost:8000"),
        ("http://localhost:8000/", "localhost"),
        ("http://crm.internal/", "CRM.internal:80"),
        ("https://10.0.0.1/", "10.0.0.1:443"),
        ("http://[::1]:8000/", "[::1]:8000"),
    ],
)
def test_a_host_that_is_listed_may_be_private_and_without_tls(
    read: Read, url: str, listed: str
) -> None:
    (spec,) = read(f"[t]\ndescription = 'x'\nsecret = 'x'\nhttp = '{url}'", listed).specs
    assert spec.target == url


def test_the_path_and_query_of_a_url_may_have_places_for_arguments(read: Read) -> None:
    url = "https://shop.example/orders/{order}?day={day}"
    parameters = "parameters.order = { type = 'string' }\nparameters.day = { type = 'string' }"
    text = f"[t]\ndescription = 'x'\nsecret = 'x'\nhttp = '{url}'\n{parameters}"
    (spec,) = read(text).specs
    assert spec.target == url


def test_another_port_of_a_listed_host_is_not_listed(read: Read) -> None:
    with pytest.raises(ConfigurationError, match="PrivateToolHosts"):
        read("[t]\ndescription = 'x'\nsecret = 'x'\nhttp = 'http://crm:8001/'", "crm:8000")


@pytest.mark.parametrize(
    ("text", "does"), [("", False), ("# [t]\n\n  # x\r\n", False), ("# x\n[t]\n", True)]
)
def test_a_file_of_comments_declares_nothing(tmp_path: Path, text: str, does: bool) -> None:
    file = tmp_path / "tools.toml"
    file.write_text(text)
    assert declares_anything(file) is does
