"""Which row a score is about: clients may choose ids, so they repeat, and the latest counts. Imports SQLAlchemy."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists

from penstock.storage.tables import feedback, requests


def scored() -> ColumnElement[bool]:
    """Whether somebody scored a row."""
    return and_(exists().where(same()), latest())


def same() -> ColumnElement[bool]:
    """Whether a score and a row have the same id and tenant."""
    return and_(feedback.c.request == requests.c.id, feedback.c.tenant == requests.c.tenant)


def latest() -> ColumnElement[bool]:
    """Whether a row is the latest with its id and tenant."""
    later = requests.alias("later")
    return ~exists().where(
        later.c.id == requests.c.id, later.c.tenant == requests.c.tenant, later.c.number > requests.c.number
    )
