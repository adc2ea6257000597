#!/usr/bin/env python3
"""Writes the seeds of the fuzzers: inputs that are valid, and nearly valid ones. Those that begin with `find` are not its work:
each of them once broke something."""

import pathlib
import struct

HERE = pathlib.Path(__file__).parent
EXAMPLE = HERE.parent / "docs/audit-example"

ANA = "Ana|Paz|1|2000-01-01|7574"
EVA = 'Eva, "la Ñata"|De la Peña|30904465|1999-12-31|0012'
KEYED = "AGENCY_ID=1,NOMBRE=Ana,APELLIDO=Paz,DOCUMENTO=1,NACIMIENTO=2000-01-01,NUMERO=7574"
ROOT = "ab" * 32
LOTTERY = "000102030405060708090a0b0c0d0e0f"


def frame(content):
    content = content if isinstance(content, bytes) else content.encode()
    return struct.pack(">I", len(content)) + content


def batch(texts):
    """Of the dialect of keys and values."""
    flags = [0] * (len(texts) - 1) + [1]
    return b"".join(struct.pack(">IB", len(text), flag) + text for text, flag in zip(map(str.encode, texts), flags))


def name(tag, text):
    return bytes([tag, len(text)]) + text.encode()


REQUESTS = [
    f"BET|1|{ANA}\n", f"BET|1|{EVA}|7|0000abcd", f"BATCH|1|2\n{ANA}\nBET|1|{ANA}\n", "BATCH|1|430|9|cbf43926", "DONE|3\n",
    f"DONE|3|5|{ROOT}", f"DONE|3|5|{ROOT}|ED25519:AAAA", "HELLO|1", "HELLO|1|+", "GET_WINNERS|1", "GET_WINNERS|1|100", "WAIT_DRAW|1",
    "WAIT_SEAL|1", "GET_DRAW|1", "STATUS", f"HOLD_DRAW|7574|{ROOT}|-", "BATCH|x|2", "BATCH|1|431", "DONE|4294967296", "HOLA|\x07",
]
REFUSALS = [
    "closed", "gap", "stale", "conflict", "not_ready", "too_many|910", "unbalanced|17", "busy: 2 connections are open",
    "storage: bets.csv: cannot write: full", "identity: this certificate speaks for agency 3", 'bet 2: number "x" is odd',
    'unknown request "HOLA"', "this central speaks TLS: connect with the keys of an agency", "agency 6 is unknown",
]
SEAL = f"5|{ROOT}|signed|3|20|{ROOT}|1700000000|{ROOT},{ROOT}|ED25519:AA=="
REPLIES = [
    "0ACK|OK\n", "0ACK|ERR|closed", "0ACK_BATCH|OK|100", "0ACK_BATCH|ERR|2|bet 1: odd", "0ACK_DONE|ERR|unbalanced|17", "0HELLO|OK|5|open",
    f"0HELLO|OK|5|done|0000abcd|{LOTTERY}|{ROOT}", "0HELLO|OK|5|drawn|0000abcd|later|more", "0DRAW|OK", f"0SEAL|OK|{SEAL}",
    "0DRAWN|OK|7574|-", f"0STATUS|OK|{LOTTERY}|5|2|78697|{ROOT}|7574", "0STATUS|OK|-|5|0|0|-|-", "1WINNERS|OK|1,22,333", "1WINNERS|OK|",
    "2WINNERS|OK|3|1,22,333", "2WINNERS|ERR|not_ready",
]
SESSIONS = {
    "lottery": f"BET|1|{ANA}\nBATCH|2|2~{ANA}~{EVA}\nHELLO|1|+\n@write\nDONE|1\nDONE|2\n@write\nGET_WINNERS|1\n@draw\n"
               "GET_WINNERS|1\nGET_WINNERS|2|0\nGET_DRAW|1\nSTATUS\nHELLO|2\nWAIT_SEAL|1\nWAIT_DRAW|2",
    "declared": f"BATCH|1|2|0|00000000~{ANA}~{EVA}\n@write\nBATCH|1|2|1|%C1~{ANA}~{EVA}\nDONE|1|2|%R1\nDONE|2|0|%R2\nHELLO|1\n"
                f"@write\nDONE|1|3|%R1\nDONE|1|2|{ROOT}|ED25519:AA==\n@draw\nBET|1|{ANA}\nBET|1|{ANA}|0\n@write",
    "places": f"BET|1|{ANA}|0\nBET|1|{ANA}|0\nBET|1|{EVA}|1|%C1\n@write\nBET|1|{ANA}|2|%C1\nBET|1|{ANA}|9\nBATCH|1|2|0~{ANA}~{EVA}\n"
              f"BATCH|1|1|0|00000000~{ANA}\n@write",
    "spread": f"@cut 3\nBATCH|1|3\n{ANA}~{EVA}\nBET|1|{ANA}\nBATCH|2|2\nnonsense\n{KEYED}\nBATCH|1|2\nBET|2|{ANA}\n{ANA}\n@write\nHOLA",
    "waits": f"WAIT_DRAW|1\nHELLO|1\nDONE|2\n@write\n@draw\n@end\n",
    "waits-drawn": f"BET|2|{ANA}\nDONE|1\nDONE|2\nWAIT_SEAL|2\nWAIT_DRAW|1\nGET_WINNERS|2|1\n@draw\nGET_WINNERS|2|0\n@end",
    "keyed": f"{KEYED}\n@keyed {KEYED};{KEYED.replace('Ana', 'Eva')}\n@keyed {KEYED};x\n{KEYED},,\n@write\nHELLO|1",
    "echo": f"BET|1|{ANA}\n@raw hola\n@write",
    "echo-unended": "@cut 2\nHELLO|1\n@write\n@end",
    "line-in-batch": f"BATCH|1|2\n{ANA}\n@raw x",
    "length": f"BET|1|{ANA}\n@raw \0\0\0\0\n@write",
    "operator": f"STATUS\nHOLD_DRAW|5|{ROOT}|-\nHOLD_DRAW|x\nGET_DRAW|1\nHELLO|3\nDONE|0\nBET|9|{ANA}\n@write",
}
NEW, BETS = "0:snapshot:1:3\n", f"1,{ANA.replace('|', ',')}\r\n"
AGENCIES = "0:agency:1:17:0:5\n0:agency:2:0:2:0\n"
JOURNALS = {
    "new": f"x\n{NEW}1:inuse\n2:rules:7574:5\n2:bets:29:7\n2:done:1:1\n3:done:2:2",
    "snapshot": f"y\n0:snapshot:5:3\n{AGENCIES}0:bets:100:7\n0:rules:later:auto\n1:inuse\n2:bets:129:9",
    "closed": f"z\n0:snapshot:3:3\n0:lottery:{LOTTERY}:5\n0:bets:0:0\n1:inuse\n2:declared:10:5\n3:sealed:700:6\n4:told\n5:draw:7574:700:7\n6:announced",
    "first-format": "a\n0:snapshot:3:1\n0:agency:1:2:1\n0:bets:0:0\n1:inuse\n2:done:4\n3:draw:7574",
    "gap": f"b\n{NEW}1:inuse\n3:done:1:1",
    "damaged": f"c\n{NEW}1:inuse\n2:nothing\n2:done:1:1",
}
STORES = {
    "new": f"{NEW}1:inuse\n\n",
    "bets": f"{NEW}1:inuse\n2:bets:*\n\n{BETS}",
    "tail": f"{NEW}1:inuse\n\n{BETS}",
    "blocks": f"0:snapshot:1:3\n1:inuse\n2:block:0:*\n2:bets:*\n2:done:1:1\n\n{BETS * 4}",
    "counted": f"0:snapshot:3:3\n0:agency:1:1:0:7\n0:bets:*\n1:inuse\n2:rules:7574:5\n\n{BETS}",
    "closed": f"0:snapshot:2:3\n0:lottery:*\n1:inuse\n2:sealed:*\n3:told\n4:draw:7\n5:announced\n\n",
    "stranger": f"{NEW}1:inuse\n2:bets:*\n\n9{BETS}",
    "not-in-use": f"{NEW}\n{BETS}",
    "shrinks": f"{NEW}1:inuse\n2:bets:*\n3:bets:1:1\n\n{BETS}",
}
INIS = {
    "all": "# x\n[DEFAULT]\nSERVER_PORT = 12345\nserver_ip: server\nSERVER_LISTEN_BACKLOG = 5\nLOGGING_LEVEL = INFO\nCLIENT_AMOUNT=auto\n"
           "STORE_DIR = /var/lib/x\nHTTP = 127.0.0.1:7574\n",
    "tls": "\ufeff[DEFAULT]\nTLS_KEYS = keys\nTLS_PLAIN = none\nDRAW = nacional\nSTORE_DIR = postgres://x@y:5432,z/w\n",
    "stray": "[DEFAULT]\nSERVER_PORT\n = 5\n",
    "section": "[server]\nSERVER_PORT = 5\n",
    "unknown": "[DEFAULT]\nPORT = 5\nSERVER_PORT = 5 ; five\nSERVER_PORT = 6\n",
    "none": "",
}
YAMLS = {
    "all": (HERE.parent / "client/config.yaml").read_text()
           + "data:\n  follow: yes\n  closeAt: 2026-12-31T20:30\ntls: {keys: k, ca: c, cert: d, key: e, crl: f}\nlottery: " + LOTTERY + "\n",
    "anchor": "loop: &a\n  amount: 5\nbatch: *a\n",
    "twice": "loop:\n  amount: 5\n  amount: 6\n",
    "types": "loop:\n  amount: [5]\nserver:\n  address: 7\nlog: ~\n",
    "unknown": "loops: 5\n",
    "none": "",
}
URI = "urn:quiniela:agency:7"
NAMES = {
    "agency": name(0x86, URI), "central": name(0x82, "localhost") + name(0x86, "urn:quiniela:central") + bytes([0x87, 4, 127, 0, 0, 1]),
    "two": name(0x86, URI) + name(0x86, URI.upper()), "dns": name(0x82, URI), "foreign": name(0x86, "https://x/") + name(0x86, URI),
    "not-ascii": name(0x86, "urn:uuid:1") + bytes([0x86, 2, 0xC3, 0xB1]) + name(0x86, URI), "cut": name(0x86, URI)[:-1],
    "lines": "https://example.org\nurn:quiniela:operator\n".encode(), "lines-two": f"{URI}\nURN:quiniela:agency:8".encode(),
    "lines-zero": b"urn:quiniela:agency:07",
}
ROWS = [ANA, EVA, "Á|B|a-b.c|2000-02-29|4294967295", "A|B|1|1900-02-29|7", "A|B|1|2000-01-01|07", 'A|"B"|1|2000-01-01|7', "A|B|1|2000-01-01"]
FILES = {
    "header": "nombre,apellido,dni,nacimiento,numero\nAna,Paz,1,2000-01-01,7574\r\n\"Eva, \"\"x\"\"\",Ñ,2,2000-02-29,7\n#cierre\n",
    "mark": "\ufeff\r\n\nAna,Paz,1,2000-01-01,7", "semicolons": "Ana;Paz;1;2000-01-01;7\n", "open": "\"Ana,Paz,1,2000-01-01,7\nx\n",
    "pipe": "A|na,Paz,1,2000-01-01,7\n", "behind": "#cierre\nAna,Paz,1,2000-01-01,7\n",
}


def without_checksum(file):
    lines = (EXAMPLE / file).read_text().splitlines()
    return "\n".join(lines[:-3] + [lines[-3].rstrip(","), "}"])


def numbered(texts):
    return {f"{place:02}": text for place, text in enumerate(texts)}


def main():
    stream = b"".join(map(frame, REQUESTS[:4]))
    csv = "".join(f"{1 + place % 3},{row.replace('|', ',')}\r\n" for place, row in enumerate(ROWS[:1] * 3))
    quoted = '3,José,"Paz, ""Ñato""",2,2000-01-01,0\r\n'
    path = lambda place, leaves, hashes: struct.pack(">QQ", place, leaves) + bytes(range(32)) * (1 + hashes)
    targets = {
        "frames": {"frames": b"\x03" + stream, "line": b"\x01" + frame("HELLO|1\n") + b"hola\n", "none": b"\x09\0\0\0\0",
                   "long": b"\x05\0\0\x20\x01", "not-utf8": b"\x02" + frame(b"a\xff"), "cut": b"\x07" + frame("DONE|3")[:-1]},
        "requests": numbered(REQUESTS), "refusals": numbered(REFUSALS), "replies": numbered(REPLIES),
        "keyed": {"bet": KEYED, "lower": KEYED.lower().replace("=", " = "), "batch": batch([KEYED, KEYED]),
                  "two-agencies": batch([KEYED, KEYED.replace("ID=1", "ID=2")]), "twice": KEYED + ",numero=1", "unended": batch([KEYED])[:-1],
                  "flag": b"\0\0\0\0\2", "text": "NOMBRE=\n|,x\x07|"},
        "session": SESSIONS, "rows": numbered(ROWS),
        "audited_rows": {"plain": csv, "quoted": csv + quoted, "bad": csv + "1,Ana,Paz,1,2000-01-01,07\r\n", "cut": csv[:-1]},
        "agency_file": {key: b"\x01\x02" + text.encode() for key, text in FILES.items()},
        "journal": JOURNALS, "store": STORES, "names": NAMES, "ini": INIS, "yaml": YAMLS,
        "acta": {"whole": (EXAMPLE / "acta.json").read_bytes(), "open": without_checksum("acta.json"), "signed": SIGNED},
        "ticket": {"whole": (EXAMPLE / "ticket.json").read_bytes(), "open": without_checksum("ticket.json"),
                   "receipt": (EXAMPLE / "receipt-1.json").read_bytes(), "receipt-open": without_checksum("receipt-1.json")},
        "paths": {"only": path(0, 1, 0), "last": path(2, 3, 1), "middle": path(3, 7, 3), "many": path(1 << 40, (1 << 63) + 1, 64),
                  "outside": path(5, 5, 3), "long": path(0, 2, 2)},
    }
    for target, seeds in targets.items():
        folder = HERE / "seeds" / target
        folder.mkdir(parents=True, exist_ok=True)
        for key, content in seeds.items():
            (folder / key).write_bytes(content if isinstance(content, bytes) else content.encode())


SIGNED = """{"format": 1, "lottery": "%s", "agencies": [{"agency": 1, "bets": 3, "root": "%s", "status": "signed",
"signed": {"signature": "ED25519:AAAA", "certificates": ["AAAA"]}, "winners": 1}], "total": 3, "seal": "%s", "sealed_at": 5,
"signed": {"signature": "ED25519:AAAA", "certificates": []},
"draw": {"number": 7, "later": true, "drawn_at": 6, "signed": {"signature": "x", "certificates": []}}}""" % (LOTTERY, ROOT, ROOT)

if __name__ == "__main__":
    main()
