"""`login`, `logout`, `user`, `token`, `who-can`: who one is to a server, and who may do what there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwright.cli.explain import add_commands, add_group, carries_out
from modelwright.cli.kinds.rules import PrincipalFace
from modelwright.cli.options import AsJson, Reason, Where, Yes, confirm, named, workspace
from modelwright.cli.output import aside, day, facts, print_json, say, table, when
from modelwright.core.errors import Invalid, ModelwrightError, NotFound
from modelwright.core.refs import Kind, Ref

if TYPE_CHECKING:
    from modelwright.client.remote import Remote
    from modelwright.policy.records import Credential, IssuedCredential
    from modelwright.workspace import Workspace

API = "/api/v1"
DEFAULT_SERVER = "http://127.0.0.1:7878"  # where `mw up` listens unless told otherwise
SHORTEST_PASSWORD = 12
STDIN = "-"
SERVICE = "svc/"
Server = Annotated[str | None, typer.Argument(metavar="[URL]", help=f"The server; by default {DEFAULT_SERVER}.")]
AccountName = Annotated[str, typer.Argument(metavar="NAME", help="The account's name, such as ada or svc/ci.")]
Scope = Annotated[str, typer.Option(help="Where: *, model:*, model:pricing, *:pricing.")]


def register(app: typer.Typer) -> None:
    """Add the commands and the groups `user` and `token`."""
    add_commands(app, {"login": login, "logout": logout, "who-can": who_can})
    add_group(
        app,
        "user",
        "People, service accounts, and the roles they hold.",
        {
            "list": user_list,
            "show": user_show,
            "create": user_create,
            "service": user_service,
            "invite": user_invite,
            "password": user_password,
            "grant": user_grant,
            "revoke": user_revoke,
            "disable": user_disable,
            "enable": user_enable,
            "sign-out": user_sign_out,
            "roles": user_roles,
        },
    )
    add_group(
        app,
        "token",
        "Tokens: of your own, or of a service account of yours.",
        {"list": token_list, "create": token_create, "revoke": token_revoke},
    )


# Signing in


def login(
    url: Server = None,
    name: Annotated[str | None, typer.Option("--name", "-n", help="Who you are there.", show_default=False)] = None,
    token: Annotated[
        str | None, typer.Option(help="Keep this token instead of asking for a password; - reads it.", show_default=False)
    ] = None,
    setup: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="Set your first password with this token.", show_default=False)
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    days: Annotated[int, typer.Option(help="How long the token lasts, 1 to 90 days.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Sign in to a server and keep a token for it, which every later command with that URL uses.

    The password is asked for and sent once; what is kept is a token of its own, readable by you alone.
    """
    from modelwright.client.credentials import store_token

    address = _address(url)
    if token is not None:
        kept = sys.stdin.readline().strip() if token == STDIN else token
        principal = _whoami(address, kept)
    else:
        remote = _remote(address)
        try:
            if setup is not None:
                password = _new_password(password_stdin=password_stdin)
                name = _post(remote, "setup", {"token": setup, "password": password})["id"]
            else:
                name = name or typer.prompt("Name", err=True)
                password = _password(f"Password of {name}", password_stdin=password_stdin)
            kept = _token_for(remote, str(name), password, days)
        finally:
            remote.close()
        principal = _whoami(address, kept)
    file = store_token(address, kept)
    if as_json:
        print_json({"url": address, "principal": principal, "file": str(file)})
    else:
        say(f"You are {principal.id} at {address}.")
        aside(f"The token is in {file}. Try: mw list model -w {address}")


def logout(url: Server = None, as_json: AsJson = False) -> None:
    """Revoke and forget the token kept for a server."""
    from modelwright.client.credentials import store_token, stored_token
    from modelwright.policy.tokens import read

    address = _address(url)
    kept = stored_token(address)
    if kept is None:
        raise NotFound(f"No token is kept for {address}.", mend="There is nothing to sign out of.")
    revoked = True
    try:
        with workspace(address) as rooms:
            rooms.access.revoke_token(rooms.principal.id, read(kept).id, reason="signed out")
    except ModelwrightError as error:
        revoked = False
        aside(f"The server did not revoke it: {error.message}")
    store_token(address, None)
    if as_json:
        print_json({"url": address, "revoked": revoked})
    else:
        say(f"Signed out of {address}.")


# Accounts


@carries_out("access.who_can")
def who_can(
    verb: Annotated[str, typer.Argument(help="read, register, approve, deploy.production, ...")],
    resource: Annotated[str, typer.Argument(help="model:pricing/delay, or model:* for all.")],
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        found = rooms.access.who_can(verb, resource)
    if as_json:
        print_json(found)
    elif found:
        table(["who", "by"], [[each.principal, "\n".join(each.rules)] for each in found])
    else:
        aside(f"Nobody may {verb} on {resource}. An admin can change that: mw user grant NAME ROLE --scope {resource}")


@carries_out("access.list")
def user_list(where: Where = None, as_json: AsJson = False) -> None:
    face = PrincipalFace()
    with workspace(where) as rooms:
        found = rooms.access.list()
        roles: dict[str, list[str]] = {}
        for grant in rooms.access.grants():
            bar = "not " if grant.deny else ""
            roles.setdefault(grant.principal, []).append(f"{bar}{grant.role} on {grant.scope}")
    if as_json:
        print_json(found)
    else:
        rows = [[*face.row(each), "\n".join(roles.get(each.id, []))] for each in found]
        table([*face.columns, "roles"], rows)


@carries_out("access.what_can")
def user_show(name: AccountName, where: Where = None, as_json: AsJson = False) -> None:
    face = PrincipalFace()
    with workspace(where) as rooms:
        found = face.show(rooms, Ref(Kind.PRINCIPAL, named(name, Kind.PRINCIPAL)))
        if as_json:
            print_json(found)
        else:
            face.tell(rooms, found)


@carries_out("access.create_user")
def user_create(
    name: AccountName,
    display: Annotated[str, typer.Option("--display", help="The name to show.")] = "",
    role: Annotated[list[str] | None, typer.Option(help="A role to give at once; may be repeated.")] = None,
    scope: Scope = "*",
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        account = rooms.access.create_user(name, display=display, reason=reason)
        for each in role or []:
            rooms.access.grant(name, each, scope=scope, reason=reason)
        issued = rooms.access.invite(name, reason=reason)
        address = _server_of(rooms)
    if as_json:
        print_json({"account": account, "setup": issued})
        return
    say(f"{account.id} is known{f' as {chr(44).join(role)} on {scope}' if role else ', and may nothing yet'}.")
    _tell_setup(issued, address)


@carries_out("access.create_service")
def user_service(
    name: Annotated[str, typer.Argument(help="Its name, which becomes svc/NAME.")],
    owner: Annotated[str | None, typer.Option(help="Whom it acts for; by default you.", show_default=False)] = None,
    display: Annotated[str, typer.Option("--display", help="The name to show.")] = "",
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        account = rooms.access.create_service(
            f"{SERVICE}{name.removeprefix(SERVICE)}", owner=owner or rooms.principal.id, display=display, reason=reason
        )
    if as_json:
        print_json(account)
    else:
        say(f"{account.id} acts for {account.owner}. Its token: mw token create {account.id}")


@carries_out("access.invite")
def user_invite(name: AccountName, reason: Reason = "", where: Where = None, as_json: AsJson = False) -> None:
    with workspace(where) as rooms:
        issued = rooms.access.invite(name, reason=reason)
        address = _server_of(rooms)
    if as_json:
        print_json(issued)
    else:
        _tell_setup(issued, address)


def user_password(
    url: Server = None,
    name: Annotated[str | None, typer.Option("--name", "-n", help="Who you are there.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Set your own password at a server; it is asked for, the old and twice the new, and your sessions end."""
    remote = _remote(_address(url))
    try:
        who = name or typer.prompt("Name", err=True)
        _post(remote, "login", {"name": who, "password": _password(f"Password of {who}", password_stdin=False)})
        body = {"name": who, "password": _new_password(password_stdin=False)}
        account = _post(remote, "access/set_password", body)
    finally:
        remote.close()
    if as_json:
        print_json(account)
    else:
        say(f"{who} has a new password.")


@carries_out("access.grant")
def user_grant(
    name: AccountName,
    role: Annotated[str, typer.Argument(help="A role: `mw user roles` lists them.")],
    scope: Scope = "*",
    deny: Annotated[bool, typer.Option("--deny", help="Bar from what the role allows.")] = False,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        made = rooms.access.grant(name, role, scope=scope, deny=deny, reason=reason)
    if as_json:
        print_json(made)
    else:
        say(f"{made.principal} {'is barred from' if made.deny else 'holds'} {made.role} on {made.scope}.")


@carries_out("access.revoke")
def user_revoke(
    name: AccountName,
    role: Annotated[str, typer.Argument(help="The role.")],
    scope: Scope = "*",
    deny: Annotated[bool, typer.Option("--deny", help="Lift a bar.")] = False,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        rooms.access.revoke(name, role, scope=scope, deny=deny, reason=reason)
    if as_json:
        print_json({"principal": name, "role": role, "scope": scope, "deny": deny})
    else:
        say(f"{name} {'is no longer barred from' if deny else 'no longer holds'} {role} on {scope}.")


def user_disable(
    name: AccountName,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why: it goes on the record.")],
    yes: Yes = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Keep an account out: its tokens and sessions stop at once, and with a person those of their service accounts."""
    confirm(f"{name} is kept out, with every token and session.", yes=yes)
    _switch(name, reason, where, active=False, as_json=as_json)


def user_enable(
    name: AccountName,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why: it goes on the record.")],
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Let an account in again."""
    _switch(name, reason, where, active=True, as_json=as_json)


@carries_out("access.revoke_all")
def user_sign_out(
    name: AccountName,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why: it goes on the record.")],
    yes: Yes = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    confirm(f"Every token and session of {name} ends.", yes=yes)
    with workspace(where) as rooms:
        ended = rooms.access.revoke_all(name, reason=reason)
    if as_json:
        print_json({"principal": name, "revoked": ended})
    else:
        say(f"{ended} tokens and sessions of {name} have ended.")


@carries_out("access.roles")
def user_roles(where: Where = None, as_json: AsJson = False) -> None:
    with workspace(where) as rooms:
        found = rooms.access.roles()
    if as_json:
        print_json(found)
    else:
        rows = [[r.name, r.origin, f"{r.description}\n{', '.join(r.verbs)}".strip()] for r in found]
        table(["role", "from", "may"], rows)


# Tokens


@carries_out("access.tokens")
def token_list(
    name: Annotated[str | None, typer.Argument(help="Whose; by default your own.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        now = rooms.workspace.status().now
        found = rooms.access.tokens(name or rooms.principal.id)
    alive = [c for c in found if all_ or not (c.revoked_at or (c.expires_at and c.expires_at <= now))]
    if as_json:
        print_json(alive)
    elif alive:
        table(["token", "kind", "for, and what it may", "until", "last used"], [_token_row(each) for each in alive])
    else:
        aside("There is no live token.")


@carries_out("access.create_token")
def token_create(
    name: Annotated[str | None, typer.Argument(help="Whose; by default your own.")] = None,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    scope: Annotated[
        list[str] | None, typer.Option(help="read, deploy.staging, serve.invoke@deployment:delay; may be repeated.")
    ] = None,
    days: Annotated[int, typer.Option(help="How long it lasts.")] = 30,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        issued = rooms.access.create_token(name or rooms.principal.id, label=label, scopes=scope or (), days=days)
    if as_json:
        print_json(issued)
        return
    aside(f"Until {day(issued.credential.expires_at)}; its id is {issued.credential.id}. It is shown this once:")
    say(issued.token)


@carries_out("access.revoke_token")
def token_revoke(
    token: Annotated[str, typer.Argument(help="Its id.")],
    name: Annotated[str | None, typer.Option("--of", help="Whose; by default your own.", show_default=False)] = None,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        owner = name or rooms.principal.id
        rooms.access.revoke_token(owner, token, reason=reason)
    if as_json:
        print_json({"principal": owner, "token": token})
    else:
        say(f"The token {token} of {owner} is revoked.")


def _token_row(each: Credential) -> Sequence[Any]:
    about = "\n".join(line for line in (each.label, *each.scopes) if line)
    until = "revoked" if each.revoked_at else day(each.expires_at)
    return [each.id, each.kind, about, until, day(each.last_used_at)]


def _switch(name: str, reason: str, where: str | None, *, active: bool, as_json: bool) -> None:
    with workspace(where) as rooms:
        account = rooms.access.set_active(name, active=active, reason=reason)
    if as_json:
        print_json(account)
    else:
        say(f"{account.id} is {'let in' if account.active else 'kept out'}.")


def _tell_setup(issued: IssuedCredential, address: str) -> None:
    owner, until = issued.credential.owner, when(issued.credential.expires_at)
    facts(f"{owner} sets a password with this, once, until {until}:", {})
    say(f"  mw login {address} --setup {issued.token}")


def _server_of(rooms: Workspace) -> str:
    if rooms.home is None:
        from modelwright.client.remote import Remote

        assert isinstance(rooms.caller, Remote)
        return str(rooms.caller.http.base_url).rstrip("/")
    settings = rooms.home.settings.server
    return f"http://{settings.host}:{settings.port}"


# Over HTTP, before there is a token


def _address(url: str | None) -> str:
    address = (url or DEFAULT_SERVER).rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise Invalid(f"{address!r} is not the address of a server.", mend=f"It looks like {DEFAULT_SERVER}.")
    return address


def _remote(address: str, token: str | None = None) -> Remote:
    from modelwright.client.remote import Remote

    return Remote(address, token)


def _whoami(address: str, token: str) -> Any:
    remote = _remote(address, token)
    try:
        return remote.principal
    finally:
        remote.close()


def _post(remote: Remote, path: str, body: dict[str, Any]) -> Any:
    import msgspec

    return msgspec.json.decode(remote.send("POST", f"{API}/{path}", json=body).content)


def _token_for(remote: Remote, name: str, password: str, days: int) -> str:
    """Sign in, make a token, and end the session again: it was only there for that."""
    import platform

    _post(remote, "login", {"name": name, "password": password})
    body = {"name": name, "label": f"mw login on {platform.node()}"[:60], "days": days}
    issued = _post(remote, "access/create_token", body)
    _post(remote, "logout", {})
    return str(issued["token"])


def _password(prompt: str, *, password_stdin: bool) -> str:
    if password_stdin:
        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt(prompt, hide_input=True, err=True))


def _new_password(*, password_stdin: bool) -> str:
    if password_stdin:
        return sys.stdin.readline().rstrip("\n")
    prompt = f"New password, {SHORTEST_PASSWORD} characters at least"
    return str(typer.prompt(prompt, hide_input=True, confirmation_prompt="Once more", err=True))
