"""Which addresses are spoken to: a host's name is looked up once, checked, and not looked up again.

So neither a name that leads to a machine inside, nor one that leads elsewhere the second time,
gets anything sent.
"""

import socket
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
NAT64 = IPv6Network("64:ff9b::/96")


class AddressForbidden(Exception):
    """The host leads to nothing but addresses that are not spoken to."""


def resolve(host: str, port: int, allowed: Sequence[Network]) -> list[str]:
    """Give the addresses of a host that may be spoken to.

    Raises ``AddressForbidden`` where there is none, ``OSError`` where the name is not known.
    """
    found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    usable = sorted(each for each in found if may_be_spoken_to(each, allowed))
    if not usable:
        raise AddressForbidden(
            f"{host} leads to {', '.join(sorted(found))}, which is not public: where that is "
            "meant, name its network in allow_networks of [plugins.notifier]"
        )
    return usable


def may_be_spoken_to(text: str, allowed: Sequence[Network]) -> bool:
    """Tell whether an address is public, as are those that it stands for; or is allowed."""
    return all(
        _public(each) or any(each in network for network in allowed)
        for each in _meant(ip_address(text.partition("%")[0]))
    )


def _public(address: Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _meant(address: Address) -> Iterator[Address]:
    """Give where packets to an address may end: an IPv6 address can carry an IPv4 one."""
    if isinstance(address, IPv4Address):
        yield address
        return
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in NAT64:
        inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
    carried = [each for each in inner if each is not None]
    yield from carried or [address]
