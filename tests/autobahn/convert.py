"""Convert the Autobahn|Testsuite from Python 2 to Python 3.

Everything that changes the suite's source text must live here: the 2to3 pass, the pass that
turns payload literals into bytes, and the patches, each with its reason. This file does not know
where the sources come from or where `wstest` is installed; `install.py` runs it with the
interpreter of the suite's own environment, which has fissix (a maintained lib2to3).

    python convert.py SOURCES SITE_PACKAGES

The build stops if upstream's text differs: each patch states how often it must match.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

# Modules of the suite that the fuzzing modes do not need: WAMP, wsperf, result data bases.
UNUSED = (
    "wampcase",
    "wampfuzzing.py",
    "wamptestee.py",
    "wamptestserver.py",
    "wsperfcontrol.py",
    "wsperfmaster.py",
    "testdb.py",
    "testrun.py",
    "serializer.py",
)


# -- First pass: 2to3 -------------------------------------------------------------------------


def refactoring_tool() -> Any:
    """Return fissix with every fixer but `unicode`.

    The prefix of `u"..."` must survive: it tells text (close reasons) from payload octets.
    """
    warnings.simplefilter("ignore")
    from fissix import refactor  # type: ignore[import-not-found]

    fixers = refactor.get_fixers_from_package("fissix.fixes")
    fixers = [name for name in fixers if not name.endswith(".fix_unicode")]
    return refactor.RefactoringTool(fixers, {"print_function": False})


# -- Second pass: payload literals become bytes -----------------------------------------------

PAYLOAD_NAME = re.compile(r"(payload|PAYLOAD\d*|ping_payload|fragments|pings|msg)$")
PAYLOAD_KEYWORDS = {"payload", "reasonUtf8"}
SENDING_METHODS = {
    "sendMessage",
    "sendMessageFrameData",
    "sendMessageFrame",
    "sendPing",
    "sendPong",
}
EVENTS = {"message", "ping", "pong"}
# In case6_x_x.py, the UTF-8 vectors, octets also live under these names.
UTF8_FILE = "case6_x_x.py"
UTF8_NAMES = {"vss", "s", "k", "zz", "z1", "z2", "z3"}


def names_of(node: ast.expr) -> set[str]:
    """Return the identifier that an assignment target or a receiver ends with."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return {name}
    return set()


class PayloadLiterals(ast.NodeVisitor):
    """Collect the string constants that are octets on the wire, by the role they play."""

    def __init__(self, *, utf8_vectors: bool) -> None:
        self.utf8_vectors = utf8_vectors
        self.literals: dict[tuple[int, int], ast.Constant] = {}
        self.hex_calls: list[ast.Call] = []

    def holds_payload(self, node: ast.expr) -> bool:
        return any(
            PAYLOAD_NAME.match(name) or (self.utf8_vectors and name in UTF8_NAMES)
            for name in names_of(node)
        )

    def mark(self, node: ast.expr) -> None:
        match node:
            case ast.Constant(value=str(), kind=None):
                self.literals[node.lineno, node.col_offset] = node
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                self.mark(left)
                self.mark(right)
            case ast.BinOp(left=left):
                self.mark(left)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                for element in elements:
                    self.mark(element)
            case ast.Call(func=ast.Attribute(value=receiver, attr="join")):
                self.mark(receiver)

    def visit_Assign(self, node: ast.Assign) -> None:
        if any(self.holds_payload(target) for target in node.targets):
            self.mark(node.value)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if self.holds_payload(node.target):
            self.mark(node.value)
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        if self.utf8_vectors and names_of(node.target) & UTF8_NAMES:
            self.mark(node.iter)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        if self.utf8_vectors and names_of(node.left) & UTF8_NAMES:
            for comparator in node.comparators:
                self.mark(comparator)
        self.generic_visit(node)

    def visit_Tuple(self, node: ast.Tuple) -> None:
        match node.elts:
            case [ast.Constant(value=str(event)), payload, *_] if event in EVENTS:
                self.mark(payload)
            case [ast.Constant(value=bool()), vector] if self.utf8_vectors:
                self.mark(vector)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        for keyword in node.keywords:
            if keyword.arg in PAYLOAD_KEYWORDS:
                self.mark(keyword.value)
        match node.func:
            case ast.Attribute(attr=method) if method in SENDING_METHODS and node.args:
                self.mark(node.args[0])
            case ast.Attribute(value=ast.Name(id="binascii"), attr="b2a_hex" | "hexlify"):
                self.hex_calls.append(node)
        self.generic_visit(node)


def convert_literals(source: bytes, name: str, *, case_file: bool) -> tuple[bytes, int]:
    """Rewrite payload literals of a case file, and make the result of every hex call text.

    The source is read as latin-1: one character of a literal is then one octet, exactly as in a
    Python 2 byte string, also where the literal holds UTF-8.

    Returns:
        The new source, and how many literals were rewritten.
    """
    text = source.decode("latin-1")
    visitor = PayloadLiterals(utf8_vectors=name == UTF8_FILE)
    visitor.visit(ast.parse(text))
    edits: list[tuple[int, int, int, bytes]] = []
    if case_file:
        for (line, column), node in visitor.literals.items():
            if node.end_lineno != line or node.end_col_offset is None:
                raise SystemExit(f"{name}:{line}: a payload literal spans lines")
            assert isinstance(node.value, str)
            literal = repr(node.value.encode("latin-1")).encode("ascii")
            edits.append((line, column, node.end_col_offset, literal))
    for call in visitor.hex_calls:
        assert call.end_lineno is not None
        assert call.end_col_offset is not None
        end = call.end_col_offset
        edits.append((call.end_lineno, end, end, b'.decode("ascii")'))
    # The offsets of `ast` count octets of UTF-8.
    lines = [line.encode("utf-8") for line in text.splitlines(keepends=True)]
    for line, start, end, new in sorted(edits, reverse=True):
        old = lines[line - 1]
        lines[line - 1] = old[:start] + new + old[end:]
    converted = b"".join(lines).decode("utf-8").encode("latin-1")
    return converted, len(visitor.literals) if case_file else 0


# -- Third pass: patches ----------------------------------------------------------------------


class Patch(NamedTuple):
    """One replacement in text that has been through the first two passes."""

    file: str
    old: str
    new: str
    times: int = 1


# `type(name, (object, Case), ...)` has no consistent method resolution order in Python 3.
GENERATED_CLASSES = [
    Patch("case/case6_x_x.py", "(object, Case, )", "(Case, )"),
    Patch("case/case7_7_X.py", "(object, Case, )", "(Case, )"),
    Patch("case/case7_9_X.py", "(object, Case, )", "(Case, )"),
    Patch("case/case9_7_X.py", "(object, Case, )", "(Case, )"),
    Patch("case/case12_x_x.py", "(object, Case, )", "(Case, )", 2),
]

# Indexing bytes gives integers, `/` gives floats, zope's class advice is gone.
LANGUAGE = [
    Patch("case/case6_4_2.py", "PAYLOAD[12]", "PAYLOAD[12:13]", 2),
    Patch("case/case6_4_4.py", "PAYLOAD[12]", "PAYLOAD[12:13]", 2),
    Patch("case/case6_x_x.py", "s += chr(i)", "s += bytes([i])", 2),
    Patch("case/case6_x_x.py", "s += chr(0x20)", "s += bytes([0x20])"),
    Patch("case/case6_x_x.py", ".tostring()", ".tobytes()", 6),
    Patch(
        "case/case10_1_1.py",
        "len(self.payload) / self.p.autoFragmentSize",
        "len(self.payload) // self.p.autoFragmentSize",
    ),
    Patch(
        "case/case9_9_1.py",
        "from zope.interface import implements",
        "from zope.interface import implementer",
    ),
    Patch(
        "case/case9_9_1.py",
        "class FrameProducer:",
        "@implementer(interfaces.IPushProducer)\nclass FrameProducer:",
    ),
    Patch("case/case9_9_1.py", "   implements(interfaces.IPushProducer)\n", ""),
]

# The pickles of equal objects differ with their identities: compare values, and insist on octets.
COMPARISON = [
    Patch(
        "case/case.py",
        "return pickle.dumps(obj1) == pickle.dumps(obj2)",
        "for e in list(obj1) + list(obj2):\n"
        "         assert e[0] == 'timeout' or type(e[1]) is bytes, e\n"
        "      return obj1 == obj2",
    ),
]

# What is logged, reported or sent as JSON is text; what is on the wire is octets.
TEXT_AND_OCTETS = [
    Patch(
        "fuzzing.py",
        "data[:maxlen] + ellipses\n      else:\n         dd = data\n",
        "data[:maxlen] + ellipses.encode('ascii')\n      else:\n         dd = data\n",
    ),
    Patch("fuzzing.py", "p = ''.join(payload)", "p = b''.join(payload)"),
    Patch(
        "fuzzing.py",
        "class FuzzingProtocol:",
        "def _text(x):\n"
        "   return x.decode('utf8', 'replace') if isinstance(x, bytes) else x\n\n\n"
        "class FuzzingProtocol:",
    ),
    Patch("fuzzing.py", "self.http_request_data if", "_text(self.http_request_data) if"),
    Patch("fuzzing.py", "self.http_response_data if", "_text(self.http_response_data) if"),
    Patch(
        "fuzzing.py",
        '"localCloseReason": self.localCloseReason,',
        '"localCloseReason": _text(self.localCloseReason),',
    ),
    Patch(
        "fuzzing.py",
        '"remoteCloseReason": self.remoteCloseReason,',
        '"remoteCloseReason": _text(self.remoteCloseReason),',
    ),
    Patch("fuzzing.py", '"Pong received: " + payload', '"Pong received: " + repr(payload)'),
    Patch(
        "fuzzing.py",
        "self.sendMessage(json.dumps(len(self.factory.specCases)))",
        "self.sendMessage(json.dumps(len(self.factory.specCases)).encode('utf8'))",
    ),
    Patch(
        "fuzzing.py",
        "               'behavior':results['behavior']\n            }))",
        "               'behavior':results['behavior']\n            }).encode('utf8'))",
    ),
    Patch(
        "fuzzing.py",
        "caseClassToPrettyDescription(self.Case),\n         }))",
        "caseClassToPrettyDescription(self.Case),\n         }).encode('utf8'))",
    ),
    Patch(
        "fuzzing.py",
        'payload = spec.get("payload", "")',
        'payload = spec.get("payload", "").encode("utf8")',
    ),
    Patch("fuzzing.py", "report_filename), 'w')", "report_filename), 'w', encoding = 'utf-8')", 4),
    Patch("fuzzing.py", 'case[c[0]], c[1])).encode("utf-8"))', "case[c[0]], c[1])))"),
    Patch("fuzzing.py", "ll.encode('utf8')", "ll"),
    Patch("fuzzing.py", 'binascii.b2a_hex(t[6]).decode("ascii")', "t[6]"),
    Patch("fuzzing.py", "webdir.putChild('cwd', curdir)", "webdir.putChild(b'cwd', curdir)"),
]

# The mode `serializer` needs a module that is not installed.
MODES = [
    Patch("wstest.py", "import serializer\n", ""),
    Patch("wstest.py", "            'serializer'\n", ""),
]

# The fuzzing server listens on the loopback interface only and tells its port, so that a free
# one can be asked for with port 0 in the URL.
LISTENING = [
    Patch(
        "fuzzing.py",
        "   listenWS(factory, sslContext)\n",
        "   listener = listenWS(factory, sslContext, interface = '127.0.0.1')\n"
        '   print("Listening on port %d" % listener.getHost().port)\n',
    ),
]

# Upstream's fuzzing client always offers client_no_context_takeover; with "contextTakeover" in
# the specification it does not, and a server's answer decides alone.
CONTEXT_TAKEOVER = [
    Patch(
        "case/case12_x_x.py",
        "      self.p.perMessageCompressionOffers = self.CLIENT_OFFERS\n",
        "      self.p.perMessageCompressionOffers = self.CLIENT_OFFERS\n"
        '      if self.p.factory.spec.get("contextTakeover"):\n'
        "         self.p.perMessageCompressionOffers = [\n"
        "            PerMessageDeflateOffer(False, offer.acceptMaxWindowBits,\n"
        "               offer.requestNoContextTakeover, offer.requestMaxWindowBits)\n"
        "            for offer in self.CLIENT_OFFERS]\n",
    ),
]

SUITE_PATCHES = [
    *GENERATED_CLASSES,
    *LANGUAGE,
    *COMPARISON,
    *TEXT_AND_OCTETS,
    *MODES,
    *LISTENING,
    *CONTEXT_TAKEOVER,
]

# A float in range(), met by every case that gives a payload length.
AUTOBAHN_PATCHES = [
    Patch(
        "websocket/protocol.py",
        "range(payload_len / len(payload))",
        "range(payload_len // len(payload))",
    ),
]


def apply_patches(root: Path, patches: list[Patch]) -> None:
    for patch in patches:
        path = root / patch.file
        text = path.read_bytes().decode("latin-1")
        found = text.count(patch.old)
        if found != patch.times:
            raise SystemExit(f"{patch.file}: {patch.old!r} is there {found} times")
        path.write_bytes(text.replace(patch.old, patch.new).encode("latin-1"))


# -- The two packages -------------------------------------------------------------------------


def convert_suite(source: Path, target: Path) -> tuple[int, int]:
    """Convert the package `autobahntestsuite`; return the numbers of files and literals.

    The whole package must be in place before 2to3 runs: its fixer for imports looks at which
    files exist.
    """
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*UNUSED))
    tool = refactoring_tool()
    files = sorted(target.rglob("*.py"))
    literals = 0
    for path in files:
        text = path.read_bytes().decode("utf-8").replace("\r\n", "\n")
        refactored = str(tool.refactor_string(text.rstrip("\n") + "\n", str(path)))
        case_file = path.parent.name == "case" and re.match(r"case\d", path.name) is not None
        converted, count = convert_literals(
            refactored.encode("utf-8"), path.name, case_file=case_file
        )
        path.write_bytes(converted)
        literals += count
    apply_patches(target, SUITE_PATCHES)
    return len(files), literals


def copy_autobahn(source: Path, target: Path) -> None:
    """Copy the package `autobahn`, which already runs on Python 3 but for one division."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("test", "asyncio"))
    apply_patches(target, AUTOBAHN_PATCHES)


def main() -> None:
    sources, site_packages = map(Path, sys.argv[1:])
    [autobahn] = sources.glob("autobahn-*/autobahn")
    [suite] = sources.glob("autobahntestsuite-*/autobahntestsuite")
    copy_autobahn(autobahn, site_packages / "autobahn")
    files, literals = convert_suite(suite, site_packages / "autobahntestsuite")
    print(f"converted {files} files, {literals} payload literals")


if __name__ == "__main__":
    main()
