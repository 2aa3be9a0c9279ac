"""Talks to the example project through the client that ``manage.py gateway client python`` has made, in both ways."""

import asyncio
import io
import sys
from base64 import b64decode

from example_client import AuthenticatedClient, Client
from example_client.api.auth import auth_login
from example_client.api.default import (
    create_product,
    delete_product,
    get_product,
    list_products,
    me,
    say,
    update_product,
    upload_image,
)
from example_client.api.reviews import review_list
from example_client.models import (
    Category,
    Credentials,
    IssuedToken,
    Problem,
    ProductIn,
    ProductOut,
    ProductPatch,
    Said,
    Say,
    Size,
    UploadImageBody,
)
from example_client.models.review_list_sort import ReviewListSort
from example_client.types import File

site = sys.argv[1]
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
LAMP = ProductIn(name="Python lamp", category=Category.KITCHEN, size=Size.SMALL, price="9.50")

issued = auth_login.sync(client=Client(base_url=site), body=Credentials(username="admin", password="admin-password"))
assert isinstance(issued, IssuedToken), issued
client = AuthenticatedClient(base_url=site, token=issued.token)

account = me.sync(client=client)
assert not isinstance(account, Problem) and account is not None and account.username == "admin"

found = list_products.sync(client=client, limit=3, category=Category.GARDEN)
assert isinstance(found, list) and len(found) == 3 and found[0].category is Category.GARDEN

refused = list_products.sync(client=client, limit=0)
assert isinstance(refused, Problem) and refused.status == 422 and refused.errors

made = create_product.sync(client=client, body=LAMP)
assert isinstance(made, ProductOut) and made.price == "9.50", made
changed = update_product.sync(made.id, client=client, body=ProductPatch(price="12.00"))
assert isinstance(changed, ProductOut) and changed.price == "12.00"
image = File(payload=io.BytesIO(b64decode(DOT)), file_name="dot.png", mime_type="image/png")
shown = upload_image.sync(made.id, client=client, body=UploadImageBody(image=image))
assert isinstance(shown, ProductOut) and shown.image, shown

page = review_list.sync(client=client, size=2, sort=ReviewListSort.BEST)
assert page is not None and not isinstance(page, Problem) and len(page.items) == 2

assert delete_product.sync_detailed(made.id, client=client).status_code == 204
gone = get_product.sync(made.id, client=client)
assert isinstance(gone, Problem) and gone.status == 404


async def talk() -> None:
    async with client as shared:
        line, product = await asyncio.gather(
            say.asyncio("python", client=shared, body=Say(text="hello")),
            create_product.asyncio(client=shared, body=LAMP),
        )
        assert isinstance(line, Said) and line.by == "admin"
        assert isinstance(product, ProductOut)
        assert (await delete_product.asyncio_detailed(product.id, client=shared)).status_code == 204


asyncio.run(talk())
print("talked twice")
