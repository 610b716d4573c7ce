"""The network that boards are on: a bridge of their own on this machine, and a veth pair for each board."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Container
from pathlib import Path

from tests.boards.command import output
from tests.boards.errors import BoardError
from tests.boards.errors import BoardUnavailable

BRIDGE = "xdbr0"
PREFIX = "xd"
SUBNET = ipaddress.IPv4Network("10.77.2.0/24")
RANGE = ipaddress.IPv4Network("10.77.0.0/16")
FIRST_HOST = 10
PORTS = Path(f"/sys/class/net/{BRIDGE}/brif")


def addresses_in_use() -> set[str]:
    """Return the address of every board that is connected, wherever its files are."""
    found = (path.name.split("-") for path in Path("/sys/class/net").glob(f"{PREFIX}-*-*"))
    return {f"10.77.{third}.{last}" for _, third, last in found}


def free_address(taken: Container[str]) -> str:
    """Return an address in the default subnet that no board has."""
    for address in list(SUBNET.hosts())[FIRST_HOST - 1 :]:
        if str(address) not in taken:
            return str(address)
    raise BoardError(f"all addresses in {SUBNET} are taken: end some boards with `python -m tests.boards down all`")


def check_address(address: str) -> None:
    """Refuse an address that boards cannot have.

    Raises
    ------
    BoardError
        When it is outside of 10.77.0.0/16, or not a host's.
    """
    try:
        parsed = ipaddress.IPv4Address(address)
    except ValueError as error:
        raise BoardError(f"{address!r} is no IPv4 address") from error
    if parsed not in RANGE or int(parsed) & 0xFF in (0, 1, 255):
        raise BoardError(f"{address} cannot be a board's: take one of {RANGE} that ends in 2 to 254")


def interface(address: str) -> str:
    """Return the name of this machine's end of the link to the board at `address`."""
    return "-".join([PREFIX, *address.split(".")[2:]])


def hardware_address(address: str) -> str:
    """Return a MAC address for `address`.

    It is the same each time: after a restart with another one, a neighbour's ARP entry would black-hole the board.
    """
    return ":".join(["02", "42", *(f"{int(part):02x}" for part in address.split("."))])


def ensure_bridge(address: str) -> None:
    """Have a bridge that reaches the /24 of `address`; this machine is ``.1`` there.

    Raises
    ------
    BoardUnavailable
        When bridges cannot be made here, or another interface has that subnet.
    """
    gateway = ipaddress.IPv4Interface(f"{address}/24").network[1]
    addresses = json.loads(output("ip", "-json", "-4", "address", "show"))
    owners = {entry["local"]: link["ifname"] for link in addresses for entry in link["addr_info"]}
    owner = owners.get(str(gateway))
    if owner == BRIDGE:
        return
    if owner is not None:
        raise BoardUnavailable(f"{gateway}/24 is on {owner} already: give the board an address in another network")
    try:
        if not PORTS.exists():
            # With a MAC address of its own: without one, a bridge takes that of a board, and loses it with the board.
            output("ip", "link", "add", BRIDGE, "address", hardware_address(str(gateway)), "type", "bridge")
        output("ip", "address", "add", f"{gateway}/24", "dev", BRIDGE)
        output("ip", "link", "set", BRIDGE, "up")
    except BoardError as error:
        raise BoardUnavailable(f"the boards' bridge cannot be made here: {error}") from error


def connect(pid: int, address: str) -> None:
    """Give the network namespace of process `pid` an ``eth0`` at `address`."""
    name = interface(address)
    output("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    output("ip", "link", "set", name, "master", BRIDGE, "up")
    inside = ("nsenter", "--target", str(pid), "--net", "ip")
    output(*inside, "link", "set", "lo", "up")
    output(*inside, "link", "set", "eth0", "address", hardware_address(address))
    output(*inside, "address", "add", f"{address}/24", "dev", "eth0")
    output(*inside, "link", "set", "eth0", "up")


def disconnect(address: str) -> None:
    """Remove the link to a board, if it is there."""
    if Path("/sys/class/net", interface(address)).exists():
        output("ip", "link", "delete", interface(address))


def remove_bridge() -> None:
    """Remove the bridge, if it is there."""
    if PORTS.exists():
        output("ip", "link", "delete", BRIDGE)
