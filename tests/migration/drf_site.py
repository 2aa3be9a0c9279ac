"""An API of Django REST framework with one of every kind: the site that moves."""

import django_filters
from django.contrib.auth.models import Group
from django.db.models import Count
from django.urls import include, path
from rest_framework import filters, generics, mixins, pagination, permissions, serializers, viewsets
from rest_framework.authentication import BasicAuthentication, SessionAuthentication, TokenAuthentication
from rest_framework.decorators import action, api_view
from rest_framework.response import Response
from rest_framework.routers import DefaultRouter
from rest_framework.throttling import ScopedRateThrottle, UserRateThrottle

from tests.library.models import Author, Biography, Book, Loan, Publisher, Review


class Pages(pagination.PageNumberPagination):
    page_size = 2
    page_size_query_param = "page_size"
    max_page_size = 50


class Slices(pagination.LimitOffsetPagination):
    default_limit = 2


class ByCursor(pagination.CursorPagination):
    page_size = 2
    ordering = "id"


class PublisherSerializer(serializers.ModelSerializer):
    class Meta:
        model = Publisher
        fields = "__all__"


class PublisherViewSet(viewsets.ModelViewSet):
    """All six, as they come."""

    queryset = Publisher.objects.all()
    serializer_class = PublisherSerializer
    permission_classes = [permissions.IsAuthenticatedOrReadOnly]
    pagination_class = Pages
    filter_backends = [filters.SearchFilter, filters.OrderingFilter]
    search_fields = ["^name", "country"]
    ordering_fields = ["name", "id"]
    lookup_field = "name"


class ReviewSerializer(serializers.ModelSerializer):
    critic = serializers.SlugRelatedField(slug_field="name", read_only=True)
    praise = serializers.SerializerMethodField()

    class Meta:
        model = Review
        fields = ["id", "stars", "text", "praise", "critic"]

    def get_praise(self, review):
        """Whether it is one."""
        words = review.text.upper()
        return f"{words}!" if review.stars > 3 else words


class BookSerializer(serializers.HyperlinkedModelSerializer):
    authors = serializers.PrimaryKeyRelatedField(many=True, queryset=Author.objects.all())
    publisher_name = serializers.CharField(source="publisher.name", read_only=True, allow_null=True)
    house = serializers.SlugRelatedField(source="publisher", slug_field="country", read_only=True)
    author_names = serializers.SlugRelatedField(source="authors", slug_field="name", many=True, read_only=True)

    class Meta:
        model = Book
        fields = ["url", "id", "title", "isbn", "publisher", "publisher_name", "house", "authors", "author_names"]
        fields += ["status", "pages", "price", "weight", "is_rare", "key", "printed", "day", "hour", "lent_for"]
        fields += ["data", "cover", "double"]
        extra_kwargs = {"publisher": {"lookup_field": "name"}}


class BookDetailSerializer(BookSerializer):
    reviews = ReviewSerializer(many=True, read_only=True)
    publisher = PublisherSerializer(read_only=True)

    class Meta(BookSerializer.Meta):
        fields = [*BookSerializer.Meta.fields, "reviews"]


class BookFilter(django_filters.FilterSet):
    least = django_filters.NumberFilter(field_name="pages", lookup_expr="gte")
    ids = django_filters.BaseInFilter(field_name="id", lookup_expr="in")

    class Meta:
        model = Book
        fields = {"status": ["exact"], "title": ["icontains"], "publisher": ["exact", "isnull"]}


class BookViewSet(viewsets.ReadOnlyModelViewSet):
    """A list and a row by different serializers, filters of a class, rates, an action."""

    queryset = Book.objects.select_related("publisher").order_by("title", "id")
    serializer_class = BookSerializer
    pagination_class = Slices
    filter_backends = [django_filters.rest_framework.DjangoFilterBackend, filters.OrderingFilter]
    filterset_class = BookFilter
    ordering_fields = "__all__"
    throttle_classes = [ScopedRateThrottle, UserRateThrottle]
    throttle_scope = "books"

    def get_serializer_class(self):
        return BookDetailSerializer if self.action == "retrieve" else BookSerializer

    @action(detail=True)
    def summary(self, request, pk=None):
        return Response({"title": self.get_object().title})

    @action(detail=False)
    def number(self, request):
        return Response(self.get_queryset().count())


class GroupSerializer(serializers.ModelSerializer):
    members = serializers.IntegerField(read_only=True)

    class Meta:
        model = Group
        fields = ["id", "name", "members"]


class GroupViewSet(viewsets.ReadOnlyModelViewSet):
    """An annotation that only the old serializer knows of: bridged."""

    queryset = Group.objects.annotate(members=Count("user")).order_by("id")
    serializer_class = GroupSerializer
    permission_classes = [permissions.DjangoModelPermissions]


class MyGroupSerializer(serializers.ModelSerializer):
    class Meta:
        model = Group
        exclude = ["permissions"]


class MyGroupViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Rows of the user."""

    serializer_class = MyGroupSerializer
    permission_classes = [permissions.IsAuthenticated]
    pagination_class = None

    def get_queryset(self):
        if getattr(self, "swagger_fake_view", False):
            return Group.objects.none()
        return Group.objects.filter(user=self.request.user).order_by("name")


class OwnSerializer(serializers.ModelSerializer):
    class Meta:
        model = Author
        fields = ["id", "name"]

    def to_representation(self, author):
        return {"shown": author.name, **super().to_representation(author)}


class IsNamed(permissions.BasePermission):
    def has_permission(self, request, view):
        return bool(request.user.username)

    def has_object_permission(self, request, view, author):
        return author.name != "Nobody"


class AuthorViewSet(viewsets.ReadOnlyModelViewSet):
    queryset = Author.objects.order_by("id")
    serializer_class = OwnSerializer
    permission_classes = [IsNamed]
    pagination_class = ByCursor


class BiographySerializer(serializers.ModelSerializer):
    class Meta:
        model = Biography
        fields = "__all__"
        depth = 1


class BiographyList(generics.ListAPIView):
    queryset = Biography.objects.order_by("pk")
    serializer_class = BiographySerializer


class LoanSerializer(serializers.ModelSerializer):
    class Meta:
        model = Loan
        fields = ["id", "days", "book"]


class LoanList(generics.ListCreateAPIView):
    queryset = Loan.objects.order_by("-id")
    serializer_class = LoanSerializer
    permission_classes = [permissions.IsAdminUser]


class LoanDetail(generics.RetrieveAPIView):
    queryset = Loan.objects.all()
    serializer_class = LoanSerializer
    permission_classes = [permissions.IsAdminUser]


@api_view(["GET", "POST"])
def ping(request):
    return Response({"pong": request.method})


for view in (
    PublisherViewSet,
    BookViewSet,
    GroupViewSet,
    MyGroupViewSet,
    AuthorViewSet,
    BiographyList,
    LoanList,
    LoanDetail,
):
    view.authentication_classes = [SessionAuthentication, BasicAuthentication, TokenAuthentication]

router = DefaultRouter()
router.register("publishers", PublisherViewSet)
router.register("books", BookViewSet)
router.register("groups", GroupViewSet)
router.register("mine", MyGroupViewSet, basename="mine")
router.register("authors", AuthorViewSet)

urlpatterns = [
    path("api/", include(router.urls)),
    path("biographies", BiographyList.as_view(), name="biography-list"),
    path("loans/", LoanList.as_view(), name="loan-list"),
    path("loans/<int:pk>/", LoanDetail.as_view(), name="loan-detail"),
    path("ping/", ping, name="ping"),
]
