"""Checks a closed lottery with nothing but Python: python3 audit.py STORE. docs/AUDIT.md defines what is computed here.

It checks counts, roots, seal and winners, and no signatures. Exit code 0 if all is as the acta says, else 1."""
import csv
import hashlib
import hmac
import json
import pathlib
import sys


def sha256(*pieces):
    return hashlib.sha256(b"".join(pieces)).digest()


def document(path):
    """A document whose last field is the checksum of the text without it."""
    fields = json.loads(path.read_text("utf-8"))
    checksum = fields.pop("sha256")
    text = json.dumps(fields, indent=2, ensure_ascii=False) + "\n"
    expect(f"the checksum of {path.name}", sha256(text.encode()).hex(), checksum)
    return fields


def expect(what, found, told):
    if found != told:
        sys.exit(f"{what}: {found} by the bets, {told} by the acta")


class Tree:
    """RFC 9162, section 2.1: the roots of whole subtrees, the largest first, each with its number of leaves."""

    def __init__(self):
        self.subtrees = []

    def push(self, leaf):
        size, node = 1, sha256(b"\0", leaf)
        while self.subtrees and self.subtrees[-1][0] == size:
            node = sha256(b"\1", self.subtrees.pop()[1], node)
            size *= 2
        self.subtrees.append((size, node))

    def root(self):
        nodes = [node for _, node in self.subtrees]
        root = nodes.pop() if nodes else sha256()
        while nodes:
            root = sha256(b"\1", nodes.pop(), root)
        return root.hex()


def main(store):
    acta, secrets = document(store / "acta.json"), document(store / "secrets.json")
    expect("the lottery", secrets["lottery"], acta["lottery"])
    number, ids = acta.get("draw", {}).get("number"), [line["agency"] for line in acta["agencies"]]
    expect("the agencies", list(range(1, len(ids) + 1)), ids)
    keys = {id: hmac.digest(bytes.fromhex(secrets["secret"]), b"agency %d" % id, "sha256") for id in ids}
    trees, bets, winners = {id: Tree() for id in ids}, dict.fromkeys(ids, 0), dict.fromkeys(ids, 0)
    with open(store / "bets.csv", "rb") as rows:
        for row in rows:
            values = next(csv.reader([row.decode()], strict=True))
            agency = int(values[0])
            salt = hmac.digest(keys[agency], bets[agency].to_bytes(8, "big"), "sha256")[:16]
            trees[agency].push(salt + row)
            bets[agency] += 1
            winners[agency] += number is not None and int(values[5]) == number
    seal = Tree()
    for line in acta["agencies"]:
        id, root = line["agency"], trees[line["agency"]].root()
        expect(f"the bets of agency {id}", bets[id], line["bets"])
        expect(f"the root of agency {id}", root, line["root"])
        if number is not None:
            expect(f"the winners of agency {id}", winners[id], line["winners"])
        seal.push(f"{id},{bets[id]},{root},{line['status']}\n".encode())
    expect("the total", sum(bets.values()), acta["total"])
    expect("the seal", seal.root(), acta["seal"])
    print(f"seal {seal.root()}\nbets {acta['total']}\nwinners {sum(winners.values()) if number is not None else '-'}")


main(pathlib.Path(sys.argv[1]))
