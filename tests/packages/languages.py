"""Models that follow the current language."""

from typing import Any

from tests.packages.site import Site, row
from tests.packages.users import below


def locale() -> dict[str, Any]:
    from hybrid_gateway.locale import Locale

    return {"event_hooks": [Locale]}


LANGUAGES = {"LANGUAGES": [("en", "English"), ("de", "Deutsch")], "LANGUAGE_CODE": "en"}
LOCALE = "django.middleware.locale.LocaleMiddleware"


def speaks(client: Any, site: Site, make: Any) -> bool:
    """Whether rows are read in the language of the request; ``make(english, german)`` gives the key of one."""
    names = {"en": f"lamp{site.number()}", "de": f"Lampe{site.number()}"}
    pk = make(names["en"], names["de"])
    return all(
        client.get(f"/{path}/{pk}", headers={"Accept-Language": code}).json()["name"] == names[code]
        for code in ("en", "de", "en")
        for path in ("one", "aone", "found")
    )


@row(
    "django-modeltranslation",
    at_once=True,
    apps=["modeltranslation"],
    settings=lambda: {**LANGUAGES, "MIDDLEWARE": [LOCALE]},
    options=[locale, below(LOCALE)],
)
def modeltranslation(site: Site) -> Any:
    from django.db import models
    from modeltranslation.translator import TranslationOptions, translator

    from hybrid_gateway import get
    from hybrid_gateway.orm import ModelStruct

    class Thing(models.Model):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "packages"

    class ThingOptions(TranslationOptions):
        fields = ("name",)

    translator.register(Thing, ThingOptions)
    site.make(Thing)

    class Out(ModelStruct, model=Thing):
        id: int
        name: str

    @get("/one/{pk}")
    def one(pk: int) -> Out:
        return Out.get(Thing.objects.filter(pk=pk))

    @get("/aone/{pk}")
    async def aone(pk: int) -> Out:
        return await Out.aget(Thing.objects.filter(pk=pk))

    @get("/found/{pk}")
    def found(pk: int) -> Out:
        return Out.from_model(Thing.objects.get(pk=pk))

    def make(english: str, german: str) -> int:
        return Thing.objects.create(name_en=english, name_de=german).pk

    return [one, aone, found], lambda client: speaks(client, site, make)


@row(
    "django-parler",
    at_once=True,
    apps=["parler"],
    settings=lambda: {**LANGUAGES, "MIDDLEWARE": [LOCALE]},
    options=[locale, below(LOCALE)],
)
def parler(site: Site) -> Any:
    from django.db import models
    from django.utils.translation import get_language
    from msgspec import Struct
    from parler.models import TranslatableModel, TranslatedFields

    from hybrid_gateway import get

    class Thing(TranslatableModel):
        made = models.DateField(auto_now_add=True)
        translations = TranslatedFields(name=models.CharField(max_length=20))

        class Meta:
            app_label = "packages"

    site.make(Thing, Thing._parler_meta.root_model)

    class Out(Struct):
        id: int
        name: str

    @get("/one/{pk}")
    def one(pk: int) -> Out:
        return Out(pk, Thing.objects.get(pk=pk).name)

    @get("/aone/{pk}")
    async def aone(pk: int) -> Out:
        return Out(pk, (await Thing.objects.prefetch_related("translations").aget(pk=pk)).name)

    @get("/found/{pk}")
    def found(pk: int) -> Out:
        return Out(pk, Thing.objects.language(get_language()).get(pk=pk).name)

    def make(english: str, german: str) -> int:
        thing = Thing.objects.language("en").create(name=english)
        thing.create_translation("de", name=german)
        return thing.pk

    return [one, aone, found], lambda client: speaks(client, site, make)
