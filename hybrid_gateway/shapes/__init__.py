"""Shapes: what clients see and send of classes that are no Django models."""

from hybrid_gateway.shapes.shape import ReadOnly, Shape, WriteOnly

__all__ = ["ReadOnly", "Shape", "WriteOnly"]
