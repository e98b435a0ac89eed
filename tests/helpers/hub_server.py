"""A server of files on this machine, which answers as the Hugging Face hub does."""
from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest


class HubServer(ThreadingHTTPServer):
    """Serves the files of a folder by their names, under any path.

    Attributes:
        folder: The folder.
        requests: Method, file name and ``Range`` of each request.
        stated_hash: What the server says of the hash of each file; None: the truth.
        uploaded: What was sent to it, by path in its repository.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(('127.0.0.1', 0), _Handler)
        self.folder, self.stated_hash = folder, None
        self.requests: list[tuple[str, str, str | None]] = []
        self.uploaded: dict[str, bytes] = {}

    @property
    def address(self) -> str:
        return f'http://127.0.0.1:{self.server_port}'


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server: HubServer

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def do_POST(self) -> None:
        """What an upload asks for: a repository, how to send each file, a commit."""
        lines = self.rfile.read(int(self.headers['Content-Length'])).splitlines()
        sent = [json.loads(line) for line in lines]
        if self.path.endswith('/preupload/main'):
            files = [dict(path=file['path'], uploadMode='regular', shouldIgnore=False)
                     for file in sent[0]['files']]
            self._send(dict(files=files))
        elif '/commit/' in self.path:
            self.server.uploaded |= {
                line['value']['path']: base64.b64decode(line['value']['content'])
                for line in sent if line['key'] == 'file'}
            address = f'{self.server.address}/me/addp/commit/0'
            self._send(dict(commitOid=40 * '0', commitUrl=address))
        elif self.path == '/api/repos/create':
            self._send(dict(url=f'{self.server.address}/me/{sent[0]["name"]}'))
        else:
            self._send(dict(errors=[], warnings=[]))

    def _send(self, content: dict) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def _answer(self, with_content: bool) -> None:
        name, wanted = self.path.rpartition('/')[2], self.headers.get('Range')
        self.server.requests.append((self.command, name, wanted))
        path = self.server.folder / name
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        start = int(wanted.removeprefix('bytes=').rstrip('-')) if wanted else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header('Content-Length', str(len(content) - start))
        if start:
            self.send_header('Content-Range', f'bytes {start}-{len(content) - 1}/{len(content)}')
        digest = self.server.stated_hash or hashlib.sha256(content).hexdigest()
        self.send_header('ETag', f'"{digest}"')
        self.send_header('X-Repo-Commit', 40 * '0')
        self.end_headers()
        if with_content:
            self.wfile.write(content[start:])


@contextmanager
def hub_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A server, which huggingface_hub takes for the hub."""
    from huggingface_hub import constants
    server = HubServer(folder)
    Thread(target=server.serve_forever, args=(0.02, ), daemon=True).start()
    monkeypatch.setattr(constants, 'ENDPOINT', server.address)
    monkeypatch.setattr(constants, 'HUGGINGFACE_CO_URL_TEMPLATE',
                        server.address + '/{repo_id}/resolve/{revision}/{filename}')
    yield server
    server.shutdown()
    server.server_close()
