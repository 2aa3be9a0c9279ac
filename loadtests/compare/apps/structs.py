"""The messages of the service, for the frameworks that speak msgspec."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct):
    message: str


class Product(msgspec.Struct):
    product: int
    lang: str
    page: int


class Line(msgspec.Struct):
    product: int
    quantity: int
    note: str


class Order(msgspec.Struct):
    customer: str
    lines: list[Line]


class Receipt(msgspec.Struct):
    lines: int
    quantity: int


class Item(msgspec.Struct):
    item: int


class Me(msgspec.Struct):
    id: int
    username: str


class Row(msgspec.Struct):
    id: int
    name: str
    price: int
    stock: int
    is_active: bool


class Brand(msgspec.Struct):
    id: int
    name: str


class Label(msgspec.Struct):
    id: int
    name: str


class Gadget(msgspec.Struct):
    id: int
    name: str
    brand: Brand
    labels: list[Label]


class SaleIn(msgspec.Struct):
    name: str
    price: int


class SaleOut(msgspec.Struct):
    id: int
    name: str
    price: int


def receipt_of(order: Order) -> Receipt:
    """What the service answers to an order."""
    return Receipt(len(order.lines), sum(line.quantity for line in order.lines))
