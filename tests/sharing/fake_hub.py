"""A server on loopback that speaks as much of the Hub's protocol as a push and a download need."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_" + "t" * 30
LFS_FROM = 1000  # bytes; safetensors always are


@dataclass
class Repo:
    """A model repository: branch -> name -> content, and branch -> its last commit."""

    private: bool
    branches: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {}})
    commits: dict[str, str] = field(default_factory=lambda: {"main": "0" * 40})
    metadata: dict[str, str] = field(default_factory=dict)

    def branch_of(self, revision: str) -> str:
        return next((branch for branch, commit in self.commits.items() if commit == revision), revision)

    def commit_of(self, revision: str) -> str:
        return self.commits[self.branch_of(revision)]

    def find(self, revision: str) -> dict[str, bytes] | None:
        return self.branches.get(self.branch_of(revision))


@dataclass
class Hub:
    """What the server holds, what it was asked, and how it is to fail.

    Attributes:
        failures: part of ``METHOD path`` -> statuses to answer with, one a request; 0 breaks the connection,
            and -n does after n bytes of the content.
        asked: ``METHOD path`` of all requests.
    """

    repos: dict[str, Repo] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    failures: dict[str, list[int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def count(self, part: str) -> int:
        return sum(part in line for line in self.asked)

    def fail(self, line: str) -> int | None:
        for part, statuses in self.failures.items():
            if part in line and statuses:
                return statuses.pop(0)
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    cut: int | None = None  # bytes of the next content to send before the connection breaks

    def log_message(self, format, *args):  # noqa: A002  (its own name)
        pass

    def handle_one(self):
        path = unquote(urlsplit(self.path).path)
        line = f"{self.command} {path}"
        self.hub.asked.append(line)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError("the client went in the midst of its request")
        status = self.hub.fail(line)
        if status == 0:
            self.close_connection = True
            self.connection.close()
        elif status and status < 0:
            self.cut = -status
            self.route(line, body)
        elif status:
            self.answer({"error": "made to fail"}, status)
        elif path.startswith("/lfs/"):
            self.hub.blobs[path.removeprefix("/lfs/")] = body
            self.answer({})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer({"error": "Invalid username or password."}, 401)
        else:
            self.route(line, body)

    do_GET = do_HEAD = do_POST = do_PUT = handle_one

    def route(self, line: str, body: bytes):
        for pattern, method in ROUTES:
            if match := re.fullmatch(pattern, line):
                return method(self, *match.groups(), body=body)
        return self.answer({"error": f"no such address: {line}"}, 404)

    def answer(self, value: dict | list | bytes, status: int = 200, **headers: str):
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        if status == 429:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: self.cut])
        if self.cut is not None:
            self.cut = None
            self.close_connection = True
            self.connection.close()

    def files(self, repo: str, revision: str) -> dict[str, bytes] | None:
        held = self.hub.repos[repo].find(revision) if repo in self.hub.repos else None
        if held is None:
            code = "RevisionNotFound" if repo in self.hub.repos else "RepoNotFound"
            self.answer({"error": "not found"}, 404, X_Error_Code=code)
        return held

    def info(self, repo: str, revision: str = "main", body: bytes = b""):
        if (held := self.files(repo, revision)) is not None:
            found = self.hub.repos[repo]
            value = {"id": repo, "private": found.private, "sha": found.commit_of(revision)}
            siblings = [{"rfilename": name} for name in held]
            self.answer(value | {"siblings": siblings, "cardData": found.metadata})

    def tree(self, repo: str, revision: str, body: bytes):
        if (held := self.files(repo, revision)) is not None:
            self.answer(
                [{"type": "file", "path": n, "size": len(c), "oid": oid(n, c)} for n, c in held.items()]
            )

    def create(self, body: bytes):
        asked = json.loads(body)
        repo = f"{asked['organization']}/{asked['name']}"
        if repo in self.hub.repos:
            return self.answer({"error": "You already created this model repo"}, 409)
        self.hub.repos[repo] = Repo(asked.get("visibility") == "private")
        return self.answer({"url": f"{self.hub.url}/{repo}"})

    def branch(self, repo: str, name: str, body: bytes):
        branches = self.hub.repos[repo].branches
        if name in branches:
            return self.answer({"error": "exists"}, 409)
        branches[name] = dict(branches["main"])
        self.hub.repos[repo].commits[name] = hashlib.sha1(name.encode()).hexdigest()
        return self.answer({})

    def validate(self, body: bytes):
        self.answer({"warnings": [], "errors": []})

    def preupload(self, repo: str, revision: str, body: bytes):
        held = self.files(repo, revision) or {}
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if is_large(file["path"], file["size"]) else "regular",
                "shouldIgnore": False,
                "oid": oid(file["path"], held[file["path"]]) if file["path"] in held else None,
            }
            for file in json.loads(body)["files"]
        ]
        self.answer({"files": modes})

    def batch(self, repo: str, body: bytes):
        objects = []
        for wanted in json.loads(body)["objects"]:
            upload = {"upload": {"href": f"{self.hub.url}/lfs/{wanted['oid']}"}}
            known = wanted["oid"] in self.hub.blobs
            objects.append(wanted if known else wanted | {"actions": upload})
        self.answer({"transfer": "basic", "objects": objects})

    def commit(self, repo: str, revision: str, body: bytes):
        found, held = self.hub.repos[repo], self.files(repo, revision)
        lines = [json.loads(line) for line in body.splitlines()]
        parent = lines[0]["value"].get("parentCommit")
        if parent not in (None, found.commit_of(revision)):
            return self.answer({"error": "The base has moved"}, 412)
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                held[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                held[value["path"]] = self.hub.blobs[value["oid"]]
            else:
                del held[value["path"]]
        commit = found.commits[found.branch_of(revision)] = hashlib.sha1(body).hexdigest()
        return self.answer({"commitUrl": f"{self.hub.url}/{repo}/commit/x", "commitOid": commit})

    def resolve(self, repo: str, revision: str, name: str, body: bytes):
        held = self.files(repo, revision)
        if held is None:
            return None
        if name not in held:
            return self.answer({"error": "no file"}, 404, X_Error_Code="EntryNotFound")
        content, commit = held[name], self.hub.repos[repo].commit_of(revision)
        about = {"ETag": f'"{oid(name, content)}"', "X_Repo_Commit": commit, "Accept_Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if asked is None:
            return self.answer(content, **about)
        start, size = int(asked[1]), len(content)
        return self.answer(content[start:], 206, Content_Range=f"bytes {start}-{size - 1}/{size}", **about)


def is_large(name: str, size: int) -> bool:
    return size > LFS_FROM or name.endswith(".safetensors")


def oid(name: str, content: bytes) -> str:
    """Return what identifies a file: SHA-256 of a large one, git's hash of another."""
    if is_large(name, len(content)):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


_REPO = r"([\w.-]+/[\w.-]+)"
ROUTES = [
    (r"POST /api/repos/create", Handler.create),
    (r"POST /api/validate-yaml", Handler.validate),
    (rf"GET /api/models/{_REPO}", Handler.info),
    (rf"GET /api/models/{_REPO}/revision/(.+)", Handler.info),
    (rf"GET /api/models/{_REPO}/tree/([^/]+)/?", Handler.tree),
    (rf"POST /api/models/{_REPO}/branch/(.+)", Handler.branch),
    (rf"POST /api/models/{_REPO}/preupload/(.+)", Handler.preupload),
    (rf"POST /api/models/{_REPO}/commit/(.+)", Handler.commit),
    (rf"POST /{_REPO}\.git/info/lfs/objects/batch", Handler.batch),
    (rf"(?:GET|HEAD) /{_REPO}/resolve/([^/]+)/(.+)", Handler.resolve),
]


def serve(hub: Hub, handler: type[Handler] = Handler) -> ThreadingHTTPServer:
    """Start a server for `hub` in a thread of its own; the caller shuts it down."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("HubHandler", (handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
