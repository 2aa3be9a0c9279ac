"""Both sides of the example through one client: the typed API, the admin, and the old page."""

from decimal import Decimal
from io import BytesIO
from typing import Any

from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import override_settings
from PIL import Image

from catalog.models import Category, Product, Review, Size
from hybrid_gateway.caching import invalidate
from hybrid_gateway.test import TestCase, assert_queries

TEAPOT = {"name": "Teapot", "category": "kitchen", "size": "small", "price": "24.50"}
IN_MEMORY = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}


def add_product(name: str, category: Category = Category.KITCHEN) -> Product:
    """Add a product of which only the name and the category matter."""
    return Product.objects.create(name=name, category=category, size=Size.SMALL, price=Decimal("9.90"))


class TestReading(TestCase):
    """What anybody may read."""

    def test_hello(self) -> None:
        response = self.client.get(self.reverse_url("hello"))
        self.assertEqual(response.status_code, 200)
        self.assertEqual(response.json(), {"message": "Hello, World!"})

    def test_probes(self) -> None:
        """Whoever asks by address is answered, too."""
        self.assertEqual(self.client.get("/livez", headers={"Host": "10.0.0.7"}).status_code, 200)
        self.assertEqual(self.client.get("/readyz").json()["checks"], {"databases": "ok"})

    def test_one_product(self) -> None:
        product = add_product("Kettle")
        response = self.client.get(self.reverse_url("get_product", product_id=product.pk))
        self.assertEqual(response.status_code, 200)
        expected = {"id": product.pk, "name": "Kettle", "category": "kitchen", "price": "9.90", "image": None}
        self.assertLessEqual(expected.items(), response.json().items())

    def test_a_product_that_does_not_exist_is_404(self) -> None:
        response = self.client.get(self.reverse_url("get_product", product_id=404))
        self.assertEqual(response.status_code, 404)
        self.assertEqual(response.json()["title"], "Not Found")

    def test_list_in_the_order_of_adding(self) -> None:
        add_product("Kettle")
        add_product("Rake", Category.GARDEN)
        self.assertEqual(self.names(), ["Kettle", "Rake"])

    def test_list_of_one_category(self) -> None:
        add_product("Kettle")
        add_product("Rake", Category.GARDEN)
        self.assertEqual(self.names(category="garden"), ["Rake"])

    def test_limit_and_offset(self) -> None:
        for name in ["Bowl", "Kettle", "Ladle", "Pan"]:
            add_product(name)
        self.assertEqual(self.names(limit=2, offset=1), ["Kettle", "Ladle"])

    def test_all_bad_parameters_are_named(self) -> None:
        response = self.client.get(self.reverse_url("list_products"), params={"category": "moon", "limit": 0})
        self.assertEqual(response.status_code, 422)
        places = [error["loc"] for error in response.json()["errors"]]
        self.assertCountEqual(places, [["query", "category"], ["query", "limit"]])

    def names(self, **params: Any) -> list[str]:
        response = self.client.get(self.reverse_url("list_products"), params=params)
        self.assertEqual(response.status_code, 200)
        return [product["name"] for product in response.json()]


class TestWriting(TestCase):
    """What needs credentials."""

    def setUp(self) -> None:
        self.client.force_authenticate(User.objects.create_user("demo"))

    def test_create(self) -> None:
        response = self.client.post(self.reverse_url("create_product"), json=TEAPOT)
        self.assertEqual(response.status_code, 201)
        product = Product.objects.get()
        self.assertEqual(response.json()["id"], product.pk)
        self.assertEqual((product.name, product.price), ("Teapot", Decimal("24.50")))

    def test_create_answers_with_what_the_database_keeps(self) -> None:
        response = self.client.post(self.reverse_url("create_product"), json=TEAPOT | {"price": 9.5})
        self.assertEqual(response.json()["price"], "9.50")

    def test_the_body_is_checked_by_its_type(self) -> None:
        response = self.client.post(self.reverse_url("create_product"), json=TEAPOT | {"rating": 6})
        self.assertEqual(response.status_code, 422)
        self.assertEqual(response.json()["errors"][0]["loc"], ["body", "rating"])

    def test_the_model_has_the_last_word(self) -> None:
        for price in ["-1", "NaN", "12345678.90", "1.234"]:
            response = self.client.post(self.reverse_url("create_product"), json=TEAPOT | {"price": price})
            self.assertEqual(response.status_code, 422, price)
        self.assertFalse(Product.objects.exists())

    def test_change_some_fields(self) -> None:
        product = add_product("Kettle")
        url = self.reverse_url("update_product", product_id=product.pk)
        response = self.client.patch(url, json={"price": "11.00"})
        self.assertEqual(response.status_code, 200)
        self.assertEqual((response.json()["name"], response.json()["price"]), ("Kettle", "11.00"))

    def test_delete(self) -> None:
        product = add_product("Kettle")
        response = self.client.delete(self.reverse_url("delete_product", product_id=product.pk))
        self.assertEqual(response.status_code, 204)
        self.assertFalse(Product.objects.exists())

    def test_strangers_change_nothing(self) -> None:
        self.client.force_authenticate(None)
        one = self.reverse_url("get_product", product_id=add_product("Kettle").pk)
        answers = [
            self.client.post(self.reverse_url("create_product"), json=TEAPOT),
            self.client.patch(one, json={"price": "0"}),
            self.client.delete(one),
        ]
        self.assertEqual([answer.status_code for answer in answers], [401, 401, 401])
        self.assertEqual(Product.objects.get().price, Decimal("9.90"))


class TestReviews(TestCase):
    """The routes of `crud()`: everybody reads, everybody writes their own."""

    def setUp(self) -> None:
        self.product = add_product("Kettle")
        self.ada, self.bob = User.objects.create_user("ada"), User.objects.create_user("bob")
        self.review = Review.objects.create(product=self.product, author=self.bob, stars=2, text="It fell apart.")

    def test_everybody_reads(self) -> None:
        response = self.client.get(self.reverse_url("review_list"), params={"q": "kettle apart", "stars": 2})
        [review] = response.json()["items"]
        self.assertEqual((review["product_name"], review["author"]), ("Kettle", "bob"))
        self.assertEqual(self.client.post(self.reverse_url("review_list"), json={}).status_code, 401)

    def test_everybody_writes_their_own(self) -> None:
        self.client.force_authenticate(self.ada)
        body = {"product": self.product.pk, "stars": 5}
        made = self.client.post(self.reverse_url("review_create"), json=body)
        self.assertEqual((made.status_code, made.json()["author"]), (201, "ada"))
        url = made.headers["Location"]
        self.assertEqual(self.client.patch(url, json={"stars": 4}).json()["stars"], 4)
        stranger = self.reverse_url("review_detail", pk=self.review.pk)
        self.assertEqual(self.client.patch(stranger, json={"stars": 5}).status_code, 404)
        self.assertEqual(self.client.delete(stranger).status_code, 404)
        self.assertEqual(self.client.delete(url).status_code, 204)

    def test_bounds_are_the_models_and_products_exist(self) -> None:
        self.client.force_authenticate(self.ada)
        faults: list[tuple[dict[str, Any], str]] = [
            ({"stars": 6}, "stars"),
            ({"product": 0}, "product"),
            ({"text": "x" * 501}, "text"),
        ]
        for wrong, place in faults:
            body = {"product": self.product.pk, "stars": 5} | wrong
            response = self.client.post(self.reverse_url("review_create"), json=body)
            self.assertEqual((response.status_code, response.json()["errors"][0]["loc"]), (422, ["body", place]))

    def test_nobody_writes_over_what_they_have_not_seen(self) -> None:
        self.client.force_authenticate(self.bob)
        url = self.reverse_url("review_detail", pk=self.review.pk)
        seen = {"If-Match": self.client.get(url).headers["ETag"]}
        self.assertEqual(self.client.patch(url, json={"stars": 3}, headers=seen).status_code, 200)
        self.assertEqual(self.client.patch(url, json={"stars": 1}, headers=seen).status_code, 412)


class TestQueries(TestCase):
    """Every list takes as many queries as it has parts, however long it is."""

    def test_lists(self) -> None:
        author = User.objects.create_user("demo")
        for number in range(5):
            product = add_product(f"Kettle {number}")
            Review.objects.create(product=product, author=author, stars=number + 1)
        invalidate("products")
        lists: list[tuple[str, dict[str, Any]]] = [
            ("list_products", {"limit": 3, "category": "kitchen"}),
            ("search_products", {"q": "kettle"}),
            ("list_statistics", {}),
            ("review_list", {"size": 3, "sort": "best"}),
            ("export_products", {}),
            ("stream_products", {}),
        ]
        for name, params in lists:
            with assert_queries(1):
                response = self.client.get(self.reverse_url(name), params=params)
                self.assertIn(b"itchen" if name != "review_list" else b"Kettle", b"".join(response))


class TestAccounts(TestCase):
    """Tokens, passwords and who one is."""

    def setUp(self) -> None:
        self.credentials = {"username": "demo", "password": "demo-password"}
        User.objects.create_user(**self.credentials)

    def test_a_token_works_from_login_to_logout(self) -> None:
        login = self.client.post(self.reverse_url("auth:login"), json=self.credentials)
        self.assertEqual(login.status_code, 201)
        token = {"Authorization": f"Bearer {login.json()['token']}"}
        self.assertEqual(self.client.get(self.reverse_url("me"), headers=token).json()["username"], "demo")
        self.assertEqual(self.client.post(self.reverse_url("auth:logout"), headers=token).status_code, 204)
        self.assertEqual(self.client.get(self.reverse_url("me"), headers=token).status_code, 401)

    def test_a_wrong_password_is_401(self) -> None:
        response = self.client.post(self.reverse_url("auth:login"), json=self.credentials | {"password": "guess"})
        self.assertEqual(response.status_code, 401)

    def test_a_password_does_as_well(self) -> None:
        basic = {"Authorization": "Basic ZGVtbzpkZW1vLXBhc3N3b3Jk"}  # demo:demo-password
        self.assertEqual(self.client.get(self.reverse_url("me"), headers=basic).json()["username"], "demo")

    def test_nobody_is_401_and_told_how_to_sign_in(self) -> None:
        response = self.client.get(self.reverse_url("me"))
        self.assertEqual(response.status_code, 401)
        self.assertIn("Bearer", response.headers["WWW-Authenticate"])


@override_settings(STORAGES=IN_MEMORY)
class TestDjangoPages(TestCase):
    """What Django answers, as it would without the gateway."""

    def test_the_old_page_has_twenty_products_to_a_page(self) -> None:
        Product.objects.bulk_create(Product(name=f"Thing {number}", price=1) for number in range(21))
        self.assertContains(self.client.get("/catalog/"), "Thing 19")
        self.assertNotContains(self.client.get("/catalog/"), "Thing 20")
        self.assertContains(self.client.get("/catalog/", {"page": 2}), "Thing 20")

    def test_the_admin_sends_strangers_to_its_login(self) -> None:
        self.assertRedirects(self.client.get("/admin/"), "/admin/login/?next=/admin/")

    def test_the_admin_filters_products(self) -> None:
        self.client.force_login(User.objects.create_superuser("admin"))
        add_product("Kettle")
        add_product("Rake", Category.GARDEN)
        response = self.client.get("/admin/catalog/product/", {"category__exact": "garden"})
        self.assertContains(response, "Rake")
        self.assertNotContains(response, "Kettle")

    def test_an_image_uploaded_in_the_admin_is_in_the_api(self) -> None:
        self.client.force_login(User.objects.create_superuser("admin"))
        image = BytesIO()
        Image.new("RGB", (2, 2)).save(image, "PNG")
        form = TEAPOT | {"rating": "4.5", "image": SimpleUploadedFile("teapot.png", image.getvalue(), "image/png")}
        self.assertRedirects(self.client.post("/admin/catalog/product/add/", form), "/admin/catalog/product/")
        url = self.reverse_url("get_product", product_id=Product.objects.get().pk)
        self.assertEqual(self.client.get(url).json()["image"], "/media/products/teapot.png")


class TestSeed(TestCase):
    """`manage.py seed`."""

    def test_seeding_twice_is_seeding_once(self) -> None:
        for _ in range(2):
            call_command("seed", verbosity=0)
        self.assertEqual(Product.objects.count(), 200)
        self.assertTrue(User.objects.get(username="admin").is_superuser)
        self.assertTrue(User.objects.get(username="demo").check_password("demo-password"))


class TestBeyondJSON(TestCase):
    """Uploads, streams, events, limits and caching."""

    def test_an_image_is_uploaded_and_shown(self) -> None:
        product = add_product("Kettle")
        self.client.force_login(User.objects.create_user("ada"))
        self.client.force_authenticate(User.objects.get(username="ada"))
        picture = BytesIO()
        Image.new("RGB", (2, 2)).save(picture, "PNG")
        url = self.reverse_url("upload_image", product_id=product.pk)
        with override_settings(STORAGES=IN_MEMORY):
            response = self.client.put(url, files={"image": ("kettle.png", picture.getvalue(), "image/png")})
        self.assertEqual(response.status_code, 200)
        self.assertRegex(response.json()["image"], r"^/media/products/kettle.*\.png$")
        response = self.client.put(url, files={"image": ("kettle.png", b"<script>", "image/png")})
        self.assertEqual(response.status_code, 422)
        self.assertEqual(response.json()["errors"][0]["type"], "content_type")

    def test_all_products_as_a_table(self) -> None:
        add_product("Kettle, red")
        lines = self.client.get(self.reverse_url("export_products")).text.splitlines()
        self.assertEqual(lines[0], "id,name,category,size,price")
        self.assertRegex(lines[1], r'^\d+,"Kettle, red",kitchen,small,9.90$')

    def test_search(self) -> None:
        add_product("Kettle")
        add_product("Rake")
        response = self.client.get(self.reverse_url("search_products"), params={"q": "kett"})
        self.assertEqual([product["name"] for product in response.json()], ["Kettle"])
        self.assertEqual(response.headers["RateLimit-Limit"], "60")

    def test_prices_go_on_where_they_stopped(self) -> None:
        first, second = add_product("Kettle"), add_product("Rake")
        url = self.reverse_url("price_feed")
        text = self.client.get(url, params={"pause": 0}).text
        self.assertEqual(text.count("event: price"), 2)
        self.assertIn(f'data: {{"product":{second.pk},"price":"9.90"}}', text)
        rest = self.client.get(url, params={"pause": 0}, headers={"Last-Event-ID": str(first.pk)}).text
        self.assertEqual(rest.count("event: price"), 1)

    def test_statistics_are_counted_once_until_something_changes(self) -> None:
        add_product("Kettle")
        invalidate("products")
        url = self.reverse_url("list_statistics")
        first = self.client.get(url)
        self.assertIn("fwd=miss", first.headers["Cache-Status"])
        self.assertEqual(set(first.json()[0]), {"category", "products", "average_price"})
        self.assertIn("hit", self.client.get(url).headers["Cache-Status"])
        invalidate("products")
        self.assertIn("fwd=miss", self.client.get(url).headers["Cache-Status"])

    def test_answers_carry_an_id_and_a_duration(self) -> None:
        answer = self.client.get(self.reverse_url("hello"), headers={"X-Request-ID": "abc"})
        self.assertEqual(answer.headers["X-Request-ID"], "abc")
        self.assertIn("app;dur=", answer.headers["Server-Timing"])

    def test_categories_are_told_once(self) -> None:
        url = self.reverse_url("list_categories")
        first = self.client.get(url)
        self.assertEqual(first.headers["Cache-Control"], "public, max-age=300")
        again = self.client.get(url, headers={"If-None-Match": first.headers["ETag"]})
        self.assertEqual(again.status_code, 304)
