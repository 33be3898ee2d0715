"""Which addresses are spoken to."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from conftest import SECRET, Receiver
from pydantic import ValidationError

from runnerd_notifier import NotifierSettings
from runnerd_notifier.addresses import may_be_spoken_to
from runnerd_notifier.sending import NotDelivered, Sender

INSIDE = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.100.100.200",
    "192.0.2.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_not_public_is_not_spoken_to(address: str) -> None:
    assert not may_be_spoken_to(address, ())


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07::1", "64:ff9b::5db8:1"])
def test_what_is_public_is(address: str) -> None:
    assert may_be_spoken_to(address, ())


def test_a_network_is_allowed_by_name_also_where_another_form_leads_to_it() -> None:
    allowed = [ip_network("10.0.0.0/8")]
    assert may_be_spoken_to("10.1.2.3", allowed)
    assert may_be_spoken_to("::ffff:10.1.2.3", allowed)
    assert not may_be_spoken_to("192.168.1.1", allowed)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "2130706433"])
def test_a_host_that_leads_inside_is_sent_nothing(receiver: Receiver, host: str) -> None:
    url = f"http://{host}:{receiver.server_port}/"
    sender = Sender(NotifierSettings.model_validate({"url": url, "secret": SECRET}))
    with pytest.raises(NotDelivered, match=r"is not public.*allow_networks"):
        sender.send("id", b"{}")
    assert receiver.received.empty()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "ftp://host/", "secret": SECRET}, "http:// or https://"),
        ({"url": "http://user:password@host/", "secret": SECRET}, "without credentials"),
        ({"url": "http://host/"}, "set secret to 16 characters"),
        ({"url": "http://host/", "secret": "short"}, "set secret to 16 characters"),
    ],
)
def test_settings_that_can_not_work_are_refused(settings: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        NotifierSettings.model_validate(settings)


def test_without_a_url_nobody_is_notified(tmp_path: Path) -> None:
    assert NotifierSettings().url is None
