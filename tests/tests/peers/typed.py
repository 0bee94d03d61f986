"""A typed client, made of the document, before the daemon: every answer is one that its types take, and nothing of it is
left over. Arguments: the API's address, a token."""

import importlib
import inspect
import json
import pkgutil
import sys

import attrs

sys.path.insert(0, ".")
from client import AuthenticatedClient, api
from client.api.decisions import delete_decisions_by_id, get_decisions_by_id, post_decisions
from client.models import BanBody, DecisionBody, Problem

# One has no end.
LEFT_OUT = {"get_stream"}


def left_over(value, way):
    """The fields of an answer that its type does not know, by the way to them."""
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from left_over(item, f"{way}[{at}]")
    elif attrs.has(type(value)):
        declared = [field.name for field in attrs.fields(type(value)) if field.name != "additional_properties"]
        more = getattr(value, "additional_properties", {})
        # Where nothing is declared it is a map, and all of it is there.
        if declared:
            yield from (f"{way}.{name}" for name in more)
        for name in declared:
            yield from left_over(getattr(value, name), f"{way}.{name}")


def plain(value):
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


who = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2], raise_on_unexpected_status=True)

ban = post_decisions.sync(client=who, body=BanBody(source="203.0.113.7", ttl="1h", reason="typed"))
assert isinstance(ban, DecisionBody), ban
assert isinstance(ban.id, int) and ban.reason == "typed", ban
shown = get_decisions_by_id.sync(str(ban.id), client=who)
assert isinstance(shown, DecisionBody) and shown.id == ban.id, shown

asked = 0
for module in pkgutil.walk_packages(api.__path__, "client.api."):
    name = module.name.rsplit(".", 1)[1]
    if module.ispkg or not name.startswith("get_") or name in LEFT_OUT:
        continue
    ask = importlib.import_module(module.name).sync_detailed
    parameters = inspect.signature(ask).parameters.values()
    if any(one.default is one.empty and one.name != "client" for one in parameters):
        continue
    answer = ask(client=who)
    assert answer.status_code == 200, (name, answer)
    if answer.headers["content-type"] == "application/json":
        assert answer.parsed is not None and not isinstance(answer.parsed, Problem), (name, answer)
        assert plain(answer.parsed) == json.loads(answer.content), (name, answer.content)
        over = list(left_over(answer.parsed, name))
        assert not over, f"not in the document: {over}"
    asked += 1

lifted = delete_decisions_by_id.sync(str(ban.id), client=who)
assert isinstance(lifted, DecisionBody) and lifted.id == ban.id, lifted
gone = get_decisions_by_id.sync(str(ban.id), client=who)
assert isinstance(gone, Problem) and gone.status == 404, gone
print(asked)
