"""What a visitor can get at over plain HTTP, whatever the page's own buttons offer."""

import http.client
import json
import os
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from bot.studio.app import studio_page
from bot.studio.page import chat_page, theme
from bot.studio.serve import Door, serve
from bot.studio.workshop import Workshop
from tests.bot.studio.runs import FakeJobs, make_run, measure
from trainer.chat import Message
from trainer.persona import load_persona

SECRET = "the-secret-of-this-machine"
DORY = Path(__file__).parents[3] / "personas" / "dory.yaml"

LOOKS = ("/assets/path", "/static/path", "/svelte/path", "/favicon.ico", "/robots.txt",
         "/theme.css",
         "/gradio_api/theme.css", "/manifest.json", "/pwa_icon", "/pwa_icon/size")  # fmt: skip
"""What the page to log in on is made of."""

HARMLESS = {
    "/", "/login", "/login/", "/logout",  # the page to log in on
    "/gradio_api/runs", "/gradio_api/runs/",  # the same page again
    "/gradio_api/user", "/gradio_api/user/", "/gradio_api/token", "/gradio_api/token/",  # nobody
    "/gradio_api/app_id", "/gradio_api/app_id/", "/gradio_api/startup-events",  # a number, a flag
    "/gradio_api/heartbeat/session_hash",  # that the server lives
    "/gradio_api/reset", "/gradio_api/reset/",  # does nothing
    *LOOKS,
}  # fmt: skip
"""Gradio's routes that answer before one has logged in: none tells anything of the project."""


class Echo:
    """An engine that says back what it heard."""

    persona = load_persona(DORY)
    rounds = 50

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        yield f"you said {messages[-1].text}"

    def stop(self) -> None:
        pass


@dataclass(frozen=True)
class Site:
    """A served page.

    Attributes:
        port: on this machine.
        project: the folder that it is served from, which is the working directory.
        page: the Gradio page.
    """

    port: int
    project: Path
    page: Any

    def ask(
        self, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[int, bytes]:
        """Ask for a path exactly as it is written; at most 5 MB of the answer are read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            content = b"" if body is None else json.dumps(body).encode()
            sent = {"Content-Type": "application/json", "Content-Length": str(len(content))}
            for name, value in (sent | headers).items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders(content)
            answer = connection.getresponse()
            return answer.status, answer.read(5_000_000)
        finally:
            connection.close()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a persona, a run and a secret, and Gradio's own folder elsewhere."""
    folder = tmp_path / "project"
    workshop = Workshop(folder)
    measure(make_run(workshop, "dory"))
    workshop.persona_file("dory").write_text(f"# {SECRET}\n", "utf-8")
    (workshop.own / "chats.sqlite").write_text(SECRET)
    (folder / "secret.txt").write_text(SECRET)
    (folder / "runs" / "link.txt").symlink_to(folder / "secret.txt")
    monkeypatch.chdir(folder)  # as `renshe studio` in a project is
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    return folder


def opened(page: Any, project: Path, login: tuple[str, str] | None = None) -> Iterator[Site]:
    address = serve(page, Door(port=0, login=login), theme=theme())
    yield Site(int(address.rstrip("/").rpartition(":")[2]), project, page)
    page.close(verbose=False)


def studio(project: Path) -> Any:
    jobs: Any = FakeJobs()
    return studio_page(Workshop(project), jobs)


def shared(_project: Path) -> Any:
    return chat_page(Echo())


PAGES = {"studio": studio, "shared": shared}


@pytest.fixture(params=PAGES)
def site(request: pytest.FixtureRequest, project: Path) -> Iterator[Site]:
    """The studio, and the chat page that one shares."""
    yield from opened(PAGES[request.param](project), project)


@pytest.fixture(params=PAGES)
def locked(request: pytest.FixtureRequest, project: Path) -> Iterator[Site]:
    """The same, behind a login."""
    yield from opened(PAGES[request.param](project), project, ("me", "password"))


# --- files of the machine ------------------------------------------------------------------


def wanted(project: Path) -> Iterator[str]:
    """Yield the files that a visitor would like to have, written in many ways."""
    inside = ("personas/dory.yaml", "secret.txt", "runs/link.txt", "runs/.studio/chats.sqlite",
              "runs/dory/run.json", "runs/dory/eval/retention.json")  # fmt: skip
    for name in inside:
        yield str(project / name)
        yield name
        yield f"./{name}"
        yield f"{project}/personas/../{name}"
        yield urllib.parse.quote(str(project / name), safe="")
        yield f"file://{project / name}"
    yield from ("/etc/passwd", "//etc/passwd", "../../../../../../etc/passwd", "file:///etc/passwd")
    yield from ("%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "..%2f..%2f..%2f..%2fetc%2fpasswd")


PREFIXES = (
    "/gradio_api/file=", "/gradio_api/file/", "/file=", "/file/", "/static/", "/assets/",
    "/svelte/", "/gradio_api/proxy=", "/gradio_api/custom_component/x/client/",
)  # fmt: skip


def test_no_file_of_the_machine_can_be_fetched(site: Site) -> None:
    tried = 0
    for name in wanted(site.project):
        for prefix in PREFIXES:
            status, content = site.ask(f"{prefix}{name}")
            assert status in (302, 307, 400, 403, 404, 405, 422, 500), (prefix, name, status)
            assert SECRET.encode() not in content and b"root:" not in content
            assert b'"best"' not in content and b"prefix_sha256" not in content
            tried += 1
    assert tried > 300


def test_the_server_fetches_nothing_on_this_machine_for_a_visitor(site: Site) -> None:
    """Neither its own pages nor its neighbours', through the ways that fetch from elsewhere."""
    for way in ("/gradio_api/file=", "/gradio_api/proxy=", "/gradio_api/file/"):
        for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::1]", "169.254.169.254"):
            status, content = site.ask(f"{way}http://{host}:{site.port}/config")
            assert status >= 400 and b'"components"' not in content, (way, host, status)


def test_no_handler_takes_a_path_for_an_uploaded_file(site: Site, tmp_path: Path) -> None:
    """Every handler is given a file of the project in the place of what it expects."""
    status, config = site.ask("/config")
    assert status == 200
    asked = 0
    path = str(site.project / "secret.txt")
    file = {"path": path, "url": path, "meta": {"_type": "gradio.FileData"}}
    for dependency in json.loads(config)["dependencies"]:
        if not dependency["backend_fn"]:
            continue
        body = {
            "data": [file] * len(dependency["inputs"]),
            "event_data": {"fact": path, "history": file, "depth": path, "value": path},
            "fn_index": dependency["id"],
            "session_hash": "evil",
        }
        status, _ = site.ask("/gradio_api/queue/join", "POST", body)
        assert status < 500
        asked += 1
    said = said_to(site, "evil")
    assert said.count("process_completed") >= min(asked, 10) and SECRET not in said
    assert copies(tmp_path / "cache") == []


def copies(folder: Path) -> list[Path]:
    """Return the files in which the secret is."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if SECRET.encode() in path.read_bytes()]


def said_to(site: Site, session: str) -> str:
    """Return what a session is told until its events are over."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    said = b""
    try:
        connection.request("GET", f"/gradio_api/queue/data?session_hash={session}")
        answer = connection.getresponse()
        while (line := answer.readline()) and b"close_stream" not in line:
            said += line
    except TimeoutError:  # a handler that waits for more: enough was said
        pass
    finally:
        connection.close()
    return said.decode("utf-8", "replace")


# --- uploads -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/upload/", "/upload"])
def test_a_hundred_megabytes_are_refused_before_they_are_read(
    site: Site, tmp_path: Path, path: str
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    head = (
        b"--x\r\nContent-Disposition: form-data; name=files; filename=a.yaml\r\n"
        b"Content-Type: text/plain\r\n\r\n"
    )
    size = 100 << 20
    connection.putrequest("POST", path)
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.putheader("Content-Length", str(len(head) + size + len(b"\r\n--x--\r\n")))
    connection.endheaders(head)
    assert connection.getresponse().status == 403, "it does not wait for the rest"
    connection.close()
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]


def test_a_small_file_is_refused_too(site: Site, tmp_path: Path) -> None:
    """Nothing on a page takes one; and whoever may send one may send a million."""
    body = (
        b"--x\r\nContent-Disposition: form-data; name=files; filename=a.html\r\n"
        b"Content-Type: text/html\r\n\r\n<script>alert(1)</script>\r\n--x--\r\n"
    )
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    connection.request("POST", "/gradio_api/upload", body, kind)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (403, b"this page takes no files")
    connection.close()
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]


# --- what is offered to programs -----------------------------------------------------------


def test_the_studio_offers_no_programming_interface(project: Path) -> None:
    for site in opened(studio(project), project):
        status, content = site.ask("/gradio_api/info")
        listed = json.loads(content)
        assert status == 200
        assert listed["named_endpoints"] == {} and listed["unnamed_endpoints"] == {}


def test_the_shared_page_offers_the_chat_alone(project: Path) -> None:
    for site in opened(shared(project), project):
        _, content = site.ask("/gradio_api/info")
        listed = json.loads(content)
        assert list(listed["named_endpoints"]) == ["/chat"]
        assert listed["unnamed_endpoints"] == {}
        page = site.ask("/config")[1].decode()
        assert "studio" not in page and "retention" not in page and str(project) not in page


# --- the login -----------------------------------------------------------------------------


def routes(page: Any) -> Iterator[tuple[str, str]]:
    """Yield every method and path that the server knows, with names for parameters."""
    for path, methods in page.app.openapi()["paths"].items():
        for method in methods:
            yield method.upper(), path.replace("{", "").replace("}", "")


def test_without_a_login_nothing_of_the_project_is_told(locked: Site) -> None:
    status, page = locked.ask("/")
    assert status == 200 and b"dory" not in page.lower() and b"Pellow" not in page
    for path in (
        "/config",
        "/gradio_api/info",
        "/gradio_api/queue/status",
        "/gradio_api/openapi.json",
    ):
        assert locked.ask(path)[0] == 401, path
    body = {"data": [], "fn_index": 0, "session_hash": "x"}
    for path in ("/gradio_api/queue/join", "/gradio_api/run/chat", "/gradio_api/call/chat",
                 "/gradio_api/component_server"):  # fmt: skip
        assert locked.ask(path, "POST", body)[0] == 401, path
    cached = f"/gradio_api/file={os.environ['GRADIO_TEMP_DIR']}/x/dory-retention.html"
    assert locked.ask(cached)[0] == 401


def test_every_other_route_needs_the_login(locked: Site) -> None:
    paths = set(routes(locked.page))
    assert len(paths) > 60
    answered = set()
    for method, path in sorted(paths):
        connection = http.client.HTTPConnection("127.0.0.1", locked.port, timeout=20)
        try:
            connection.request(method, path, b"{}", {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status < 400:
                answered.add(path)
                said = b"" if "heartbeat" in path else answer.read()
                assert b"ferry" not in said and b"retention" not in said, path
        finally:
            connection.close()
    assert answered <= HARMLESS


def test_a_wrong_password_is_no_login(locked: Site) -> None:
    def log_in(password: str) -> int:
        form = urllib.parse.urlencode({"username": "me", "password": password}).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        connection = http.client.HTTPConnection("127.0.0.1", locked.port, timeout=20)
        try:
            connection.request("POST", "/login", form, kind)
            return connection.getresponse().status
        finally:
            connection.close()

    assert log_in("guess") == 400 and log_in("") in (400, 422)
    assert log_in("password") == 200
