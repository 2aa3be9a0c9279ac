"""JSON Web Tokens: which keys a scheme takes, which tokens it believes, and where it gets keys from."""

import asyncio
import base64
import hashlib
import hmac
import http.server
import json
import ssl
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from django.contrib.auth import get_user_model
from django.utils.crypto import salted_hmac
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

import hybrid_gateway.auth.keys as jwks
from hybrid_gateway import Gateway, get
from hybrid_gateway.auth import JWTAuthentication
from hybrid_gateway.exceptions import ConfigurationError, ServiceUnavailable, Unauthorized
from tests.security.test_faults import ask

User = get_user_model()
pytestmark = pytest.mark.django_db

SECRET = "s" * 64
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
ED448 = ed448.Ed448PrivateKey.generate()


def pem(key):
    if hasattr(key, "private_bytes"):
        private = serialization.PrivateFormat.PKCS8
        return key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()).decode()
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, public).decode()


def der(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def ssh(key):
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)


def jwk(key, **extra):
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPublicKey) else jwt.algorithms.ECAlgorithm
    return {**algorithm.to_jwk(key, as_dict=True), **extra}


@get("/me")
async def me(user: User) -> str:
    return user.username


@get("/feed")
def feed(user: User | None) -> str:
    return user.username if user else "nobody"


@pytest.fixture
def user():
    return User.objects.create_user("ada", password="a-password")


def claims(user, **changes):
    now = int(time.time())
    given = {"sub": str(user.pk), "jti": "one", "iat": now, "exp": now + 60, "iss": "issuer", "aud": "api", **changes}
    return {name: value for name, value in given.items() if value is not None}


def token(content, key=SECRET, algorithm="HS256", **headers):
    if algorithm == "HS256":
        return forged(content, algorithm, key.encode(), **headers)
    return jwt.encode(content, key, algorithm=algorithm, headers={"typ": "at+jwt", **headers})


def forged(content, alg, secret, **headers):
    """A token made by hand, as no library would: whatever it says, HMAC with SHA-256 signs it."""

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signed = part({"typ": "at+jwt", "alg": alg, **headers}) + b"." + part(content)
    signature = hmac.new(secret, signed, hashlib.sha256).digest() if secret else b""
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def scheme(**options):
    given = {"algorithms": ["HS256"], "key": SECRET, "issuer": "issuer", "audience": "api", "foreign": True}
    return JWTAuthentication(**{**given, **options})


def status(client, plain, path="/me"):
    answer = client.get(path, headers={"Authorization": f"Bearer {plain}"})
    assert ("WWW-Authenticate" in answer.headers) is (answer.status_code == 401)
    return answer.status_code


# --- R-JWT1: keys and algorithms are the server's


@pytest.mark.parametrize(
    "algorithms",
    [[], "HS256", ["none"], ["HS256", "none"], ["None"], ["HS256", "RS256"], ["RS256", "ES256"], ["ES256", "EdDSA"],
     ["HS1"], [""]],
)  # fmt: skip
def test_r_jwt1_algorithms_are_of_one_known_family(algorithms):
    with pytest.raises(ConfigurationError, match="algorithms="):
        scheme(algorithms=algorithms)


@pytest.mark.parametrize("key", ["", "s" * 31, b"s" * 31, b"", " " * 5])
def test_r_jwt1_a_secret_has_32_bytes_at_least(key):
    with pytest.raises(ConfigurationError, match="bytes; HS256 need 32"):
        scheme(key=key)


@pytest.mark.parametrize(("algorithm", "size"), [("HS384", 48), ("HS512", 64)])
def test_r_jwt1_a_secret_is_as_long_as_its_hash(algorithm, size):
    with pytest.raises(ConfigurationError, match=f"need {size}"):
        scheme(algorithms=[algorithm], key="s" * (size - 1))
    scheme(algorithms=[algorithm], key="s" * size)


@pytest.mark.parametrize(
    "key",
    [pem(RSA.public_key()), pem(RSA), pem(P256.public_key()), der(RSA.public_key()), ssh(RSA.public_key()),
     json.dumps(jwk(RSA.public_key())), json.dumps({"keys": [jwk(P256.public_key())]}), RSA.public_key(), RSA],
    ids=["PEM", "private PEM", "EC PEM", "DER", "SSH", "JWK", "JWKS", "object", "private object"],
)  # fmt: skip
def test_r_jwt1_a_public_key_is_no_secret(key):
    with pytest.raises(ConfigurationError) as refusal:
        scheme(key=key)
    assert "-----BEGIN" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.mark.parametrize(
    ("algorithms", "key"),
    [
        (["RS256"], SECRET),
        (["RS256"], P256),
        (["RS256"], rsa.generate_private_key(public_exponent=65537, key_size=1024)),
        (["ES256"], P384),
        (["ES256"], RSA),
        (["EdDSA"], P256),
        (["EdDSA"], "text"),
    ],
    ids=["secret", "EC for RSA", "short RSA", "wrong curve", "RSA for EC", "EC for Ed", "text"],
)
def test_r_jwt1_a_key_fits_its_algorithm(algorithms, key):
    with pytest.raises(ConfigurationError, match="key"):
        scheme(algorithms=algorithms, key=key)


@pytest.mark.parametrize(
    ("algorithms", "key"),
    [(["HS256"], SECRET), (["RS256"], pem(RSA)), (["PS256", "RS256"], RSA), (["ES256", "ES384"], P384),
     (["EdDSA"], ED25519), (["EdDSA"], ED448)],
    ids=["HS", "RS", "PS", "ES", "Ed25519", "Ed448"],
)  # fmt: skip
def test_every_family_signs_and_verifies(serve, user, algorithms, key):
    signing = JWTAuthentication(algorithms=algorithms, key=key)
    assert status(serve(me, authentication=[signing]), signing.issue(user)) == 200


def test_r_jwt1_what_a_token_says_of_its_algorithm_adds_nothing(serve, user):
    public = pem(RSA.public_key())
    client = serve(me, authentication=[scheme(algorithms=["RS256"], key=public)])
    assert status(client, token(claims(user), RSA, "RS256")) == 200
    for alg in ("RS384", "RS512", "PS256"):  # signed well, and not what we asked for
        assert status(client, token(claims(user), RSA, alg)) == 401
    for alg in ("none", "None", "HS256", "hs256", "RS384", "PS256"):
        for secret in (b"", public.encode(), der(RSA.public_key())):
            assert status(client, forged(claims(user), alg, secret)) == 401


@pytest.mark.parametrize("iss", [None, "issuer2", "issue", "Issuer", "issuer ", "", ["issuer"], {"issuer": 1}, 5])
def test_r_jwt1_the_issuer_is_compared_exactly(serve, user, iss):
    plain = token(claims(user, iss=iss))
    assert status(serve(me, authentication=[scheme()]), plain) == 401
    cookie = serve(me, authentication=[scheme(cookie="access")])  # which no other scheme could claim
    assert cookie.get("/me", headers={"Cookie": f"access={plain}"}).status_code == 401
    assert cookie.get("/me", headers={"Cookie": f"access={token(claims(user))}"}).status_code == 200


@pytest.mark.parametrize("aud", [None, "ap", "api2", "API", "", [], ["other"], ["ap", "i"], {"api": 1}, [["api"]]])
def test_r_jwt1_the_audience_is_compared_exactly(serve, user, aud):
    client = serve(me, authentication=[scheme()])
    assert status(client, token(claims(user, aud=aud))) == 401
    assert status(client, token(claims(user, aud=["other", "api"]))) == 200


def test_r_jwt1_a_token_for_somebody_is_not_for_everybody(serve, user):
    client = serve(me, authentication=[scheme(audience=None)])
    assert status(client, token(claims(user))) == 401
    assert status(client, token(claims(user, aud=None))) == 200


@pytest.mark.parametrize("crit", [["x"], ["exp"], ["b64"], [], "x", None, 1])
def test_r_jwt1_no_extension_is_understood(serve, user, crit):
    assert status(serve(me, authentication=[scheme()]), token(claims(user), crit=crit, x=1, b64=True)) == 401


# --- R-JWT2: what a token must say


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in ("exp", "sub", "jti") for value in (None, [], {}, True)] + [("exp", ""), ("sub", "")],
)
def test_r_jwt2_exp_sub_and_jti_are_mandatory(serve, user, name, value):
    content = claims(user)
    del content[name]
    if value is not None:
        content[name] = value
    # Signed by hand: PyJWT would not make these.
    plain = forged(content, "HS256", SECRET.encode())
    assert status(serve(me, authentication=[scheme()]), plain) == 401


@pytest.mark.parametrize("typ", ["JWT", "rt+jwt", "", "at", None, 5, ["at+jwt"]])
def test_r_jwt2_typ_is_mandatory(serve, user, typ):
    assert status(serve(me, authentication=[scheme()]), token(claims(user), typ=typ)) == 401


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_a_typ_is_a_media_type(serve, user, typ):
    assert status(serve(me, authentication=[scheme()]), token(claims(user), typ=typ)) == 200


def test_an_issuer_may_have_another_typ(serve, user):
    client = serve(me, authentication=[scheme(typ="JWT")])
    assert status(client, token(claims(user), typ="JWT")) == 200
    assert status(client, token(claims(user))) == 401


def test_times_are_checked_with_the_leeway(serve, user):
    now = int(time.time())
    strict, patient = serve(me, authentication=[scheme()]), serve(me, authentication=[scheme(leeway=60)])
    for changes in ({"exp": now - 20}, {"nbf": now + 20}, {"iat": now + 20}):
        assert status(strict, token(claims(user, **changes))) == 401
        assert status(patient, token(claims(user, **changes))) == 200
    for leeway in (-1, 301, True, "5"):
        with pytest.raises(ConfigurationError, match="leeway"):
            scheme(leeway=leeway)


# --- R-SIGN


def test_r_sign_what_is_signed_with_the_secret_key_itself_is_no_token(user, settings):
    """Django signs sessions, cookies and password resets with keys made of it; ours is another one again."""
    settings.SECRET_KEY = "s" * 64
    ours = JWTAuthentication()
    plain = ours.issue(user)
    content = jwt.decode(plain, options={"verify_signature": False})
    assert ours.verify(plain) == content
    for key in (settings.SECRET_KEY.encode(), salted_hmac("", "", algorithm="sha512").digest()):
        for kid in (None, jwt.get_unverified_header(plain)["kid"]):
            headers = {"typ": "at+jwt", **({} if kid is None else {"kid": kid})}
            with pytest.raises(Unauthorized):
                ours.verify(jwt.encode(content, key, "HS256", headers=headers))


# --- R-JWT3: hostile tokens, and key sets of others


def test_r_jwt3_a_token_has_16_kib_at_most(serve, user):
    client = serve(me, authentication=[scheme()])
    fits, padding = token(claims(user, x="x" * 10_000)), 16 * 1024
    assert status(client, fits) == 200
    large = token(claims(user, x="x" * padding))
    assert len(large) > padding
    assert status(client, large) == 401


def test_r_jwt3_nested_payloads_are_only_401(serve, user):
    client = serve(me, authentication=[scheme()])
    for text in (
        b"[" * 6000,
        b'{"iss":' * 1500,
        b'{"iss":"issuer","exp":1e999}',
        b"\xff",
        b"1",
        b'{"exp":' + b"9" * 5000,
    ):
        payload = base64.urlsafe_b64encode(text).rstrip(b"=").decode()
        head = base64.urlsafe_b64encode(b'{"typ":"at+jwt","alg":"HS256"}').rstrip(b"=").decode()
        signed = f"{head}.{payload}"
        signature = base64.urlsafe_b64encode(hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest())
        assert status(client, f"{signed}.{signature.rstrip(b'=').decode()}") == 401
        assert status(client, f"{payload}.{payload}.{payload}") == 401


def in_base64(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
CLAIMS = st.dictionaries(
    st.sampled_from(["exp", "sub", "jti", "iss", "aud", "iat", "nbf", "scope", "sid"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.text(max_size=60),
        st.tuples(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20)).map(".".join),
        st.tuples(ANYTHING, CLAIMS, st.just("")).map(lambda parts: ".".join(map(in_base64, parts))),
    )
)
def test_r_jwt3_fuzzed_tokens_are_only_401(plain):
    for known in (scheme(), scheme(issuer=None), scheme(algorithms=["RS256"], key=RSA.public_key())):
        header = Headers(raw=[(b"authorization", b"Bearer " + plain.encode("utf-8", "replace"))])
        with suppress(Unauthorized):
            assert known.authenticate(header) is None


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CLAIMS)
def test_r_jwt3_signed_nonsense_is_only_401(content):
    content = {"exp": time.time() + 60, "sub": "1", "jti": "x", **content}
    plain = forged(content, "HS256", SECRET.encode())
    for known in (scheme(issuer=None, audience=None), JWTAuthentication(algorithms=["HS256"], key=SECRET)):
        with suppress(Unauthorized):
            assert known.authenticate(Headers({"authorization": f"Bearer {plain}"})) is None


def failing(error):
    def fail(*args, **kwargs):
        raise error

    return fail


@pytest.mark.parametrize("error", [ValueError, TypeError, OverflowError, RecursionError])
@pytest.mark.parametrize("function", ["get_unverified_header", "decode"])
def test_r_jwt3_what_some_release_of_pyjwt_raises_is_only_401(user, monkeypatch, function, error):
    plain = token(claims(user))
    monkeypatch.setattr(jwt, function, failing(error("on purpose")))
    with pytest.raises(Unauthorized):
        scheme().verify(plain)


def test_r_jwt3_text_that_cannot_be_sent_is_only_401():
    with pytest.raises(Unauthorized):
        scheme().verify("\udcff.a.b")


def test_a_defect_of_ours_is_no_401(user, monkeypatch):
    """Who looks for it would look at tokens."""
    known = scheme()
    monkeypatch.setattr(known._keys, "find", failing(TypeError("on purpose")), raising=False)
    with pytest.raises(TypeError):
        known.verify(token(claims(user)))
    monkeypatch.setattr(jwt, "decode", failing(LookupError("on purpose")))
    with pytest.raises(LookupError):
        scheme().verify(token(claims(user)))


@pytest.mark.parametrize("text", ["a.b", "a", "a.b.c.d", "a.b.c.d.e", "hgt_" + "a" * 43, ""])
def test_what_is_no_jwt_is_left_to_other_schemes(text):
    assert scheme().authenticate(Headers({"authorization": f"Bearer {text}"})) is None


def test_a_token_of_another_issuer_is_left_to_other_schemes(serve, user):
    both = [scheme(), scheme(issuer="other", key="o" * 32)]
    client = serve(me, feed, authentication=both)
    assert status(client, token(claims(user))) == 200
    assert status(client, token(claims(user, iss="other"), "o" * 32)) == 200
    assert status(client, token(claims(user, iss="other"))) == 401  # signed with the key of the first
    assert status(client, token(claims(user, iss="third")), "/feed") == 401


@pytest.mark.parametrize("url", ["http://x.test/keys", "file:///etc/passwd", "https:///keys", "ftp://x", "keys"])
def test_r_jwt3_a_key_set_comes_over_https(url):
    with pytest.raises(ConfigurationError, match="https"):
        scheme(algorithms=["RS256"], key=None, jwks_url=url)


def test_a_key_set_needs_issuer_and_audience():
    for missing in ("issuer", "audience"):
        with pytest.raises(ConfigurationError, match="needs issuer= and audience="):
            scheme(algorithms=["RS256"], key=None, jwks_url="https://x.test/", **{missing: None})
    with pytest.raises(ConfigurationError, match="take a secret"):
        scheme(key=None, jwks_url="https://x.test/")


class Issuer:
    """A server of key sets on the loopback, over TLS; ``answers`` is what it says, ``asked`` how often it was."""

    def __init__(self, certificate):
        issuer = self
        self.asked, self.answer, self.location = 0, b"", None

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked += 1
                status, body = issuer.answer if isinstance(issuer.answer, tuple) else (200, issuer.answer)
                self.send_response(status)
                if issuer.location:
                    self.send_header("Location", issuer.location)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}/keys"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def publishes(self, *keys):
        self.answer = json.dumps({"keys": list(keys)}).encode()


@pytest.fixture
def issuer(tmp_path, monkeypatch):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(P256.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(P256, hashes.SHA256())
    )  # fmt: skip
    file = tmp_path / "certificate.pem"
    file.write_text(certificate.public_bytes(serialization.Encoding.PEM).decode() + pem(P256))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    for variable in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    found = Issuer(file)
    yield found
    found.server.shutdown()
    found.server.server_close()
    found.thread.join()


class Clock:
    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(jwks, "time", clock)
    return clock


def remote(issuer, **options):
    given = {"algorithms": ["RS256", "PS256"], "jwks_url": issuer.url, "issuer": "issuer", "audience": "api"}
    return JWTAuthentication(**{**given, **options})


def test_a_key_set_is_read_once(issuer, serve, user):
    issuer.publishes(jwk(RSA.public_key(), kid="a"), jwk(P256.public_key(), kid="b"))
    client = serve(me, authentication=[remote(issuer)])
    for _ in range(3):
        assert status(client, token(claims(user), RSA, "RS256", kid="a")) == 200
    assert status(client, token(claims(user), P256, "ES256", kid="b")) == 401  # an algorithm we did not list
    assert issuer.asked == 1


def test_r_jwt3_an_unknown_kid_asks_again_once_in_30_seconds(issuer, serve, user, clock):
    new = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    issuer.publishes(jwk(RSA.public_key(), kid="a"))
    client = serve(me, authentication=[remote(issuer)])
    assert status(client, token(claims(user), RSA, "RS256", kid="a")) == 200
    issuer.publishes(jwk(RSA.public_key(), kid="a"), jwk(new.public_key(), kid="b"))
    for number in range(20):
        assert status(client, token(claims(user), RSA, "RS256", kid=f"invented-{number}")) == 401
    assert issuer.asked == 1
    clock.now += 30
    assert status(client, token(claims(user), new, "RS256", kid="b")) == 200
    for number in range(20):
        assert status(client, token(claims(user), RSA, "RS256", kid=f"invented-{number}")) == 401
    assert issuer.asked == 2


@pytest.mark.parametrize(
    "answer",
    [(500, b""), (404, b"{}"), (302, b""), b"", b"{", b"[]", b"null", b'{"keys": []}',
     b'{"keys": null}', b'{"keys": [1]}',
     b'{"keys": [{"kty": "RSA"}]}', b"[" * 100_000, b"\xff",
     json.dumps({"keys": [jwk(RSA.public_key(), kid="other")], "x": "x" * 300_000}).encode()],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_r_jwt3_a_failure_keeps_the_old_set(issuer, user, clock, answer):
    issuer.publishes(jwk(RSA.public_key(), kid="a"))
    known = remote(issuer)
    header = Headers({"authorization": f"Bearer {token(claims(user), RSA, 'RS256', kid='a')}"})
    assert known.authenticate(header).user == user
    issuer.answer = answer
    clock.now += 4000
    assert known.authenticate(header).user == user
    assert issuer.asked == 2


def test_r_jwt3_a_key_set_is_not_redirected(issuer, user, clock):
    issuer.publishes(jwk(RSA.public_key(), kid="a"))
    issuer.answer, issuer.location = (302, issuer.answer), issuer.url + "/elsewhere"
    header = Headers({"authorization": f"Bearer {token(claims(user), RSA, 'RS256', kid='a')}"})
    with pytest.raises(ServiceUnavailable):
        remote(issuer).authenticate(header)
    assert issuer.asked == 1


def test_a_withdrawn_key_ends_with_the_age_of_the_set(issuer, user, clock):
    issuer.publishes(jwk(RSA.public_key(), kid="a"))
    known = remote(issuer)
    header = Headers({"authorization": f"Bearer {token(claims(user), RSA, 'RS256', kid='a')}"})
    assert known.authenticate(header).user == user
    issuer.publishes(jwk(rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key(), kid="b"))
    clock.now += 4000
    with pytest.raises(Unauthorized):
        known.authenticate(header)


@pytest.mark.parametrize("cookie", [None, "access"])
def test_r_jwt3_keys_are_fetched_on_a_thread_and_never_on_the_loop(issuer, user, monkeypatch, cookie):
    threads, fetch = [], jwks.fetch

    def noting(url):
        threads.append(threading.get_ident())
        return fetch(url)

    monkeypatch.setattr(jwks, "fetch", noting)
    issuer.publishes(jwk(RSA.public_key(), kid="a"), jwk(RSA.public_key(), kid="b"))
    plain = token(claims(user), RSA, "RS256", kid="nobody")  # of whose user nobody asks the database
    sent = {None: (b"authorization", f"Bearer {plain}".encode()), "access": (b"cookie", f"access={plain}".encode())}
    gateway = Gateway([me], authentication=[remote(issuer, cookie=cookie)])
    status, _, _ = asyncio.run(ask(gateway, "/me", headers=[sent[cookie]]))
    assert (status, issuer.asked, len(threads)) == (401, 1, 1)
    assert threads != [threading.get_ident()]


def test_before_the_first_key_set_the_answer_is_503_and_the_issuer_is_asked_once(issuer, serve, user, clock):
    issuer.answer = (500, b"")
    client = serve(me, authentication=[remote(issuer)])
    plain = token(claims(user), RSA, "RS256", kid="a")
    answers = [client.get("/me", headers={"Authorization": f"Bearer {plain}"}) for _ in range(3)]
    assert {(answer.status_code, answer.headers["Retry-After"]) for answer in answers} == {(503, "30")}
    assert issuer.asked == 1


@pytest.mark.parametrize(
    "extra", [{"use": "enc"}, {"alg": "RS512"}, {"alg": "HS256"}, {"kid": 5}, {"kty": "oct", "k": "c" * 86}]
)
def test_r_jwt3_keys_for_anything_else_are_not_used(issuer, user, clock, extra):
    issuer.publishes({**jwk(RSA.public_key(), kid="a"), **extra})
    header = Headers({"authorization": f"Bearer {token(claims(user), RSA, 'RS256', kid='a')}"})
    with pytest.raises(ServiceUnavailable):
        remote(issuer).authenticate(header)


def test_a_slow_issuer_holds_up_nobody_who_has_keys(issuer, user, clock):
    issuer.publishes(jwk(RSA.public_key(), kid="a"))
    known = remote(issuer)
    header = Headers({"authorization": f"Bearer {token(claims(user), RSA, 'RS256', kid='a')}"})
    assert known.authenticate(header).user == user
    keys = known._keys
    clock.now += 4000
    with keys._lock:  # somebody is fetching
        assert known.authenticate(header).user == user
    assert issuer.asked == 1
