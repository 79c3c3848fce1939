"""Opens a page to visitors, and only to those it is meant for.

A page answers anyone who reaches it, and each answer costs the machine seconds. So it
listens on this machine only, unless it asks for a name and a password; it never opens
a tunnel to the outside, and it reports to nobody.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bot.secrets import ExposedError, read_private
from trainer.errors import RensheError
from trainer.language import say

if TYPE_CHECKING:
    import gradio as gr

USER_VARIABLE, PASSWORD_VARIABLE = "RENSHE_USER", "RENSHE_PASSWORD"


@dataclass(frozen=True)
class Door:
    """Where a page is opened, and to whom.

    Attributes:
        host: the address to listen on.
        port: 0 takes any free one.
        login: name and password, or nothing for anyone.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    login: tuple[str, str] | None = None


def door(host: str, port: int, user: str | None, password_file: Path | None) -> Door:
    """Make a door of what the user gave and of the environment.

    Raises:
        RensheError: other machines could come in without a password, or half of the
            login is missing.
    """
    user = user or os.environ.get(USER_VARIABLE)
    secret = _password(password_file) if password_file else os.environ.get(PASSWORD_VARIABLE)
    if bool(user) != bool(secret):
        raise _half_a_login(has_user=bool(user))
    login = (user, secret) if user and secret else None
    if login is None and not _is_loopback(host):
        raise _open_to_all(host)
    return Door(host, port, login)


def serve(
    page: gr.Blocks, place: Door, *, theme: gr.Theme, css: str = "", browser: bool = False
) -> str:
    """Open the page, in threads of its own; returns its address at once.

    Raises:
        RensheError: the port is taken, or the host is no address of this machine.
    """
    from bot.studio.no_uploads import NO_UPLOADS

    port = _free_port(place)
    with _no_proxy(place.host):
        _, address, _ = page.queue(max_size=64).launch(
            server_name=place.host,
            server_port=port,
            auth=place.login,
            inbrowser=browser and _has_screen(),
            share=False,
            ssr_mode=False,
            quiet=True,
            prevent_thread_lock=True,
            theme=theme,
            css=css,
            app_kwargs={"middleware": [NO_UPLOADS]},
            footer_links=[],
            enable_monitoring=False,
        )
    return str(address)


def _free_port(place: Door) -> int:
    """Return the port, or a free one for 0; asked for here, since Gradio would only hang."""
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    with socket.socket(family) as probe:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((place.host, place.port))
        except OSError as error:
            raise RensheError(
                say(
                    zh=f"打不开 {place.host}:{place.port}：{error.strerror}",
                    en=f"cannot open {place.host}:{place.port}: {error.strerror}",
                ),
                fix=say(
                    zh="用 --port 换一个端口（0 是随便一个空着的），或检查 --host",
                    en="give another --port (0 takes any that is free), or check --host",
                ),
                code="port",
            ) from None
        return int(probe.getsockname()[1])


@contextmanager
def _no_proxy(host: str) -> Iterator[None]:
    """Let Gradio reach its own server, which it does once, although a proxy is set."""
    former = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    hosts = ",".join(filter(None, [former, "localhost", "127.0.0.1", "::1", host]))
    names = ("no_proxy", "NO_PROXY")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, hosts))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _password(file: Path) -> str:
    """Read a password file that nobody else can read."""
    try:
        return read_private(file)
    except (OSError, UnicodeDecodeError) as error:
        raise RensheError(
            say(zh=f"读不了密码文件：{error}", en=f"cannot read the password file: {error}"),
            path=file,
            code="password-file",
        ) from None
    except ExposedError:
        raise RensheError(
            say(zh="别人也能读这个密码文件", en="others can read this password file"),
            path=file,
            fix=f"chmod 600 {file}",
            code="password-file",
        ) from None


def _half_a_login(*, has_user: bool) -> RensheError:
    lacks = (
        say(zh="有用户名，没有密码", en="there is a user but no password")
        if has_user
        else say(zh="有密码，没有用户名", en="there is a password but no user")
    )
    return RensheError(lacks, fix=_give_login(), code="half-a-login")


def _open_to_all(host: str) -> RensheError:
    return RensheError(
        say(
            zh=f"在 {host} 上谁都能连进来，没有密码不开",
            en=f"on {host} anyone could come in: not without a password",
        ),
        fix=_give_login()
        + say(zh="；或者只开给本机：--host 127.0.0.1", en="; or stay with --host 127.0.0.1"),
        code="open-to-all",
    )


def _give_login() -> str:
    return say(
        zh=f"加上 --user 名字 --password-file 文件（或环境变量 {USER_VARIABLE}、"
        f"{PASSWORD_VARIABLE}）",
        en=f"give --user NAME --password-file FILE (or set {USER_VARIABLE} and "
        f"{PASSWORD_VARIABLE})",
    )


def _has_screen() -> bool:
    """Tell whether a browser would open a window, rather than take over the terminal."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
