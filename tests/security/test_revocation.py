"""What ends a credential: every kind of them, at once, and for good."""

import time
from datetime import timedelta
from hashlib import sha256

import jwt
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.utils import timezone

from hybrid_gateway import Include, get
from hybrid_gateway.auth import APIKeyAuthentication, JWTAuthentication, TokenAuthentication
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.tokens import CacheDenylist, TableDenylist, alogout_everywhere, logout_everywhere, secret
from hybrid_gateway.tokens.jwt_routes import jwt_routes
from hybrid_gateway.tokens.models import JWTSession, RevokedJWT, Token

User = get_user_model()
pytestmark = pytest.mark.django_db

OURS = JWTAuthentication(algorithms=["HS256"], key="o" * 32, issuer="ours")
FOREIGN = JWTAuthentication(algorithms=["HS256"], key="f" * 32, issuer="foreign", foreign=True)


@get("/me")
async def me(user: User) -> str:
    return user.username


@pytest.fixture
def user():
    return User.objects.create_user("ada", password="a-password")


@pytest.fixture
def api(serve):
    schemes = [TokenAuthentication(), APIKeyAuthentication(), OURS, FOREIGN]
    return serve(me, Include("/jwt", jwt_routes(OURS)), authentication=schemes)


def bearer(plain):
    return {"Authorization": f"Bearer {plain}"}


def foreign_token(user, **changes):
    now = int(time.time())
    content = {"sub": str(user.pk), "jti": "j", "iat": now, "exp": now + 60, "iss": "foreign", **changes}
    return jwt.encode(content, "f" * 32, headers={"typ": "at+jwt"})


def log_in(api):
    answer = api.post("/jwt/login", json={"username": "ada", "password": "a-password"})
    assert answer.status_code == 201
    return answer.json()


def credentials(api, user):
    """One of every kind: name → whether it still works."""
    pair, spare = log_in(api), log_in(api)
    token, key = Token.objects.issue(user)[1], Token.objects.issue(user)[1]
    minted = OURS.issue(user)

    def works(headers):
        return api.get("/me", headers=headers).status_code == 200

    def refreshes():
        return api.post("/jwt/refresh", json={"refresh_token": spare["refresh_token"]}).status_code == 200

    return {
        "token": lambda: works(bearer(token)),
        "API key": lambda: works({"X-API-Key": key}),
        "access": lambda: works(bearer(pair["access_token"])),
        "minted": lambda: works(bearer(minted)),
        "refresh": refreshes,
    }


def change_password(user):
    user.set_password("another")
    user.save()


def write_password(user):
    """As a management script would, without the model's methods."""
    other = User(pk=user.pk)
    other.set_password("another")
    User.objects.filter(pk=user.pk).update(password=other.password)


def deactivate(user):
    User.objects.filter(pk=user.pk).update(is_active=False)


@pytest.mark.parametrize("end", [change_password, write_password, deactivate, logout_everywhere])
def test_r_revoke_every_credential_dies(api, user, end):
    known = credentials(api, user)
    assert {name: works() for name, works in known.items()} == dict.fromkeys(known, True)
    known = credentials(api, user)
    end(user)
    assert {name: works() for name, works in known.items()} == dict.fromkeys(known, False)


def test_r_revoke_logging_out_everywhere_ends_foreign_tokens_that_are_older(api, user):
    plain = foreign_token(user)
    assert api.get("/me", headers=bearer(plain)).status_code == 200
    logout_everywhere(user)
    for old in (plain, foreign_token(user, iat=None), foreign_token(user, iat=int(time.time()) - 100)):
        assert api.get("/me", headers=bearer(old)).status_code == 401
    user.gateway_sign_out.at = timezone.now() - timedelta(seconds=5)
    user.gateway_sign_out.save()
    assert api.get("/me", headers=bearer(foreign_token(user))).status_code == 200


def test_r_revoke_logging_out_everywhere_is_of_one_user(api, user):
    other = User.objects.create_user("bob", password="b")
    headers = bearer(Token.objects.issue(other)[1])
    counted = async_to_sync(alogout_everywhere)(user)
    assert counted == (0, 0, 0)
    assert api.get("/me", headers=headers).status_code == 200


def session_of(user):
    store = SessionStore()
    store["_auth_user_id"] = str(user.pk)
    store.create()
    return store.session_key


@pytest.mark.parametrize("engine", ["db", "cached_db"])
def test_r_revoke_logging_out_everywhere_ends_sessions_in_a_table(user, settings, engine):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    mine, other = session_of(user), session_of(User.objects.create_user("bob"))
    assert logout_everywhere(user).sessions == 1
    assert not SessionStore().exists(mine)
    assert SessionStore().exists(other)


@pytest.mark.parametrize("engine", ["cache", "file", "signed_cookies"])
def test_other_session_engines_say_that_they_cannot_tell(user, settings, engine):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    assert logout_everywhere(user).sessions is None


# --- refresh tokens


def test_a_refresh_token_is_good_once_and_gives_the_next(api, user):
    first = log_in(api)
    second = api.post("/jwt/refresh", json={"refresh_token": first["refresh_token"]}).json()
    third = api.post("/jwt/refresh", json={"refresh_token": second["refresh_token"]}).json()
    assert len({pair["refresh_token"] for pair in (first, second, third)}) == 3
    assert api.get("/me", headers=bearer(third["access_token"])).text == "ada"
    assert JWTSession.objects.get().refreshed_at is not None


@pytest.mark.parametrize("thief_is_first", [True, False])
def test_r_revoke_a_refresh_token_used_twice_ends_the_login(api, user, thief_is_first):
    stolen = log_in(api)
    others = log_in(api)
    last = stolen
    for _ in range(1 if thief_is_first else 3):
        last = api.post("/jwt/refresh", json={"refresh_token": last["refresh_token"]}).json()
    assert api.post("/jwt/refresh", json={"refresh_token": stolen["refresh_token"]}).status_code == 401
    assert api.post("/jwt/refresh", json={"refresh_token": last["refresh_token"]}).status_code == 401
    assert api.get("/me", headers=bearer(last["access_token"])).status_code == 401
    assert api.get("/me", headers=bearer(others["access_token"])).status_code == 200


def test_r_revoke_of_two_who_refresh_at_once_one_ends_the_login(user):
    session, plain = JWTSession.objects.start(user, expires_in=timedelta(days=1))
    others = []

    def let_another_go_first(execute, sql, params, many, context):
        if sql.startswith("UPDATE") and not others:
            others.append(None)
            others.append(JWTSession.objects.refresh(plain))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(let_another_go_first):
        assert JWTSession.objects.refresh(plain) is None
    _, (_, after) = others
    assert not JWTSession.objects.get().is_active
    assert JWTSession.objects.refresh(after) is None


def test_r_revoke_the_end_of_a_stolen_login_survives_the_401_in_a_transaction(serve, user):
    api = serve(Include("/jwt", jwt_routes(OURS)), atomic=True)
    first = log_in(api)
    last = api.post("/jwt/refresh", json={"refresh_token": first["refresh_token"]}).json()
    assert api.post("/jwt/refresh", json={"refresh_token": first["refresh_token"]}).status_code == 401
    assert api.post("/jwt/refresh", json={"refresh_token": last["refresh_token"]}).status_code == 401


def test_r_revoke_refreshing_does_not_put_off_the_end(api, user):
    first = log_in(api)
    end = JWTSession.objects.get().expires_at
    second = api.post("/jwt/refresh", json={"refresh_token": first["refresh_token"]}).json()
    assert JWTSession.objects.get().expires_at == end
    JWTSession.objects.update(expires_at=timezone.now())
    assert api.post("/jwt/refresh", json={"refresh_token": second["refresh_token"]}).status_code == 401
    assert api.get("/me", headers=bearer(second["access_token"])).status_code == 401


def test_r_jwt2_access_tokens_do_not_refresh_and_the_reverse(api, user):
    pair = log_in(api)
    for wrong in (pair["access_token"], Token.objects.issue(user)[1], "", "hgr_", "x" * 69, "hgr_" + "a" * 65):
        assert api.post("/jwt/refresh", json={"refresh_token": wrong}).status_code == 401
    assert api.get("/me", headers=bearer(pair["refresh_token"])).status_code == 401
    assert api.get("/me", headers=bearer(pair["access_token"])).status_code == 200


def test_r_tok_refresh_tokens_are_stored_as_digests(api, user):
    plain = log_in(api)["refresh_token"]
    row = " ".join(map(str, JWTSession.objects.values_list().get()))
    assert plain not in row
    assert plain[4:26] not in row
    assert plain[26:] not in row
    for stolen in JWTSession.objects.values_list("sid", "refresh_digest").get():
        assert api.post("/jwt/refresh", json={"refresh_token": "hgr_" + (stolen * 3)[:65]}).status_code == 401
    assert api.post("/jwt/refresh", json={"refresh_token": plain}).status_code == 200


def test_logout_ends_access_and_refresh_of_one_login(api, user):
    pair, other = log_in(api), log_in(api)
    assert api.post("/jwt/logout", headers=bearer(pair["access_token"])).status_code == 204
    assert api.get("/me", headers=bearer(pair["access_token"])).status_code == 401
    assert api.post("/jwt/refresh", json={"refresh_token": pair["refresh_token"]}).status_code == 401
    assert api.get("/me", headers=bearer(other["access_token"])).status_code == 200


def test_r_revoke_a_revoked_refresh_token_does_not_refresh(api, user):
    pair = log_in(api)
    for _ in range(2):
        assert api.post("/jwt/revoke", json={"refresh_token": pair["refresh_token"]}).status_code == 204
    assert api.post("/jwt/revoke", json={"refresh_token": "nonsense"}).status_code == 204
    assert api.post("/jwt/refresh", json={"refresh_token": pair["refresh_token"]}).status_code == 401
    assert api.get("/me", headers=bearer(pair["access_token"])).status_code == 401


# --- R-ACTIVE


def test_r_active_is_checked_with_every_request(api, user):
    known = credentials(api, user)
    plain = foreign_token(user)
    known["foreign"] = lambda: api.get("/me", headers=bearer(plain)).status_code == 200
    for is_active in (True, False, True):
        User.objects.update(is_active=is_active)
        found = {name: works() for name, works in known.items() if name != "refresh"}
        assert found == dict.fromkeys(found, is_active)
    User.objects.update(is_active=False)
    assert not known["refresh"]()


@pytest.mark.parametrize(
    "sub", ["ada", "0{}", " {}", "{} ", "+{}", "{}.0", "1" * 30, "-1", "\N{FULLWIDTH DIGIT ONE}", "", "\0"]
)
def test_r_active_identity_is_the_primary_key_as_it_is_written(api, user, sub):
    plain = foreign_token(user, sub=sub.format(user.pk))
    assert api.get("/me", headers=bearer(plain)).status_code == 401
    assert api.get("/me", headers=bearer(foreign_token(user))).status_code == 200


def test_r_active_a_name_can_be_taken_over_and_a_key_cannot(api, user):
    plain = log_in(api)["access_token"]
    User.objects.filter(pk=user.pk).update(username="former")
    User.objects.create_user("ada")
    assert api.get("/me", headers=bearer(plain)).text == "former"


def test_r_active_our_tokens_name_the_user_of_their_login(api, user):
    other = User.objects.create_user("eve")
    content = {**jwt.decode(OURS.issue(other), options={"verify_signature": False}), "sub": str(user.pk)}
    plain = jwt.encode(content, "o" * 32, headers={"typ": "at+jwt"})
    assert api.get("/me", headers=bearer(plain)).status_code == 401


def test_r_active_our_tokens_need_their_login(api, user):
    content = jwt.decode(OURS.issue(user), options={"verify_signature": False})
    for sid in (None, "", "x", "\0" * 32, "é" * 32, 5, [], content["sid"].upper() + "0"):
        plain = jwt.encode({**content, "sid": sid}, "o" * 32, headers={"typ": "at+jwt"})
        assert api.get("/me", headers=bearer(plain)).status_code == 401
    JWTSession.objects.all().delete()
    plain = jwt.encode(content, "o" * 32, headers={"typ": "at+jwt"})
    assert api.get("/me", headers=bearer(plain)).status_code == 401


# --- tokens of others


@pytest.mark.parametrize("denylist", [CacheDenylist(), TableDenylist()], ids=repr)
def test_r_revoke_tokens_of_others_end_by_a_denylist(serve, user, denylist):
    scheme = JWTAuthentication(algorithms=["HS256"], key="f" * 32, issuer="foreign", foreign=True, denylist=denylist)
    api = serve(me, authentication=[scheme])
    plain, other = foreign_token(user), foreign_token(user, jti="k")
    assert api.get("/me", headers=bearer(plain)).status_code == 200
    for _ in range(2):
        scheme.revoke(scheme.verify(plain))
    assert api.get("/me", headers=bearer(plain)).status_code == 401
    assert api.get("/me", headers=bearer(other)).status_code == 200


def test_r_revoke_a_denylist_tells_issuers_apart(user):
    denylist = TableDenylist()
    denylist.add({"iss": "a", "jti": "b:c", "exp": 1})
    assert not denylist.holds({"iss": "a:b", "jti": "c", "exp": 1})
    assert not denylist.holds({"jti": "a:b:c", "exp": 1})
    assert RevokedJWT.objects.count() == 1


def test_our_tokens_need_no_denylist(user):
    with pytest.raises(ConfigurationError, match="denylist="):
        JWTAuthentication(algorithms=["HS256"], key="f" * 32, denylist=TableDenylist())
    with pytest.raises(ConfigurationError, match="has no denylist="):
        FOREIGN.revoke({"jti": "x", "exp": 1})


# --- R-SIGN


def test_r_sign_every_digest_has_a_purpose_of_its_own(user):
    plain = secret.generate_refresh()
    digests = [
        secret.digest(plain),
        secret.login_of(plain),
        secret.password_fingerprint(user),
        sha256(user.password.encode()).hexdigest(),
        sha256(plain[:26].encode()).hexdigest()[:32],
    ]
    assert len(set(digests)) == len(digests)


def test_r_sign_a_digest_cannot_stand_for_another(api, user):
    token, plain = Token.objects.issue(user)
    pair = log_in(api)
    session = JWTSession.objects.get()
    # A refresh token's digest in the table of tokens, and the reverse, opens nothing.
    Token.objects.filter(pk=token.pk).update(digest=session.refresh_digest)
    assert api.get("/me", headers=bearer(pair["refresh_token"])).status_code == 401
    JWTSession.objects.update(refresh_digest=secret.digest(plain))
    assert api.post("/jwt/refresh", json={"refresh_token": plain}).status_code == 401
