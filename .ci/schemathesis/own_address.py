"""Makes each connection of schemathesis from a loopback address of its own, as calls of many clients are. An address whose
credentials are refused 60 times in a minute gets 429 instead of 401, so calls from one address could not show that an
operation refuses them."""

import itertools

from urllib3.util import connection

connect = connection.create_connection
numbers = itertools.count(2)


def connect_from_own_address(address, *args, **options):
    number = next(numbers)
    source = f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    options["source_address"] = (source, 0)
    return connect(address, *args, **options)


connection.create_connection = connect_from_own_address
