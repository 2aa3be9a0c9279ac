"""Django REST framework inside Django: serializers, a view for each resource, JSON only."""

from __future__ import annotations

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.authentication import TokenAuthentication
from rest_framework.generics import CreateAPIView, ListAPIView, RetrieveAPIView
from rest_framework.pagination import PageNumberPagination
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from loadtests.compare.apps.common import ROUTES
from loadtests.compare.apps.pages import urlpatterns as pages
from loadtests.compare.shop.models import Article, Brand, Gadget, Label, Sale


class ProductQuery(serializers.Serializer):
    lang = serializers.CharField(default="en")
    page = serializers.IntegerField(min_value=1, default=1)


class Line(serializers.Serializer):
    product = serializers.IntegerField()
    quantity = serializers.IntegerField()
    note = serializers.CharField()


class Order(serializers.Serializer):
    customer = serializers.CharField()
    lines = Line(many=True)


class Row(serializers.ModelSerializer):
    class Meta:
        model = Article
        fields = ["id", "name", "price", "stock", "is_active"]


class BrandOut(serializers.ModelSerializer):
    class Meta:
        model = Brand
        fields = ["id", "name"]


class LabelOut(serializers.ModelSerializer):
    class Meta:
        model = Label
        fields = ["id", "name"]


class GadgetOut(serializers.ModelSerializer):
    brand = BrandOut()
    labels = LabelOut(many=True)

    class Meta:
        model = Gadget
        fields = ["id", "name", "brand", "labels"]


class SaleOut(serializers.ModelSerializer):
    class Meta:
        model = Sale
        fields = ["id", "name", "price"]


class TenPerPage(PageNumberPagination):
    page_size = 10


GADGETS = Gadget.objects.select_related("brand").prefetch_related("labels").order_by("id")


class Hello(APIView):
    def get(self, request: Request) -> Response:
        return Response({"message": "Hello, World!"})


class Products(APIView):
    def get(self, request: Request, product_id: int) -> Response:
        query = ProductQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        return Response({"product": product_id, **query.validated_data})


class Orders(APIView):
    def post(self, request: Request) -> Response:
        order = Order(data=request.data)
        order.is_valid(raise_exception=True)
        lines = order.validated_data["lines"]
        return Response({"lines": len(lines), "quantity": sum(line["quantity"] for line in lines)}, status=201)


class Me(APIView):
    authentication_classes = [TokenAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request: Request) -> Response:
        return Response({"id": request.user.pk, "username": request.user.get_username()})


class Rows(ListAPIView):
    serializer_class = Row

    def get_queryset(self) -> Any:
        return Article.objects.order_by("id")[: int(self.request.query_params.get("limit", 10))]


class OneRow(RetrieveAPIView):
    serializer_class = Row
    queryset = Article.objects.all()


class Gadgets(ListAPIView):
    serializer_class = GadgetOut

    def get_queryset(self) -> Any:
        return GADGETS[: int(self.request.query_params.get("limit", 10))]


class Listed(ListAPIView):
    serializer_class = GadgetOut
    pagination_class = TenPerPage
    queryset = GADGETS


class Sales(CreateAPIView):
    serializer_class = SaleOut


class Item(APIView):
    def get(self, request: Request, item_id: int) -> Response:
        return Response({"item": item_id})


urlpatterns = [
    *pages,
    path("hello", Hello.as_view()),
    path("products/<int:product_id>", Products.as_view()),
    path("orders", Orders.as_view()),
    path("me", Me.as_view()),
    path("rows", Rows.as_view()),
    path("rows/<int:pk>", OneRow.as_view()),
    path("gadgets", Gadgets.as_view()),
    path("listed", Listed.as_view()),
    path("sales", Sales.as_view()),
    *(path(f"r{number}/<int:item_id>", Item.as_view()) for number in range(ROUTES)),
]
