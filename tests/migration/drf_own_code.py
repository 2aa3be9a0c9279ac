"""View sets of REST framework whose rows, filters and fields are chosen by code of the project's own."""

from functools import wraps

import django_filters
from django.db.models import Count
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_page
from rest_framework import filters, generics, pagination, permissions, serializers, viewsets
from rest_framework.exceptions import PermissionDenied
from rest_framework.routers import SimpleRouter

from tests.library.models import Author, Book, Loan, Publisher, Review


class Pages(pagination.LimitOffsetPagination):
    default_limit = 3


class AuthorLink(serializers.HyperlinkedModelSerializer):
    url = serializers.HyperlinkedIdentityField(view_name="author-detail")

    class Meta:
        model = Author
        fields = ["name", "url"]


class Shouted(serializers.CharField):
    def to_representation(self, value):
        return f"{value}!".upper()


class ReviewRow(serializers.ModelSerializer):
    critics = serializers.SerializerMethodField()

    class Meta:
        model = Review
        fields = ["stars", "critics"]

    def get_critics(self, review):
        return AuthorLink([review.critic] if review.critic else [], many=True, context=self.context).data


class BookRow(serializers.ModelSerializer):
    shout = Shouted(source="title")
    caller = serializers.SerializerMethodField()
    neighbours = serializers.SerializerMethodField("get_others")
    reviews = ReviewRow(many=True, read_only=True)
    words = serializers.ListField(child=serializers.CharField(), read_only=True)
    house = serializers.CharField(source="publisher.name", read_only=True, allow_null=True)
    readers = serializers.IntegerField(read_only=True, default=0)

    class Meta:
        model = Book
        fields = ["id", "title", "shout", "caller", "neighbours", "reviews", "words", "house", "readers"]

    def get_caller(self, book) -> str | None:
        return self.context["request"].user.username or None

    def get_others(self, book):
        return {entry.isbn: entry.price for entry in Book.objects.exclude(pk=book.pk).order_by("isbn")[:2]}


class ByIdOrName(viewsets.GenericViewSet):
    def get_object(self):
        rows, word = self.filter_queryset(self.get_queryset()), self.kwargs["pk"]
        if word == "nothing":
            raise Http404
        return get_object_or_404(rows, pk=int(word)) if word.isdigit() else get_object_or_404(rows, title=word)


class BookViewSet(ByIdOrName, viewsets.ModelViewSet):
    """Found by either of two columns, and shown with what only the serializer knows."""

    queryset = Book.objects.order_by("id")
    serializer_class = BookRow
    pagination_class = Pages

    def get_queryset(self):
        rows = super().get_queryset().annotate(readers=Count("loans"))
        return rows.filter(pages__gt=1) if self.action == "update" else rows


class OwnBook(permissions.BasePermission):
    def has_permission(self, request, view):
        return getattr(view, "is_open", False) or bool(request.user.is_authenticated)

    def has_object_permission(self, request, view, book):
        return request.user.is_staff or book.publisher is None


class PlainBook(serializers.ModelSerializer):
    class Meta:
        model = Book
        fields = ["id", "title", "pages"]


class GuardedViewSet(viewsets.ReadOnlyModelViewSet):
    """Every row in the list; one by one only those that a permission allows."""

    queryset = Book.objects.order_by("id")
    serializer_class = PlainBook
    permission_classes = [OwnBook]


def long_enough(request):
    return {"pages__gte": request.query_params.get("pages", 1)}


class BookFilters(django_filters.FilterSet):
    word = django_filters.CharFilter(method="by_word")
    pages_range = django_filters.RangeFilter(field_name="pages")

    class Meta:
        model = Book
        fields = {"status": ["exact"], "isbn": ["in"]}

    def by_word(self, rows, name, value):
        return rows.filter(title__icontains=value).order_by("-title")


class FilteredViewSet(viewsets.ReadOnlyModelViewSet):
    """Filters by a method, beside those of columns; rows that a function of the module chooses."""

    serializer_class = PlainBook
    pagination_class = Pages
    filter_backends = [django_filters.rest_framework.DjangoFilterBackend, filters.OrderingFilter]
    filterset_class = BookFilters
    ordering_fields = ["pages"]

    def get_queryset(self):
        return self.long_rows()

    def long_rows(self):
        return Book.objects.filter(**long_enough(self.request)).order_by("id")


class NewestFirst(filters.BaseFilterBackend):
    def filter_queryset(self, request, rows, view):
        return rows.order_by("-id") if "newest" in request.query_params else rows

    def get_schema_operation_parameters(self, view):
        return [{"name": "newest", "in": "query", "schema": {"type": "string"}}]


class OrderedViewSet(viewsets.ReadOnlyModelViewSet):
    """A filter that nobody knows comes behind one that is stock."""

    queryset = Book.objects.order_by("id")
    serializer_class = PlainBook
    filter_backends = [filters.OrderingFilter, NewestFirst]
    ordering_fields = ["pages"]


class CachedViewSet(viewsets.ReadOnlyModelViewSet):
    queryset = Publisher.objects.all()

    class serializer_class(serializers.ModelSerializer):  # noqa: N801
        class Meta:
            model = Publisher
            fields = ["id", "name"]

    @method_decorator(cache_page(60))
    def dispatch(self, request, *args, **kwargs):
        return super().dispatch(request, *args, **kwargs)


def staff_only(method):
    @wraps(method)
    def asked(self, request, *args, **kwargs):
        if not request.user.is_staff:
            raise PermissionDenied
        return method(self, request, *args, **kwargs)

    return asked


class DecoratedViewSet(viewsets.ReadOnlyModelViewSet):
    """A decorator has a say in who may call, above a method that only calls the next one."""

    queryset = Book.objects.order_by("id")
    serializer_class = PlainBook

    @staff_only
    def list(self, request, *args, **kwargs):
        return super().list(request, *args, **kwargs)

    @method_decorator(staff_only)
    def retrieve(self, request, *args, **kwargs):
        return super().retrieve(request, *args, **kwargs)


@method_decorator(staff_only, name="dispatch")
class DispatchedViewSet(viewsets.ReadOnlyModelViewSet):
    queryset = Book.objects.order_by("id")
    serializer_class = PlainBook


class SecretBook(PlainBook):
    """Its fields depend on who asks."""

    def get_fields(self):
        found = super().get_fields()
        if not self.context["request"].user.is_staff:
            found.pop("pages")
        return found


class SecretViewSet(viewsets.ReadOnlyModelViewSet):
    queryset = Book.objects.order_by("id")
    serializer_class = SecretBook


class Asks:
    def may_see(self):
        return self.request.user.is_staff


class ChoosingViewSet(Asks, viewsets.ReadOnlyModelViewSet):
    """Its serializer depends on who asks, by way of a method that it inherits."""

    queryset = Book.objects.order_by("id")

    def get_serializer_class(self):
        return PlainBook if self.may_see() else BookRow


class PermittingViewSet(Asks, viewsets.ReadOnlyModelViewSet):
    """As are its permissions."""

    queryset = Book.objects.order_by("id")
    serializer_class = PlainBook

    def get_permissions(self):
        return [] if self.may_see() else [permissions.IsAdminUser()]


class LoanRow(serializers.ModelSerializer):
    label = serializers.SerializerMethodField()

    class Meta:
        model = Loan
        fields = ["id", "label"]

    def get_label(self, loan):
        return f"{self.context['view'].kwargs['book']}: {loan.book.title}"


class LoansOfBook(generics.ListAPIView):
    """Rows of a part of the path, by options of as_view()."""

    def get_queryset(self):
        return super().get_queryset().filter(book=self.kwargs["book"])


VIEWS = {
    "books": BookViewSet,
    "guarded": GuardedViewSet,
    "filtered": FilteredViewSet,
    "ordered": OrderedViewSet,
    "cached": CachedViewSet,
    "decorated": DecoratedViewSet,
    "dispatched": DispatchedViewSet,
    "secret": SecretViewSet,
    "choosing": ChoosingViewSet,
    "permitting": PermittingViewSet,
}


class Authors(viewsets.ReadOnlyModelViewSet):
    queryset = Author.objects.order_by("id")
    serializer_class = AuthorLink


router = SimpleRouter()
for name, view in VIEWS.items():
    router.register(name, view, basename=name)
router.register("authors", Authors)

urlpatterns = [
    path("", include(router.urls)),
    path(
        "shelf/<int:book>/loans/",
        LoansOfBook.as_view(queryset=Loan.objects.order_by("id"), serializer_class=LoanRow),
        name="loans-of-book",
    ),
]
