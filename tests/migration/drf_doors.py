"""View sets of REST framework, one for every way to say who may call: at ``/NAME/`` and ``/NAME/{pk}/``."""

from django.urls import include, path
from rest_framework import filters, permissions, serializers, viewsets
from rest_framework.exceptions import PermissionDenied
from rest_framework.routers import DefaultRouter, SimpleRouter

from tests.library.models import Publisher

_MAP = permissions.DjangoModelPermissions.perms_map


class PublisherSerializer(serializers.ModelSerializer):
    class Meta:
        model = Publisher
        fields = ["id", "name", "country"]


class Base(viewsets.ModelViewSet):
    queryset = Publisher.objects.order_by("id")
    serializer_class = PublisherSerializer


class WithoutPut(permissions.DjangoModelPermissions):
    perms_map = {method: names for method, names in _MAP.items() if method != "PUT"}


class WithoutHead(permissions.DjangoModelPermissionsOrAnonReadOnly):
    perms_map = {method: names for method, names in _MAP.items() if method != "HEAD"}


class AnonymousWithoutWrites(permissions.DjangoModelPermissionsOrAnonReadOnly):
    perms_map = {"GET": [], "HEAD": [], "OPTIONS": []}


class AskedForViews(permissions.DjangoModelPermissions):
    perms_map = {**_MAP, "GET": ["%(app_label)s.view_%(model_name)s"], "HEAD": ["%(app_label)s.view_%(model_name)s"]}


class AsksItself(permissions.DjangoModelPermissions):
    def get_required_permissions(self, method, model_cls):
        return ["library.no_such"]


class OfRows(permissions.BasePermission):
    def has_object_permission(self, request, view, obj):
        return request.method == "GET"


class Mine(permissions.IsAuthenticated):
    def has_object_permission(self, request, view, obj):
        return obj.name == "Penguin"


class ByPath(permissions.BasePermission):
    def has_permission(self, request, view):
        return "pk" not in view.kwargs


class ReadsOnly(permissions.BasePermission):
    def has_permission(self, request, view):
        return request.method == "GET"


class Raises(permissions.BasePermission):
    def has_permission(self, request, view):
        raise PermissionDenied("never")


class OwnRows(filters.BaseFilterBackend):
    def filter_queryset(self, request, queryset, view):
        return queryset if request.user.is_staff else queryset.none()


KINDS = {
    "any": [permissions.AllowAny],
    "nothing": [],
    "known": [permissions.IsAuthenticated],
    "staff": [permissions.IsAdminUser],
    "known-writes": [permissions.IsAuthenticatedOrReadOnly],
    "model": [permissions.DjangoModelPermissions],
    "model-anonymous": [permissions.DjangoModelPermissionsOrAnonReadOnly],
    "objects": [permissions.DjangoObjectPermissions],
    "without-put": [WithoutPut],
    "without-head": [WithoutHead],
    "anonymous-without-writes": [AnonymousWithoutWrites],
    "views": [AskedForViews],
    "asks-itself": [AsksItself],
    "of-rows": [OfRows],
    "mine": [Mine],
    "by-path": [ByPath],
    "reads-only": [ReadsOnly],
    "raises": [Raises],
    "either": [permissions.IsAdminUser | ReadsOnly],
    "both": [permissions.IsAuthenticated, WithoutPut],
    "not": [~permissions.IsAuthenticated],
}


class Methods(Base):
    permission_classes = [permissions.AllowAny]
    http_method_names = ["get", "patch"]


class AsksWho(Base):
    def get_permissions(self):
        return [] if self.request.user.is_staff else [Raises()]


class AsksWhat(Base):
    def get_permissions(self):
        return [] if self.action == "list" else [permissions.IsAdminUser()]


class Checks(Base):
    def check_permissions(self, request):
        raise PermissionDenied("never")


class Begins(Base):
    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied("never")


class Narrows(Base):
    filter_backends = [OwnRows]


def of_kind(name, kinds):
    attributes = {"permission_classes": kinds, "__module__": __name__}
    return type(f"{name.title().replace('-', '')}ViewSet", (Base,), attributes)


VIEWS = {
    **{name: of_kind(name, kinds) for name, kinds in KINDS.items()},
    "methods": Methods,
    "asks-who": AsksWho,
    "asks-what": AsksWhat,
    "checks": Checks,
    "begins": Begins,
    "narrows": Narrows,
}
globals().update({view.__name__: view for view in VIEWS.values()})

router = SimpleRouter()
for name, view in VIEWS.items():
    router.register(name, view, basename=name)


class Root(DefaultRouter.APIRootView):
    permission_classes = [permissions.IsAdminUser | ReadsOnly]


roots = DefaultRouter()
roots.APIRootView = Root

urlpatterns = [path("roots/", include(roots.urls)), path("", include(router.urls))]
