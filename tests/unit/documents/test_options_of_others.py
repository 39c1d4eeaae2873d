"""Each row of docs/pyroscope-and-grafana.md is shown by a test, or needs none."""

import re

import pytest

from support.places import REPOSITORY, TESTS

PAGE = REPOSITORY / "docs" / "pyroscope-and-grafana.md"
# By the beginning of a row, in the order of the page: the test; "" where nothing is to be shown.
ROWS = {
    "authentication is off": "test_before_the_first_administrator_nothing_is_shown",
    "users with a password in an internal": "test_a_user_is_created_shown_changed_and_dropped",
    "accounts are created at": "test_a_person_signs_in_and_becomes_a_user",
    "administrators manage users": "test_a_user_is_created_shown_changed_and_dropped",
    "the default user `admin`": "test_a_program_on_this_machine_creates_the_first_administrator",
    "roles Admin": "test_a_role_is_a_shorthand_for_rights",
    "users of a provider have no": "test_an_external_user_gets_no_password",
    "`auth.signup-default-role`": "test_a_new_user_without_claimed_rights_gets_those_of_a_sign_up",
    "`auth.cookie-same-site`": "test_grafanas_and_pyroscopes_names_set_the_options_of_logins",
    "`auth.cookie-secure`": "test_the_cookie_is_as_configured",
    "`auth.jwt-secret`": "test_options_without_a_meaning_are_ignored_with_a_notice",
    "`auth.login-maximum-lifetime-days`": (
        "test_grafanas_and_pyroscopes_names_set_the_options_of_logins"
    ),
    "`auth.ingestion.enabled`": "test_options_without_a_meaning_are_ignored_with_a_notice",
    "`auth.internal.enabled`": "test_options_without_a_meaning_are_ignored_with_a_notice",
    "`auth.internal.signup-enabled`": "test_options_without_a_meaning_are_ignored_with_a_notice",
    "`auth.google`": "test_sections_of_grafana_and_pyroscope_are_providers",
    "`/auth/NAME/login`": "test_the_addresses_of_pyroscope_lead_to_the_provider",
    "`base-url`": "test_a_person_signs_in_and_becomes_a_user",
    "API keys by administrators": "test_a_key_is_listed_rotated_and_revoked",
    "`Authorization: Bearer`": "test_an_agent_pushes_profiles_to_pyroscope_with_a_key",
    "endpoints of users": "test_the_sign_in_of_pyroscope_and_grafana",
    "anonymous": "test_requests_without_a_login_read_as_the_guest",
    "auth proxy": "test_groups_and_roles_of_the_proxy_give_rights",
    "Google, GitHub": "test_people_sign_in_by_github",
    "Grafana.com": "test_sections_of_grafana_and_pyroscope_are_providers",
    "LDAP": "test_a_person_signs_in_and_gets_the_rights_of_their_groups",
    "JWT": "test_a_local_user_is_taken_over_only_as_is_set",
    "SAML": "test_the_proxied_request_has_the_user_in_a_header",
    "Basic": "test_passwords_may_be_switched_off",
    "passwordless": "",
    "multi-factor": "test_restrictions_all_have_to_hold",
    "several organizations": "test_sections_of_grafana_and_pyroscope_are_providers",
    "`role_attribute_path`": "test_restrictions_all_have_to_hold",
    "`allow_assign_grafana_admin`": "test_sections_of_grafana_and_pyroscope_are_providers",
    "`skip_org_role_sync`": "test_sections_of_grafana_and_pyroscope_are_providers",
    "team sync": "test_rights_come_from_claims_and_follow_them",
    "`allowed_groups`": "test_restrictions_all_have_to_hold",
    "active sync": "test_all_users_are_synced_by_a_command",
    "`auto_login`": "test_auto_login_leads_to_the_provider_unless_the_person_just_left",
    "`allow_sign_up`": "test_restrictions_all_have_to_hold",
    "several providers for one": ("test_the_email_look_up_needs_verified_addresses_on_both_sides"),
    "`protected_roles`": "test_an_account_takes_over_a_user_only_where_it_is_said",
    "`use_refresh_token`": "test_the_provider_confirms_the_access_when_it_ends",
    "single sign-out": "test_the_provider_ends_sessions_by_its_session_or_its_account",
    "`signout_redirect_url`": "test_where_a_sign_out_leads",
    "`disable_login_form`": "test_the_sign_in_page_without_a_form_takes_no_password",
    "`login_cookie_name`": "test_the_cookie_has_the_configured_name",
    "`login_maximum_inactive": "test_a_session_ends_exactly_at_its_limits",
    "`token_rotation_interval": (
        "test_the_token_is_replaced_after_the_interval_and_the_previous_one_is_good_for_a_while"
    ),
    "`api_key_max_seconds": "test_limits_of_keys_are_configured",
    "brute force": "test_names_are_refused_after_wrong_passwords_as_in_grafana",
    "remote sign-out": "test_people_see_and_end_their_own_sessions",
    "settings by an API": "",
    "`allow_embedding`": "test_every_page_has_the_headers_that_protect_it",
}
TEST = re.compile(r"def (test_\w+)\(")


def test_each_row_is_shown_by_a_test() -> None:
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    rows = [line.removeprefix("| ") for line in lines if line != "| there | here |"]
    wrong = [(row, start) for row, start in zip(rows, ROWS, strict=True) if start not in row[:80]]
    assert not wrong


@pytest.fixture(scope="module")
def tests() -> set[str]:
    """The names of all tests."""
    texts = (path.read_text("utf-8") for path in TESTS.rglob("test_*.py"))
    return {name for text in texts for name in TEST.findall(text)}


def test_the_tests_exist(tests: set[str]) -> None:
    assert not {name for name in ROWS.values() if name and name not in tests}
