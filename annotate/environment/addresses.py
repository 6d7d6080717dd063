"""Hosts, origins and addresses: checked, and written in the one form that works.

A host name is compared as a browser or a proxy sends it; an address that lacks its host, holds a
password where none belongs, or says more than is read, is refused here and not found out later.
"""

import re
from ipaddress import IPv6Address, ip_address
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_DEFAULT_PORTS = {"http": 80, "https": 443}
QUOTED = "characters of a password such as @ / # are written as %40 %2F %23"
A_HOST = "expected host names as label.example.org"
AN_ORIGIN = "expected an origin as https://label.example.org or https://label.example.org:8443"
A_SERVER = "expected an address as http://host:8000"
A_DATABASE = "expected an address as postgresql://user:password@host/name"


def _parts(value: str, expected: str, *schemes: str) -> SplitResult:
    """Raises ValueError for another scheme, and for what is no address."""
    begins = " or ".join(f"{scheme}://…" for scheme in schemes)
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"{expected}; {QUOTED}") from None
    if parts.scheme not in schemes:
        raise ValueError(f"expected an address that begins with {begins}")
    if port == 0:
        raise ValueError(f"{expected}; a port is a number from 1 to 65535")
    return parts


def _host(text: str, expected: str) -> str:
    """As it stands in an address and in a Host header: lower case, IPv6 in brackets."""
    name = text.lower().removesuffix(".")
    try:
        address = ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        if not name.isascii():
            raise ValueError(f"{expected}, in the form xn--… that browsers send") from None
        if not _NAME.fullmatch(name):
            raise ValueError(expected) from None
        return name
    return f"[{address.compressed}]" if isinstance(address, IPv6Address) else str(address)


def _place(parts: SplitResult, expected: str, *, wild: bool = False) -> str:
    """scheme://host and a port that is not the scheme's own. wild: *.host is taken as well."""
    found = parts.hostname or ""
    begin = "*." if wild and found.startswith("*.") else ""
    host = begin + _host(found.removeprefix(begin), expected)
    own = _DEFAULT_PORTS.get(parts.scheme)
    port = f":{parts.port}" if parts.port and parts.port != own else ""
    return f"{parts.scheme}://{host}{port}"


def _listening(value: str) -> str:
    expected = "expected a host name or an IP address, without a port (which is PORT)"
    return _host(value, expected).removeprefix("[").removesuffix("]")


def _allowed_host(value: str) -> str:
    """Django compares it with the Host header without its port."""
    if value == "*":
        return value
    if value.startswith("*."):
        raise ValueError(f"{A_HOST}; all hosts below a domain are written as .example.org")
    begin = "." if value.startswith(".") else ""
    expected = f"{A_HOST}, without https://, a port or a path"
    return begin + _host(value.removeprefix(begin), expected)


def _origin(value: str) -> str:
    """Django compares it letter by letter with the Origin header, which browsers write so."""
    parts = _parts(value, AN_ORIGIN, "http", "https")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{AN_ORIGIN}, without a path")
    if "@" in parts.netloc:
        raise ValueError(f"{AN_ORIGIN}, without a user")
    return _place(parts, AN_ORIGIN, wild=True)


def _server(value: str) -> str:
    """A server's root, without a slash at its end. Keys have variables of their own."""
    if not value:
        return value
    parts = _parts(value, A_SERVER, "http", "https")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"{A_SERVER}, without a key")
    return _place(parts, A_SERVER) + parts.path.rstrip("/")


def _vllm(value: str) -> str:
    address = _server(value)
    if address.endswith("/v1"):
        raise ValueError(f"{A_SERVER}: the server's root, without /v1")
    return address


def _database(value: str) -> str:
    if not value:
        return value
    if _scheme(value) not in ("postgresql", "postgres"):
        raise ValueError("expected an address that begins with postgresql://… or postgres://…")
    try:
        found = conninfo_to_dict(value)
    except ProgrammingError:  # its words quote the address
        raise ValueError(f"{A_DATABASE}; {QUOTED}") from None
    if not found.get("dbname"):
        raise ValueError(f"{A_DATABASE}; the name of the database is missing")
    ports = str(found.get("port", "")).split(",")
    if any(port and not _is_port(port) for port in ports):
        raise ValueError(f"{A_DATABASE}; a port is a number from 1 to 65535; {QUOTED}")
    return value


def _redis(parts: SplitResult, expected: str) -> None:
    """A part of the path that is no number of a database would be read as database 0."""
    if parts.scheme in ("unix", "redis+socket"):
        if not parts.path.startswith("/"):
            raise ValueError(f"{expected}; a socket is named by its whole path")
        return
    _host(parts.hostname or "", expected)
    database = parts.path.removeprefix("/")
    if database and not (database.isascii() and database.isdigit()):
        raise ValueError(f"{expected}; behind the host stands the number of a database")


def _broker(value: str) -> str:
    if not value:
        return value
    expected = "expected an address as redis://:password@host:6379/0 or amqp://user:password@host"
    parts = _parts(value, expected, "redis", "rediss", "redis+socket", "amqp", "amqps")
    if parts.scheme.startswith("amqp"):
        _host(parts.hostname or "", expected)
    else:
        _redis(parts, expected)
    return value


def _cache(value: str) -> str:
    if not value:
        return value
    expected = "expected an address as redis://:password@host:6379/1"
    _redis(_parts(value, expected, "redis", "rediss", "unix"), expected)
    return value


def _bucket(value: str) -> str:
    if not value:
        return value
    expected = "expected s3://bucket or s3://bucket/folder"
    parts = _parts(value, expected, "s3")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"{expected}, without a key (AWS_ACCESS_KEY_ID)")
    if not _BUCKET.fullmatch(parts.netloc):
        raise ValueError(expected)
    return value.rstrip("/")


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text) <= 65535


def _scheme(value: str) -> str:
    """What stands before ://, also where the rest is no address."""
    return value.partition("://")[0] if "://" in value else ""


ListeningHost = Annotated[str, AfterValidator(_listening)]
AllowedHost = Annotated[str, AfterValidator(_allowed_host)]
Origin = Annotated[str, AfterValidator(_origin)]
ServerUrl = Annotated[str, AfterValidator(_server)]
VllmUrl = Annotated[str, AfterValidator(_vllm)]
DatabaseUrl = Annotated[str, AfterValidator(_database)]
BrokerUrl = Annotated[str, AfterValidator(_broker)]
CacheUrl = Annotated[str, AfterValidator(_cache)]
BucketUrl = Annotated[str, AfterValidator(_bucket)]
