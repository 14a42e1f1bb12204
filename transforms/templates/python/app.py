"""Stamps JSON objects with the environment that they come from.

[stream.NAME.transform.config]
env = "production"
"""

import json

from firehose_transform import Failure, Transform, dropped, ok


class WitWorld(Transform):
    def setup(self, config):
        unknown = config.keys() - {"env"}
        if unknown:
            raise Failure(f"unknown field `{unknown.pop()}`, expected `env`")
        self.env = config.get("env", "")
        if not self.env:
            raise Failure("`env` is empty")

    def record(self, record):
        try:
            value = json.loads(record.data)
        except ValueError:
            raise Failure("the record is no JSON")
        if not isinstance(value, dict):
            raise Failure("the record is no JSON object")
        if not value:
            return dropped()
        value["env"] = self.env
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return ok(text.encode(), env=self.env)
