import pytest

from ironclaw.core.errors import UserError
from ironclaw.core.ids import PrincipalId
from ironclaw.domain.principals import channel_of, check_principal


@pytest.mark.parametrize("text", ["api:desk", "telegram:7", "matrix:@ann:example.org", "x: y"])
def test_a_principal_is_an_account_on_a_channel(text: str) -> None:
    check_principal(PrincipalId(text))

    assert channel_of(PrincipalId(text)) == text.split(":", maxsplit=1)[0]


@pytest.mark.parametrize(
    "text", ["", "api", ":desk", "api:", "api:a\nb", "api:\x7f", "api:" + "n" * 253, "agent:agt_x"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UserError) as caught:
        check_principal(PrincipalId(text))

    assert caught.value.code == "invalid"
    assert caught.value.hint
