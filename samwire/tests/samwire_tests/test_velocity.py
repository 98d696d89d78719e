"""Mapping templates: the language, and API Gateway's variables in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from samwire.gateway.mapping import MappingFault, Source, transformed
from samwire.gateway.velocity import TemplateFault, parsed, rendered

VARIABLES: dict[str, Any] = {
    "n": 3,
    "name": "Ann",
    "flag": False,
    "list": ["a", "b", "c"],
    "map": {"x": 1, "deep": {"y": "z"}, "a-b": "dashed"},
    "nothing": None,
    "empty": "",
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        # references
        ("$name ${name}! $!name $!{name}", "Ann Ann! Ann Ann"),
        ("$nosuch|$!nosuch|$map.nosuch.more|$nothing", "|||"),
        ("$name.", "Ann."),
        ("$map.deep.y $map['deep']['y'] $map.get('a-b') $list[1] $list[9]", "z z dashed b "),
        ("$ 5 $$ a$ #hash # $1 \\$name \\\\", "$ 5 $$ a$ #hash # $1 $name \\\\"),
        ("$map $list $flag", "{x=1, deep={y=z}, a-b=dashed} [a, b, c] false"),
        # #set
        ("#set($a = 1)$a#set( $a = $a + 1 )$a", "12"),
        ("#set($m = {})#set($m.k = 'v')#set($m['l'] = [1, 2.5])$m", "{k=v, l=[1, 2.5]}"),
        ("#set($l = [1, 2])#set($l[0] = 9)$l", "[9, 2]"),
        (
            """#set($s = "to $name and ${map.x}")$s#set($s = 'not $name')$s""",
            "to Ann and 1not $name",
        ),
        ("""#set($s = "a ""quoted"" 'word'")$s""", "a \"quoted\" 'word'"),
        # #if
        ("#if($n == 3)yes#else no#end", "yes"),
        ("#if($flag)a#elseif($nothing)b#{else}c#end", "c"),
        ("#if($empty)text is true, even if empty#end", "text is true, even if empty"),
        ("#if($n > 2 && !$flag || $nosuch)yes#end", "yes"),
        ("#if($n gt 5 or $name eq 'Ann')yes#end", "yes"),
        ("#if(not ($n <= 2) and $n ne 4)yes#end", "yes"),
        ("#if($n == '3')alike as written#end", "alike as written"),
        ("#if($name < 5)no#{else}cannot be compared#end", "cannot be compared"),
        # #foreach
        ("#foreach($i in $list)$i$foreach.count#if($foreach.hasNext),#end#end", "a1,b2,c3"),
        ("#foreach($i in [1..3])$i#end #foreach($i in [2..0])$i#end", "123 210"),
        ("#foreach($i in $list)#if($foreach.index == 1)#break#end$i#end.", "a."),
        ("#foreach($i in $nothing)x#end#foreach($i in 'text')x#end", ""),
        ("#foreach($e in $map.entrySet())$e.key=$e.value;#end", "x=1;deep={y=z};a-b=dashed;"),
        ("#foreach($k in $map.keySet())$k #end", "x deep a-b "),
        ("#foreach($v in {'a': 1})$v#end$!v", "1"),
        ("a#stop b", "a"),
        # arithmetic
        ("#set($a = 7 / 2)$a #set($a = -7 / 2)$a #set($a = -7 % 3)$a", "3 -3 -1"),
        ("#set($a = 2 + 3 * 4 - 1)$a #set($a = (2 + 3) * 4)$a", "13 20"),
        ("#set($a = 1 / 0)[$a]", "[]"),
        ("#set($a = 'a' + 1)$a", "a1"),
        # methods
        (
            "$name.length() $name.toUpperCase() $name.substring(1) $name.replace('n', 'm')",
            "3 ANN nn Amm",
        ),
        ("""$name.replaceAll("(n)", "<$1>") $name.replaceFirst('n', '')""", "A<n><n> An"),
        ("$name.contains('nn') $name.startsWith('B') $name.split('n').size()", "true false 3"),
        ("$list.size() $list.contains('b') $list.get(2) $map.containsKey('x')", "3 true c true"),
        ("#set($l = [])#set($_ = $l.add('x'))#set($_ = $map.put('new', 1))$l $map.new", "[x] 1"),
        ("$map.getOrDefault('q', 'none') $n.toString().length()", "none 1"),
        # comments, lines and what is not read
        ("a## comment\nb#* block\n comment *#c", "abc"),
        ("#[[ $name #if ]]#", " $name #if "),
        ("#if(true)\nx\n#end\ny", "x\ny"),
        ("#set($a = 1)  \n$a", "1"),
    ],
)
def test_templates_are_rendered(template: str, text: str) -> None:
    assert rendered(parsed(template), json.loads(json.dumps(VARIABLES))) == text


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("x\n#if($a)y", "line 2: #if has no #end."),
        ("#foreach($i in $l)", "line 1: #foreach has no #end."),
        ("#foreach(i in $l)#end", "line 1: #foreach needs ($name in items)."),
        ("a\n\n#end", "line 3: #end without a directive that it belongs to."),
        ("#set(a = 1)", "an expression is missing before 'a = 1)'."),
        ("#set('a' = 1)", "#set needs a $reference to set."),
        ("#set($a 1)", "line 1: '=' is missing."),
        ("#set($a = )", "an expression is missing before ')'."),
        ("#set($a = 'x)", "text in ' does not end."),
        ("#macro(m)x#end", "#macro is not supported"),
        ("$name.nosuch()", "$name…nosuch(): there is no such method here."),
        ("$name.substring('a')", "$name…substring() cannot be called like this"),
        ("$list.get(9)", "$list…get() cannot be called like this"),
        ("$name.replaceAll('(', '')", "$name…replaceAll() cannot be called like this"),
        ("#set($nosuch.a = 1)", "line 1: $nosuch has nothing there to set."),
        ("${name", "'}' is missing."),
    ],
)
def test_a_faulty_template_says_where(template: str, sentence: str) -> None:
    with pytest.raises(TemplateFault) as fault:
        rendered(parsed(template), VARIABLES)
    assert sentence in str(fault.value)


SOURCE = Source(
    body='{"a": {"b": [1, {"c": "it\'s"}]}, "t": "x/y\\n"}',
    context={
        "connectionId": "id=",
        "connectedAt": 17,
        "identity": {"sourceIp": "1.2.3.4"},
        "authorizer": {"principalId": "p", "level": 7, "admin": True},
    },
    stage_variables={"colour": "green"},
    headers={"X-Mine": ["1", "2"]},
    query={"q": ["a", "b"]},
)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("$input.body", SOURCE.body),
        ("$input.json('$.a.b[1]')", '{"c": "it\'s"}'),
        ("$input.json('$.a.b[*]')", '[1, {"c": "it\'s"}]'),
        ("$input.json('$.nosuch')", '""'),
        ("$input.path('$.a.b[1].c') $input.path('$.nosuch')", "it's "),
        ("$input.path('$').a.b.size()", "2"),
        ("$input.params('q') $input.params('x-mine') $input.params('no')", "b 2 "),
        ("$input.params().header.get('X-Mine') $input.params().querystring.q", "2 b"),
        ("$context.connectionId $context.connectedAt $context.identity.sourceIp", "id= 17 1.2.3.4"),
        ("$context.authorizer.level.length() $context.authorizer.admin", "1 true"),
        (
            "$stageVariables.colour $stageVariables.get('colour') ${stageVariables.no}",
            "green green ",
        ),
        ("$util.escapeJavaScript($input.path('$.t'))", "x\\/y\\n"),
        ('$util.escapeJavaScript("it\'s é 😀")', "it\\'s \\u00E9 \\uD83D\\uDE00"),
        ("$util.parseJson('{\"a\": [1]}').a", "[1]"),
        ("$util.urlEncode('a b/ü') $util.urlDecode('a+b%2F')", "a+b%2F%C3%BC a b/"),
        ("$util.base64Encode('ü') $util.base64Decode('w7w=')", "w7w= ü"),
    ],
)
def test_api_gateways_variables(template: str, text: str) -> None:
    assert transformed(template, SOURCE) == text


def test_a_fault_in_a_template_is_one_of_mapping() -> None:
    with pytest.raises(MappingFault, match="mapping template, line 1"):
        transformed("$util.parseJson('no')", SOURCE)
