"""Folders of files as routes: what is sent, on which conditions, and what never is."""

import os
import socket
import time
from email.utils import formatdate, parsedate_to_datetime

import pytest

from hybrid_gateway import Gateway, Response, Router, StaticFiles, get
from hybrid_gateway.auth import IsAuthenticated
from hybrid_gateway.exceptions import RouteError
from hybrid_gateway.responses import file_content

LONG_AGO = time.time() - 1_000_000
LARGE = os.urandom(300_000)


@pytest.fixture
def folder(tmp_path):
    """A folder with files of all kinds, beside one that nobody may see."""
    root = tmp_path / "media"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    for name, content in {
        "a.txt": b"0123456789",
        "empty": b"",
        "large.bin": LARGE,
        "app.js": b"var a" * 100,
        "app.js.br": b"as brotli",
        "app.js.gz": b"as gzip",
        "app.js.zst": b"as zstd",
        "page.html": b"<p>",
        "sub/index.html": b"index",
        "sub/ä b.svg": b"<svg/>",
        ".env": b"KEY=1",
    }.items():
        (root / name).write_bytes(content)
        os.utime(root / name, (LONG_AGO, LONG_AGO))
    return root


# --- what is sent


def test_a_file_comes_with_its_type_length_and_version(serve, folder):
    client = serve(StaticFiles("/media", folder))
    answer = client.get("/media/a.txt")
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Length"] == "10"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Last-Modified"] == formatdate(int(LONG_AGO), usegmt=True)
    assert answer.headers["ETag"].startswith('"')
    assert "Cache-Control" not in answer.headers


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.js", "text/javascript; charset=utf-8"), ("x.mjs", "text/javascript; charset=utf-8"),
        ("x.CSS", "text/css; charset=utf-8"), ("x.json", "application/json"), ("x.wasm", "application/wasm"),
        ("x.svg", "image/svg+xml"), ("x.webmanifest", "application/manifest+json"), ("x.woff2", "font/woff2"),
        ("x.png", "image/png"), ("x", "application/octet-stream"), ("x.unknown", "application/octet-stream"),
        ("x.csv.gz", "application/gzip"), ("x.tgz", "application/gzip"), ("x.js.br", "application/octet-stream"),
        ("x.tar.zst", "application/zstd"), ("js", "application/octet-stream"),
    ],
)  # fmt: skip
def test_types_are_the_same_on_every_machine(tmp_path, serve, name, kind):
    (tmp_path / name).write_bytes(b"x")
    answer = serve(StaticFiles("/media", tmp_path)).get(f"/media/{name}")
    assert (answer.headers["Content-Type"], answer.headers.get("Content-Encoding")) == (kind, None)


@pytest.mark.parametrize("name", ["a.txt", "large.bin", "empty"])
def test_head_is_get_without_the_body(serve, folder, name):
    client = serve(StaticFiles("/media", folder))
    whole, head = client.get(f"/media/{name}"), client.head(f"/media/{name}", headers={"Range": "bytes=0-1"})
    assert (head.status_code, head.content) == (200, b"")  # SPEC: RFC 9110 section 14.2: ranges are for GET
    assert dict(head.headers) == dict(whole.headers)
    assert int(head.headers["Content-Length"]) == len(whole.content)


def test_large_files_come_whole(serve, folder):
    assert serve(StaticFiles("/media", folder)).get("/media/large.bin").content == LARGE


def test_other_methods_are_not_allowed(serve, folder):
    client = serve(StaticFiles("/media", folder))
    answer = client.post("/media/a.txt")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_names_may_have_any_letters(serve, folder):
    client = serve(StaticFiles("/media", folder, name="media"))
    url = client.gateway.reverse_url("media", path="sub/ä b.svg")
    assert url == "/media/sub/%C3%A4%20b.svg"
    assert client.get(url).content == b"<svg/>"


def test_download_has_browsers_save_it(serve, folder):
    client = serve(StaticFiles("/media", folder, download=True))
    assert client.get("/media/a.txt").headers["Content-Disposition"] == 'attachment; filename="a.txt"'
    assert client.get("/media/sub/%C3%A4%20b.svg").headers["Content-Disposition"] == (
        "attachment; filename*=utf-8''%C3%A4%20b.svg"
    )


def test_a_relative_directory_is_one_of_the_project(serve, folder, settings):
    settings.BASE_DIR = folder.parent
    assert serve(StaticFiles("/media", "media")).get("/media/a.txt").status_code == 200


# --- conditions and ranges


@pytest.mark.parametrize("name", ["a.txt", "large.bin"])
def test_who_has_it_gets_304(serve, folder, name):
    client = serve(StaticFiles("/media", folder, response_headers={"X-A": "b"}))
    first = client.get(f"/media/{name}")
    for headers in (
        {"If-None-Match": first.headers["ETag"]},
        {"If-None-Match": f'"a,b", W/{first.headers["ETag"]}'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": first.headers["Last-Modified"]},
    ):
        again = client.get(f"/media/{name}", headers=headers)
        assert (again.status_code, again.content) == (304, b""), headers
        assert (again.headers["ETag"], again.headers["X-A"]) == (first.headers["ETag"], "b")
        assert "Content-Type" not in again.headers
    for headers in (
        {"If-None-Match": '"other"'},
        {"If-None-Match": '"other"', "If-Modified-Since": first.headers["Last-Modified"]},
        {"If-Modified-Since": formatdate(0, usegmt=True)},
    ):
        assert client.get(f"/media/{name}", headers=headers).status_code == 200, headers


@pytest.mark.parametrize("name", ["a.txt", "large.bin"])
def test_who_means_another_version_gets_412(serve, folder, name):
    client = serve(StaticFiles("/media", folder))
    first = client.get(f"/media/{name}")
    for headers in ({"If-Match": '"other"'}, {"If-Unmodified-Since": formatdate(0, usegmt=True)}):
        answer = client.get(f"/media/{name}", headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (412, 412)
    for headers in (
        {"If-Match": first.headers["ETag"]},
        {"If-Match": "*"},
        {"If-Match": first.headers["ETag"], "If-Unmodified-Since": formatdate(0, usegmt=True)},
        {"If-Unmodified-Since": first.headers["Last-Modified"]},
        {"If-Unmodified-Since": "yesterday"},
    ):
        assert client.get(f"/media/{name}", headers=headers).status_code == 200, headers


@pytest.mark.parametrize("name", ["a.txt", "large.bin"])
def test_a_range_of_another_version_is_the_whole(serve, folder, name):
    client = serve(StaticFiles("/media", folder))
    first = client.get(f"/media/{name}")
    part = {"Range": "bytes=2-3"}
    for value in (first.headers["ETag"], first.headers["Last-Modified"]):
        answer = client.get(f"/media/{name}", headers={**part, "If-Range": value})
        assert (answer.status_code, answer.content) == (206, first.content[2:4]), value
    for value in ('"other"', f"W/{first.headers['ETag']}", formatdate(0, usegmt=True), "nonsense"):
        answer = client.get(f"/media/{name}", headers={**part, "If-Range": value})
        assert (answer.status_code, answer.content) == (200, first.content), value


def test_a_date_within_its_second_proves_nothing(serve, folder):
    os.utime(folder / "a.txt", None)
    client = serve(StaticFiles("/media", folder))
    date = client.get("/media/a.txt").headers["Last-Modified"]
    assert client.get("/media/a.txt", headers={"Range": "bytes=0-1", "If-Range": date}).status_code == 200


def test_a_tag_within_the_second_of_a_change_proves_nothing(serve, folder):
    os.utime(folder / "large.bin", None)
    client = serve(StaticFiles("/media", folder))
    tag = client.get("/media/large.bin").headers["ETag"]
    assert tag.startswith("W/")
    for headers in ({"Range": "bytes=0-1", "If-Range": tag}, {"If-None-Match": '"other"'}):
        assert client.get("/media/large.bin", headers=headers).status_code == 200
    assert client.get("/media/large.bin", headers={"If-Match": tag}).status_code == 412  # SPEC: it compares strongly


def test_a_range_beyond_the_end_is_416(serve, folder):
    client = serve(StaticFiles("/media", folder))
    for name, size in (("a.txt", 10), ("large.bin", len(LARGE)), ("empty", 0)):
        answer = client.get(f"/media/{name}", headers={"Range": f"bytes={size}-"})
        assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{size}")
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_tag_is_that_of_the_bytes(serve, folder):
    """A build that gives every file the same time and a page of the same length shows the new page all the same."""
    client = serve(StaticFiles("/media", folder))
    tag = client.get("/media/a.txt").headers["ETag"]
    (folder / "a.txt").write_bytes(b"9876543210")
    os.utime(folder / "a.txt", (LONG_AGO, LONG_AGO))
    answer = client.get("/media/a.txt", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content) == (200, b"9876543210")


def test_times_to_come_are_not_told(serve, folder):
    os.utime(folder / "a.txt", (time.time() + 100_000, time.time() + 100_000))
    answer = serve(StaticFiles("/media", folder)).get("/media/a.txt")
    assert parsedate_to_datetime(answer.headers["Last-Modified"]).timestamp() <= time.time()


# --- compressed before


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip, br, zstd", "br"), ("gzip", "gzip"), ("gzip;q=1, br;q=0.5", "gzip"), ("zstd, gzip;q=0.9", "zstd"),
        ("br;q=0, *", "zstd"), ("*", "br"), ("identity", None), ("", None), ("gzip;q=0.5", "gzip"), ("deflate", None),
        ("identity;q=0.5, gzip;q=0.6", "gzip"), ("identity;q=0, gzip;q=0.1", "gzip"), ("GZIP", "gzip"),
    ],
)  # fmt: skip
def test_the_coding_is_the_one_the_client_likes_best(serve, folder, accept, coding):
    answer = serve(StaticFiles("/media", folder)).get("/media/app.js", headers={"Accept-Encoding": accept})
    assert answer.headers.get("Content-Encoding") == coding
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.content == (b"var a" * 100 if coding is None else f"as {coding.replace('br', 'brotli')}".encode())


def test_each_coding_is_a_version_of_its_own(serve, folder):
    client = serve(StaticFiles("/media", folder))
    tags = [
        client.get("/media/app.js", headers={"Accept-Encoding": coding}).headers["ETag"]
        for coding in ("identity", "br", "gzip", "zstd")
    ]
    assert len(set(tags)) == 4
    (folder / "app.js.gz").write_bytes(b"var a" * 100)  # the same bytes, which mean something else
    answer = client.get("/media/app.js", headers={"Accept-Encoding": "gzip"})
    assert (answer.headers["Content-Encoding"], answer.headers["ETag"] in tags) == ("gzip", False)
    answer = client.get("/media/app.js", headers={"Accept-Encoding": "br", "If-None-Match": tags[0]})
    assert answer.headers["Content-Encoding"] == "br"
    again = client.get("/media/app.js", headers={"Accept-Encoding": "br", "If-None-Match": tags[1]})
    assert (again.status_code, again.headers["Vary"]) == (304, "Accept-Encoding")


def test_what_is_older_than_its_file_is_not_sent(serve, folder):
    os.utime(folder / "app.js", None)
    answer = serve(StaticFiles("/media", folder)).get("/media/app.js", headers={"Accept-Encoding": "br, gzip"})
    assert (answer.headers.get("Content-Encoding"), answer.headers.get("Vary")) == (None, None)


def test_nothing_is_compressed_twice(serve, folder):
    client = serve(StaticFiles("/media", folder, compression=True), StaticFiles("/plain", folder, precompressed=False))
    (folder / "long.txt").write_text("word " * 1000)
    for url in ("/media/long.txt", "/media/app.js.gz", "/plain/app.js"):
        assert "Content-Encoding" not in client.get(url, headers={"Accept-Encoding": "gzip"}).headers, url


# --- caching


def test_names_with_a_digest_are_for_ever(serve, folder):
    (folder / "app-DiwrgTda.js").write_text("x")
    options = {"immutable": r"-[\w-]{8}\.js$", "cache_control": {"max_age": 60}}
    client = serve(StaticFiles("/media", folder, **options))
    assert client.get("/media/app-DiwrgTda.js").headers["Cache-Control"] == "max-age=31536000, immutable"
    assert client.get("/media/app.js").headers["Cache-Control"] == "max-age=60"
    tag = client.get("/media/app-DiwrgTda.js").headers["ETag"]
    again = client.get("/media/app-DiwrgTda.js", headers={"If-None-Match": tag})
    assert (again.status_code, again.headers["Cache-Control"]) == (304, "max-age=31536000, immutable")


def test_a_response_of_ones_own_keeps_its_cache_control(serve):
    @get("/", cache_control="no-store")
    def view() -> Response[bytes]:
        return Response(b"x", headers={"Cache-Control": "max-age=5"})

    assert serve(view).get("/").headers["Cache-Control"] == "max-age=5"


# --- pages


def test_html_sends_the_index_of_a_directory(serve, folder):
    (folder / "index.html").write_text("top")
    client = serve(StaticFiles("/site", folder, html=True, name="site"))
    assert client.get("/site/").text == "top"
    assert client.get("/site").headers["Location"] == "/site/"
    assert client.get("/site/sub/").text == "index"
    answer = client.get("/site/sub")
    assert (answer.status_code, answer.headers["Location"]) == (307, "./sub/")
    assert client.get("/site/sub//").status_code == 404
    assert client.gateway.reverse_url("site") == "/site/"
    assert client.gateway.reverse_url("site", path="sub/") == "/site/sub/"


def test_html_has_a_page_for_what_is_missing(serve, folder):
    client = serve(StaticFiles("/site", folder, html=True))
    browser = {"Accept": "text/html,*/*;q=0.8"}
    assert client.get("/site/none", headers=browser).headers["Content-Type"] == "application/problem+json"
    (folder / "404.html").write_text("not here")
    answer = client.get("/site/none", headers=browser)
    assert (answer.status_code, answer.text) == (404, "not here")
    assert client.get("/site/none").headers["Content-Type"] == "application/problem+json"


def test_directories_are_never_listed(serve, folder):
    client = serve(StaticFiles("/media", folder), StaticFiles("/site", folder, html=True))
    for url in ("/media/sub", "/media/sub/", "/media/", "/site/"):
        assert client.get(url).status_code == 404, url


# --- what is never sent


OUTSIDE = [
    "../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "%2e%2e%2fsecret.txt", "%252e%252e/secret.txt",
    "..\\secret.txt", "..%5csecret.txt", "sub/../../secret.txt", "sub/%2e%2e/%2e%2e/secret.txt", "./a.txt", "sub/./x",
    "//secret.txt", "%2fetc/passwd", "/etc/passwd", "C:/secret.txt", "c:secret.txt", "C:%5csecret.txt", "a.txt%00",
    "%00", "a.txt/", "a.txt/x", "..", "...", ".", "%c0%ae%c0%ae/secret.txt", "%uff0e%uff0e/secret.txt",
    "．．/secret.txt", "..;/secret.txt", "x" * 3000, "a.txt::$DATA",
]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_out(serve, folder, name):
    client = serve(StaticFiles("/media", folder, html=True, follow_symlinks=True, dot_files=True))
    for method in (client.get, client.head):
        answer = method(f"/media/{name}")
        assert answer.status_code in (400, 404), name
        assert b"secret" not in answer.content.replace(b"secret.txt", b"")


def test_links_out_of_the_folder_are_not_followed(serve, folder):
    (folder / "out.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "up").symlink_to(folder.parent)
    (folder / "in.txt").symlink_to(folder / "a.txt")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "page.html.gz").symlink_to(folder.parent / "secret.txt")
    strict, lenient = StaticFiles("/media", folder), StaticFiles("/linked", folder, follow_symlinks=True)
    client = serve(strict, lenient)
    assert client.get("/media/in.txt").content == b"0123456789"
    for name in ("out.txt", "up/secret.txt", "loop", "loop/x"):
        assert client.get(f"/media/{name}").status_code == 404, name
    assert "Content-Encoding" not in client.get("/media/page.html", headers={"Accept-Encoding": "gzip"}).headers
    for name in ("out.txt", "up/secret.txt"):
        assert client.get(f"/linked/{name}").content == b"secret"
    assert client.get("/linked/loop").status_code == 404


def test_a_folder_may_be_a_link_itself(serve, folder):
    (folder.parent / "current").symlink_to(folder)
    assert serve(StaticFiles("/media", folder.parent / "current")).get("/media/a.txt").status_code == 200


def test_names_with_a_dot_are_hidden(serve, folder):
    (folder / ".well-known").mkdir()
    (folder / ".well-known" / "security.txt").write_text("Contact: x")
    (folder / ".well-known" / ".git").write_text("hidden")
    (folder / "sub" / ".git").mkdir()
    (folder / "sub" / ".git" / "config").write_text("hidden")
    client = serve(StaticFiles("/media", folder), StaticFiles("/all", folder, dot_files=True))
    for name in (".env", "sub/.git/config", ".well-known/.git", ".well-known"):
        assert client.get(f"/media/{name}").status_code == 404, name
    assert client.get("/media/.well-known/security.txt").text == "Contact: x"
    assert client.get("/all/.env").text == "KEY=1"


def test_nothing_but_files_is_opened(serve, folder, monkeypatch):
    os.mkfifo(folder / "fifo")
    (folder / "null").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(folder / "socket"))
        opened = []
        real = os.open
        monkeypatch.setattr(file_content.os, "open", lambda path, *rest: opened.append(path) or real(path, *rest))
        client = serve(StaticFiles("/media", folder, follow_symlinks=True))
        for name in ("fifo", "null", "socket", "sub"):
            assert client.get(f"/media/{name}").status_code == 404, name
        assert opened == []


def test_what_the_server_may_not_read_is_403(serve, folder, monkeypatch):
    def refuse(*args):
        raise PermissionError("as for any user but root")

    monkeypatch.setattr(file_content.os, "open", refuse)
    assert serve(StaticFiles("/media", folder)).get("/media/a.txt").status_code == 403


# --- files that change while they are sent


@pytest.mark.parametrize("change", ["truncated", "rewritten"])
def test_a_file_that_changes_meanwhile_comes_to_no_good_end(serve, folder, monkeypatch, change):
    path = folder / "large.bin"
    monkeypatch.setattr(file_content, "CHUNK", 100_000)
    real = file_content._read_at

    def read_and_change(file, start, size):
        chunk = real(file, start, size)
        if start == 0 and change == "truncated":
            os.truncate(path, 150_000)
        elif start == 0:
            path.write_bytes(LARGE[::-1])
        return chunk

    monkeypatch.setattr(file_content, "_read_at", read_and_change)
    client = serve(StaticFiles("/media", folder), raises=False)
    try:
        answer = client.get("/media/large.bin")
    except Exception:
        return
    assert len(answer.content) < len(LARGE)


@pytest.mark.parametrize("change", ["replaced", "grown"])
def test_one_that_is_replaced_or_grows_is_sent_as_it_was(serve, folder, monkeypatch, change):
    path, other = folder / "large.bin", folder / "other"
    monkeypatch.setattr(file_content, "CHUNK", 100_000)
    real = file_content._read_at

    def read_and_change(file, start, size):
        chunk = real(file, start, size)
        if start == 0 and change == "replaced":
            other.write_bytes(b"x" * 10)
            other.replace(path)
        elif start == 0:
            path.write_bytes(LARGE + b"more")
        return chunk

    monkeypatch.setattr(file_content, "_read_at", read_and_change)
    answer = serve(StaticFiles("/media", folder)).get("/media/large.bin")
    assert (answer.content, answer.headers["Content-Length"]) == (LARGE, str(len(LARGE)))


# --- layers


def test_layers_apply(serve, folder):
    seen = []

    def guard() -> bool:
        return False

    def note(response: Response) -> None:
        seen.append(response.status_code)

    client = serve(
        Router("/shut", [StaticFiles("/media", folder)], guards=[guard]),
        Router(
            "/open",
            [StaticFiles("/media", folder)],
            throttle=["2/minute"],
            after_request=note,
            response_headers={"X-Frame-Options": "DENY"},
        ),
    )
    assert client.get("/shut/media/a.txt").status_code == 403
    first = client.get("/open/media/a.txt")
    assert (first.status_code, first.headers["X-Frame-Options"], seen) == (200, "DENY", [200])
    assert client.get("/open/media/large.bin").content == LARGE
    assert client.get("/open/media/a.txt").status_code == 429
    assert seen == [200, 200, 429]


def test_a_hook_may_change_what_is_sent(serve, folder):
    def change(response: Response) -> None:
        response.headers["X-Size"] = response.headers.get("Content-Length", "?")
        response.status_code = 203

    client = serve(StaticFiles("/media", folder, after_request=change))
    for name in ("a.txt", "large.bin"):
        answer = client.get(f"/media/{name}")
        assert (answer.status_code, "X-Size" in answer.headers) == (203, True)
        assert int(answer.headers["Content-Length"]) == len(answer.content)


@pytest.mark.django_db(transaction=True)
def test_those_behind_a_login_stay_out_of_shared_caches(serve, folder, django_user_model):
    from hybrid_gateway.auth import BasicAuthentication

    django_user_model.objects.create_user("ann", password="pw")
    options = {"authentication": [BasicAuthentication()], "guards": [IsAuthenticated], "immutable": r"\.js$"}
    client = serve(StaticFiles("/media", folder, **options))
    assert client.get("/media/app.js").status_code == 401
    answer = client.get("/media/app.js", headers={"Authorization": "Basic YW5uOnB3"})
    assert answer.headers["Cache-Control"] == "max-age=31536000, immutable, private"


def test_the_document_leaves_them_out(folder):
    from hybrid_gateway.openapi.document import build_document

    gateway = Gateway([StaticFiles("/media", folder), StaticFiles("/told", folder, include_in_schema=True)])
    assert list(build_document(gateway.endpoints, gateway.openapi, ())["paths"]) == ["/told/{path}"]


# --- told at start-up


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: StaticFiles("/media", folder / "none"), "there is no directory"),
        (lambda folder: StaticFiles("/media", folder / "a.txt"), "there is no directory"),
        (lambda folder: StaticFiles("/", folder), "Frontend"),
        (lambda folder: StaticFiles("media", folder), "needs a path of its own"),
        (lambda folder: StaticFiles("/media", folder, immutable="("), "is no regular expression"),
        (lambda folder: StaticFiles("/media", folder, follow_symlink=True), "follow_symlinks"),
        (lambda folder: StaticFiles("/media", folder, guard=[]), "guards"),
    ],
)
def test_mistakes_are_told_at_start_up(folder, make, sentence):
    with pytest.raises(RouteError, match=sentence):
        make(folder)
