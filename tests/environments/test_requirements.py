"""What a line of ``requirements`` may be, and what the refusal of the others says."""

import pytest

from runnerd.environments import RequirementInvalid, check_requirements

GOOD = [
    "pandas",
    "pandas>=2,<3",
    "  scikit-learn == 1.5.0\t",
    "xgboost[scikit-learn]",
    "tomli>=2; python_version < '3.11'",
    "zope.interface",
    "torch==2.5.1+cpu",
    "numpy!=2.0.*",
    "lightgbm~=4.0",
]
ALWAYS_BAD = [
    ("", "is empty"),
    ("   ", "is empty"),
    ("six\nidna", "line break"),
    ("six\r\n-r other.txt", "line break"),
    ("six\x00", "control character"),
    ("six\u2028idna", "line break"),
    ("-e .", "option"),
    ("-r requirements.txt", "option"),
    ("-rrequirements.txt", "option"),
    ("--index-url http://elsewhere/simple", "option"),
    ("--extra-index-url=http://elsewhere/simple", "option"),
    ("six==1.16.0 --hash=sha256:00", "option"),
    ("six --no-binary=:all:", "option"),
    ("# a comment", "comment"),
    ("six  # pinned", "comment"),
    ("six==${VERSION}", "variable"),
    ("six @ https://${AWS_SECRET_ACCESS_KEY}@host/six.whl", "variable"),
    ("pandas=>2", "PEP 508"),
    ("pandas==", "PEP 508"),
    ("two words", "PEP 508"),
    ("six[", "PEP 508"),
    ("six; nonsense == '1'", "PEP 508"),
    ("$(reboot)", "PEP 508"),
    ("six @", "PEP 508"),
    (".", "path"),
    ("..", "path"),
    ("./six", "path"),
    ("../six", "path"),
    ("/srv/six", "path"),
    ("~/six", "path"),
    ("C:\\six", "path"),
    (".\\six", "path"),
    ("six-1.16.0-py2.py3-none-any.whl", "file"),
    ("six.tar.gz", "file"),
    ("https://host/six.whl", "URL"),
    ("git+https://host/six", "URL"),
    ("file:/srv/six.whl", "URL"),
    ("six @ ./six.whl", "path"),
]
DIRECT = [
    "six @ https://host/six.whl",
    "six@https://host/six.whl#sha256=00",
    "six @ git+https://host/six@main",
    "six @ git+ssh://git@host/six.git",
    "six @ file:///srv/six.whl",
    "six @ file:/srv/six.whl ; python_version > '3'",
]


@pytest.mark.parametrize("line", GOOD)
@pytest.mark.parametrize("allow_urls", [False, True])
def test_good_lines_are_taken(line: str, allow_urls: bool) -> None:
    check_requirements([line], allow_urls=allow_urls)


@pytest.mark.parametrize(("line", "word"), ALWAYS_BAD)
@pytest.mark.parametrize("allow_urls", [False, True])
def test_bad_lines_are_refused_by_name(line: str, word: str, allow_urls: bool) -> None:
    with pytest.raises(RequirementInvalid) as refused:
        check_requirements(["pandas", line, "-r also.txt"], allow_urls=allow_urls)
    assert refused.value.index == 1
    assert refused.value.line == line
    assert refused.value.message.startswith("Requirement 2 (")
    assert word in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("line", DIRECT)
def test_direct_references_need_a_permission(line: str) -> None:
    check_requirements([line], allow_urls=True)
    with pytest.raises(RequirementInvalid, match=r"environments\.allow_urls"):
        check_requirements([line], allow_urls=False)


@pytest.mark.parametrize("allow_urls", [False, True])
def test_a_password_in_a_url_is_refused_and_not_repeated(allow_urls: bool) -> None:
    with pytest.raises(RequirementInvalid) as refused:
        check_requirements(["six @ https://me:hunter2@host/six.whl"], allow_urls=allow_urls)
    assert "hunter2" not in refused.value.message


def test_a_message_stays_short_whatever_the_line_is() -> None:
    with pytest.raises(RequirementInvalid) as refused:
        check_requirements(["!" * 100_000], allow_urls=False)
    assert len(refused.value.message) < 600


def test_no_requirements_are_fine() -> None:
    check_requirements([], allow_urls=False)
