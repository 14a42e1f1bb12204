"""What a firehose transform in Python needs beyond the generated bindings.

A transform is a class named `WitWorld`, as componentize-py wants it, that inherits from `Transform`:

    from firehose_transform import Transform, ok

    class WitWorld(Transform):
        def setup(self, config):
            self.suffix = config.get("suffix", "").encode()

        def record(self, record):
            return ok(record.data + self.suffix)
"""

import json

from componentize_py_types import Err
from wit_world import WitWorld
from wit_world.imports import host
from wit_world.imports.types import (
    Input,
    Outcome,
    Outcome_Dropped,
    Outcome_Failed,
    Outcome_Many,
    Outcome_Ok,
    Output,
)


class Failure(Exception):
    """Raised in `setup` it keeps the module from being used, in `record` it fails that record."""


class Transform(WitWorld):
    """The contract, for one record at a time."""

    _instance = None

    def __new__(cls):
        # Each call from outside asks for a new object; what `setup` kept must be there.
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def setup(self, config: dict) -> None:
        """Called once, before any record, with the stream's `[config]` table."""
        if config:
            raise Failure(f"unknown field `{next(iter(config))}`, there are no fields")

    def record(self, record: Input) -> Outcome:
        """Called for each record: `record.data` is bytes, `record.arrival_ms` milliseconds."""
        raise NotImplementedError

    def configure(self, config: str) -> None:
        try:
            self.setup(json.loads(config))
        except Failure as failure:
            raise Err(str(failure))
        except Exception as error:
            raise Err(f"{type(error).__name__}: {error}")

    def transform(self, records: list[Input]) -> list[Outcome]:
        return [self._outcome(index, record) for index, record in enumerate(records)]

    def _outcome(self, index: int, record: Input) -> Outcome:
        self._index = index
        try:
            return self.record(record)
        except Failure as failure:
            return Outcome_Failed(str(failure))
        except Exception as error:
            return Outcome_Failed(f"{type(error).__name__}: {error}")

    def origin(self) -> host.Origin:
        """Where the record at hand came from: stream, shard, sequence number, partition key."""
        return host.origin_of(self._index)


def output(data: bytes, **keys: str) -> Output:
    """A record that comes out, with its partition keys."""
    return Output(data, list(keys.items()))


def ok(data: bytes, **keys: str) -> Outcome:
    """One record comes out."""
    return Outcome_Ok(output(data, **keys))


def many(outputs: list[Output]) -> Outcome:
    """Several records come out, in this order."""
    return Outcome_Many(outputs)


def dropped() -> Outcome:
    """The record is left out on purpose."""
    return Outcome_Dropped()


def log(message: str, level: host.Level = host.Level.INFO) -> None:
    """Writes a line to the daemon's log."""
    host.log(level, message)
