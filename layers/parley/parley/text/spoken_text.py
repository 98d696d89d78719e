"""What of a reply is spoken: its words, without the Markdown, HTML and addresses around them.

A language model writes for the eye: `**Menu**`, `[here](https://…)`, tables, blocks of code. The
text that is shown and stored stays as it was written. This module says what a voice reads of it
while the reply streams, and which part of the written text each spoken character comes from. The
result does not depend on how the reply was cut into tokens.

Spoken: the text of emphasis, headings, items, quotes, links and images; the cells of a table, with
commas between them; inline code and a block of one line, as they are; the host of an address.

Not spoken: longer blocks of code, rules, tags, comments, and the marks themselves. What only looks
like a mark is text: `2 * 3`, `snake_case`, `C#`, `#1`, `5 > 3`, `*args`.

The text after some marks decides what they are. So text is held back from such a mark until that
text has come: for emphasis or the text of a link at most `LOOKAHEAD_CHARS`, and
`FIRST_LOOKAHEAD_CHARS` before the first word; for an address or a tag until it ends, up to its own
limit; for a fence, a rule or a line of code to the end of the line. Text without marks is never
held back.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from parley.text import markup

_LOG = logging.getLogger(__name__)

LOOKAHEAD_CHARS = 200
"""How far away the other end of emphasis, or of a link's text, may be."""
FIRST_LOOKAHEAD_CHARS = 40
"""The same while nothing has been spoken, and a listener waits."""
MAX_ADDRESS_CHARS = 2_000
MAX_TAG_CHARS = 400
MAX_ENTITY_CHARS = 12
MAX_READ_CODE_CHARS = 80
"""The longest line of a block with one line that is read: a command. Other blocks are only
shown."""


class _Undecided(Exception):
    """The text that comes next decides."""


class SpokenText:
    """Takes the reply as it streams, and returns what is spoken of it.

    Attributes:
        written: what has come of the reply.
        text: what is spoken of it, as far as that is decided.
    """

    def __init__(self) -> None:
        self.written = ""
        self.text = ""
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._at = 0
        self._complete = self._as_written = False
        self._line_begins = True
        self._in_heading = False
        self._in_table = self._in_row = self._cell_is_empty = False
        self._code = 0
        """The length of the mark that ends inline code; 0 outside of code."""
        self._fence = ""
        self._code_lines = 0
        self._emphasis: dict[str, list[int]] = {"*": [], "_": [], "~": []}
        """The lengths of the open marks."""
        self._skips: dict[int, int] = {}
        """Parts further on that are not spoken: their starts and ends."""
        self._handlers: dict[str, Callable[[], None]] = {
            "\n": self._end_line,
            "\\": self._escape,
            "`": self._inline_code,
            "*": self._emphasise,
            "_": self._emphasise,
            "~": self._emphasise,
            "!": self._image,
            "[": self._link,
            "<": self._tag,
            "&": self._entity,
            "#": self._heading_end,
            "|": self._cell_end,
        }

    def feed(self, delta: str) -> str:
        """Take the next part of the reply. Return what more of it is spoken."""
        self.written += delta
        return self._go_on()

    def finish(self) -> str:
        """Mark the reply as complete. Return the rest that is spoken."""
        self._complete = True
        return self._go_on()

    def start(self, index: int) -> int:
        """Return where in the written text a spoken character comes from."""
        return self._starts[index]

    def end(self, index: int) -> int:
        """Return where in the written text a spoken character ends, with the marks after it."""
        return self._ends[index]

    # --- the text, piece by piece ---------------------------------------------------

    def _go_on(self) -> str:
        begun = len(self.text)
        try:
            while self._at < len(self.written) and not self._as_written:
                self._take()
        except _Undecided:
            pass
        except Exception as fault:  # a fault here costs the marks, never the turn
            _LOG.error("a reply is spoken as written: %s", type(fault).__name__)
            self._as_written = True
        if self._as_written:
            self._say(len(self.written) - self._at)
        return self.text[begun:]

    def _take(self) -> None:
        if self._fence:
            self._code_block()
        elif (until := self._skips.pop(self._at, 0)) > 0:
            self._drop(until - self._at)
        elif self._line_begins and self._line_start():
            pass
        elif self._code and self._char() not in "`\n":
            self._plain(markup.IN_CODE)
        elif (handle := self._handlers.get(self._char())) is not None:
            handle()
        elif self._in_row and self._char().isspace():
            self._cell_space()
        else:
            self._plain(markup.IN_CELL if self._in_row else markup.PLAIN)

    def _say(self, count: int) -> None:
        text = self.written[self._at : self._at + count]
        self.text += text
        self._starts += range(self._at, self._at + count)
        self._ends += range(self._at + 1, self._at + count + 1)
        self._at += count
        if not text.isspace():
            self._cell_is_empty = False

    def _drop(self, count: int) -> None:
        end = self._at + count
        if self._ends and self._ends[-1] == self._at and not self.text[-1].isspace():
            self._ends[-1] = end
        self._at = end

    def _replace(self, count: int, text: str) -> None:
        if not text:
            self._drop(count)
            return
        end = self._at + count
        self.text += text
        self._starts += [self._at] * len(text)
        self._ends += [self._at] * (len(text) - 1) + [end]
        self._at = end

    def _char(self, ahead: int = 0) -> str:
        """Return the next character, or the one `ahead` of it; empty after the end."""
        index = self._at + ahead
        if index >= len(self.written) and not self._complete:
            raise _Undecided
        return self.written[index : index + 1]

    def _before(self) -> str:
        return self.written[self._at - 1 : self._at] if self._at else ""

    def _rest(self, limit: int) -> str:
        return self.written[self._at : self._at + limit]

    def _run(self) -> str:
        """Return the next character with its repetitions."""
        mark, rest = self._char(), self.written[self._at :]
        length = len(rest) - len(rest.lstrip(mark))
        self._char(length)  # more of it may come
        return mark * length

    def _line(self, ahead: int = 0) -> tuple[str, bool]:
        """Return what has come of a line, and whether that is all of it."""
        begin = self._at + ahead
        end = self.written.find("\n", begin)
        if end < 0:
            return self.written[begin:], self._complete
        return self.written[begin:end], True

    def _plain(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.written, self._at)
        assert match is not None, "a character of its own handler comes here never"
        end = min([match.end(), *self._skips])
        address = markup.ADDRESS_BEGINS.search(self.written, self._at, end)
        if address is not None and address.start() == self._at:
            self._address(end)
            return
        if address is not None:
            end = address.start()
        elif end == len(self.written) and not self._complete:
            begun = markup.MAY_BEGIN_ADDRESS.search(self.written, self._at)
            end = begun.start() if begun is not None else end
        if end == self._at:
            raise _Undecided
        self._say(end - self._at)

    # --- lines ------------------------------------------------------------------------

    def _end_line(self) -> None:
        if self._line_begins:  # an empty one
            self._in_table = False
            for lengths in self._emphasis.values():
                lengths.clear()
        self._in_heading = self._in_row = False
        self._code = 0
        self._line_begins = True
        self._say(1)

    def _line_start(self) -> bool:
        """Skip the mark of a heading, an item, a quote, …; return False if there is none."""
        first = self._char()
        if markup.is_space(first):
            self._say(1)
            return True
        passed = (
            (first in "-*_=" and self._is_rule(first))
            or (first in "-*+•◦▪‣●" and self._is_item(first))
            or (first == "#" and self._is_heading())
            or (first == ">" and self._is_quote())
            or (first in "`~" and self._is_fence())
            or (first in "|:-" and self._is_table(first))
        )
        if not passed and first != "\n":
            self._line_begins = False
            self._in_row = self._in_row or self._in_table
        return passed

    def _is_rule(self, mark: str) -> bool:
        line, whole = self._line()
        marks = "".join(line.split())
        if marks.strip(mark):
            return False
        if not whole:
            raise _Undecided
        if len(marks) < 3:
            return False
        self._pass_over_line(line)
        return True

    def _pass_over_line(self, line: str) -> None:
        self._line_begins = False  # it was not empty
        self._drop(len(line))

    def _is_item(self, mark: str) -> bool:
        if mark in "-*+" and self._char(1) not in (" ", "\t"):
            return False
        match = re.match(markup.BULLET, self._rest(MAX_TAG_CHARS))
        assert match is not None, "a mark and white space"
        behind = self.written[self._at + match.end() :]
        if not self._complete and (not behind or (behind[0] == "[" and len(behind) < 4)):
            raise _Undecided  # a box to tick may follow
        self._drop(match.end())
        return True

    def _is_heading(self) -> bool:
        length = len(self._run())
        if length > 6 or self._char(length) not in (" ", "\t"):
            return False
        self._in_heading = True
        self._drop(length + 1)
        return True

    def _is_quote(self) -> bool:
        if self._char(1) == "=":
            return False
        self._drop(1)
        return True

    def _is_fence(self) -> bool:
        run = self._run()
        line, whole = self._line()
        if len(run) < 3 or (run[0] == "`" and "`" in line[len(run) :]):
            return False
        if not whole:
            raise _Undecided
        self._fence, self._code_lines = run, 0
        self._drop(len(line))
        return True

    def _is_table(self, first: str) -> bool:
        line, whole = self._line()
        if re.fullmatch(r"[|:\-\s]+", line):
            if not whole:
                raise _Undecided
            if "|" in line and "-" in line:
                self._in_table = True
                self._pass_over_line(line)
                return True
        if first != "|":
            return False
        self._in_row = self._cell_is_empty = True
        self._line_begins = False
        self._drop(1)
        return True

    def _code_block(self) -> None:
        if self._char() == "\n":
            self._say(1)
            return
        line, whole = self._line()
        if not whole:
            raise _Undecided
        if self._ends_block(line):
            self._fence, self._line_begins = "", False
            self._drop(len(line))
            return
        self._code_lines += 1
        if self._code_lines == 1 and len(line) <= MAX_READ_CODE_CHARS:
            behind = self.written[self._at + len(line) :].lstrip()
            following, line_break, _ = behind.partition("\n")
            whole = bool(line_break) or self._complete
            if not whole and not "".join(following.split()).strip(self._fence[0]):
                self._code_lines = 0
                raise _Undecided
            if whole and (not following or self._ends_block(following)):
                self._say(len(line))
                return
        self._drop(len(line))

    def _ends_block(self, line: str) -> bool:
        marks = line.strip()
        return len(marks) >= len(self._fence) and not marks.strip(self._fence[0])

    # --- in a line ----------------------------------------------------------------------

    def _escape(self) -> None:
        following = self._char(1)
        if following in markup.ESCAPABLE:
            self._drop(1)
            self._say(1)
        elif following in ("\n", "\r"):
            self._drop(1)
        else:
            self._say(1)

    def _inline_code(self) -> None:
        length = len(self._run())
        if self._code not in (0, length):
            self._say(length)
            return
        self._code = 0 if self._code else length
        self._drop(length)

    def _emphasise(self) -> None:
        mark = self._char()
        before, opened = self._before(), self._emphasis[mark]
        if mark == "_" and before.isalnum() and not opened:
            self._say(1)  # `snake_case`, without waiting for more of it
            return
        run = self._run()
        following = self._char(len(run))
        if mark == "~" and len(run) != 2:
            self._say(len(run))
        elif opened and markup.may_close(run, before, following):
            length = len(run)
            while opened and length:
                closed = min(length, opened[-1])
                length -= closed
                opened[-1] -= closed
                if not opened[-1]:
                    opened.pop()
            self._drop(len(run) - length)
            self._say(length)
        elif markup.may_open(run, before, following) and self._is_closed(run):
            opened.append(len(run))
            self._drop(len(run))
        else:
            self._say(len(run))

    def _lookahead(self) -> int:
        said_nothing = not self.text or self.text.isspace()
        return FIRST_LOOKAHEAD_CHARS if said_nothing else LOOKAHEAD_CHARS

    def _is_closed(self, run: str) -> bool:
        """Return whether the other end of an emphasis follows."""
        begin, limit = self._at + len(run), self._lookahead()
        window = self.written[begin : begin + limit]
        at_end = self._complete and begin + len(window) == len(self.written)
        decided = at_end or len(window) == limit
        if blank := re.search(r"\n[^\S\n]*\n", window):
            window, decided, at_end = window[: blank.start() + 1], True, False
        for match in re.finditer(re.escape(run[0]) + "+", window):
            following = window[match.end() : match.end() + 1]
            if not following and not at_end:
                break
            before = window[match.start() - 1 : match.start()]
            fits = len(match[0]) >= min(len(run), 2) and (len(run), len(match[0])) != (1, 2)
            if run[0] == "_" and following == ".":  # `__init__.py`, or the end of a sentence
                behind = window[match.end() + 1 : match.end() + 2]
                if not behind and not at_end:
                    break
                fits = fits and not behind.isalnum()
            if fits and before != "\\" and markup.may_close(match[0], before, following):
                return True
        if not decided:
            raise _Undecided
        # This much text after a mark at the start of a line is emphasis that continues, such as an
        # action in a story. Within a line the mark is a sign: `*args`.
        goes_on = len(window) == limit
        return goes_on and not self._line_so_far().strip(" \t>-*_+#")

    def _line_so_far(self) -> str:
        return self.written[self.written.rfind("\n", 0, self._at) + 1 : self._at]

    def _image(self) -> None:
        before = self._before()
        may_be = not before or before.isspace() or before in "[(>|"
        if may_be and self._char(1) == "[" and (target := self._target(1)) is not None:
            self._skips[target[0]] = target[1]
            self._drop(2)
        else:
            self._say(1)

    def _link(self) -> None:
        if self._char(1) == "^":
            note = re.match(r"\[\^[^\]\s]{1,40}\]", self._rest(60))
            if note is not None:
                line_begins = not self._line_so_far().strip()
                colon = line_begins and self._char(note.end()) == ":"
                self._drop(note.end() + colon)
                return
            if re.fullmatch(r"\[\^[^\]\s]{0,40}", self._rest(60)) and not self._complete:
                raise _Undecided
        target = self._target(0)
        if target is None:
            self._say(1)
            return
        self._skips[target[0]] = target[1]
        self._drop(1)

    def _target(self, ahead: int) -> tuple[int, int] | None:
        """Return where a link's text and its address end; None if a bracket begins no link."""
        begin, limit = self._at + ahead, self._lookahead()
        window = self.written[begin : begin + limit]
        decided = len(window) == limit or self._complete
        if decided and "]" not in window:
            return None  # a long run of brackets need not be looked at one by one
        depth = 0
        for match in re.finditer(r"\\.|[\[\]]|\n[^\S\n]*\n", window, re.DOTALL):
            depth += {"[": 1, "]": -1}.get(match[0], 0)
            if match[0].isspace():
                return None
            if depth == 0 and match[0] == "]":
                return self._address_behind(begin + match.start())
        if not decided:
            raise _Undecided
        return None

    def _address_behind(self, bracket: int) -> tuple[int, int] | None:
        if self._char(bracket + 1 - self._at) != "(":
            return None
        behind = self.written[bracket + 1 : bracket + 1 + MAX_ADDRESS_CHARS]
        match = re.match(markup.LINK_TARGET, behind)
        if match and (
            not markup.is_cased(self._before()) or re.search(r"://|\(/|\(#|mailto:", match[0])
        ):
            return bracket, bracket + 1 + match.end()
        whole = self._complete or len(behind) == MAX_ADDRESS_CHARS
        if not match and not whole and re.fullmatch(markup.LINK_TARGET_SO_FAR, behind):
            raise _Undecided
        return None

    def _address(self, limit: int) -> None:
        end = min([self._at + MAX_ADDRESS_CHARS, *self._skips])
        match = re.compile(markup.ADDRESS).match(self.written, self._at, end)
        if match is None:  # nothing behind the slashes
            if limit == len(self.written) and not self._complete:
                raise _Undecided
            self._say(len("http"))
            return
        if match.end() == len(self.written) and not self._complete:
            raise _Undecided
        address = match[0]
        while address[-1] in markup.AFTER_ADDRESS and not (
            address[-1] == ")" and address.count("(") >= address.count(")")
        ):
            address = address[:-1]
        host = re.match(markup.HOST, address)
        if host is None:
            self._say(len("http"))
        else:
            self._replace(len(address), host[1])

    def _tag(self) -> None:
        following = self._char(1)
        text = self._rest(MAX_TAG_CHARS)
        undecided = not self._complete and len(text) < MAX_TAG_CHARS
        if text.startswith("<!--"):
            end = text.find("-->")
            if end < 0 and undecided:
                raise _Undecided
            self._drop(end + 3) if end >= 0 else self._say(4)
        elif match := re.match(markup.TAG, text, re.IGNORECASE):
            name, begins = match[1].lower(), self.text[-1:] in ("", "\n")
            if name in markup.SILENT_TAGS and text[1] != "/":
                closing = re.search(rf"</{name}\s*>|(?=</ruby)", text, re.IGNORECASE)
                if closing is None and undecided:
                    raise _Undecided
                self._drop((closing or match).end())
            elif f"|{name}|" in markup.LINES and not begins:
                self._replace(match.end(), "\n")
            elif name in ("td", "th") and text[1] != "/" and self._behind_cell():
                self._replace(match.end(), ", ")
            else:
                self._drop(match.end())
        elif match := re.match(markup.IN_ANGLES, text):
            end = self._at + match.end()
            self._skips[end - 1] = end
            self._drop(1)
        else:
            may_be = following.isascii() and (following.isalpha() or following in "/!")
            if may_be and undecided and re.fullmatch(markup.TAG_SO_FAR, text, re.IGNORECASE):
                raise _Undecided
            self._say(1)

    def _behind_cell(self) -> bool:
        return self.text.rstrip(" \t")[-1:] not in ("", "\n")

    def _entity(self) -> None:
        text = self._rest(MAX_ENTITY_CHARS)
        match = re.match(markup.ENTITY, text)
        if match is not None:
            from html import unescape  # imported here: its table would slow every cold start

            char = unescape(match[0])
            if len(char) == 1 or not char.endswith(";"):  # `&nothing;` is not `&not` and more
                self._replace(match.end(), " " if char == "\u00a0" else char)
                return
        elif not self._complete and re.fullmatch(markup.ENTITY_SO_FAR, text):
            raise _Undecided
        self._say(1)

    def _heading_end(self) -> None:
        if self._in_heading and self._before() in (" ", "\t"):
            length = len(self._run())
            line, whole = self._line()
            if not line[length:].strip():
                if not whole:
                    raise _Undecided
                self._drop(len(line))
                return
        self._say(1)

    def _cell_space(self) -> None:
        length = 1
        while markup.is_space(self._char(length)):
            length += 1
        if self._cell_is_empty or self._char(length) in ("|", "\n", ""):
            self._drop(length)
        else:
            self._say(length)

    def _cell_end(self) -> None:
        if not self._in_row:
            self._say(1)
            return
        length = 1
        while markup.is_space(self._char(length)) or self._char(length) == "|":
            length += 1
        if self._char(length) in ("", "\n") or self._cell_is_empty:
            self._drop(length)
        else:
            self._replace(length, ", ")
        self._cell_is_empty = True
