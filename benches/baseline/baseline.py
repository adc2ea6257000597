"""The baseline: a central and agencies as the usual solution of the exercise has them. A thread for each connection, one
batch in flight, CSV by the standard library, a lock around the file, and no fsync: what is acknowledged may be lost.

`baseline.py DATA AGENCIES BATCH`: runs the central and the agencies as processes, and prints the seconds from the agencies'
start until the last of them has its winners.
"""

import csv
import multiprocessing
import socket
import struct
import sys
import tempfile
import threading
import time


def receive(stream, count):
    parts = b""
    while len(parts) < count:
        part = stream.recv(count - len(parts))
        if not part:
            return None
        parts += part
    return parts


def receive_text(stream):
    header = receive(stream, 4)
    return header and receive(stream, struct.unpack(">I", header)[0]).decode()


def send_text(stream, text):
    content = text.encode()
    stream.sendall(struct.pack(">I", len(content)) + content)


class Central:
    def __init__(self, listener, path, agencies):
        self.listener, self.path, self.agencies = listener, path, agencies
        self.lock, self.drawn, self.done, self.winners = threading.Lock(), threading.Event(), set(), {}

    def run(self):
        threads = []
        for _ in range(self.agencies):
            stream, _ = self.listener.accept()
            threads.append(threading.Thread(target=self.serve, args=(stream,)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def serve(self, stream):
        while (text := receive_text(stream)) is not None:
            kind, agency, *rows = text.split("\n")
            if kind == "BATCH":
                bets = [row.split("|") for row in rows]
                with self.lock, open(self.path, "a", newline="") as file:
                    csv.writer(file).writerows([agency, *bet] for bet in bets)
                send_text(stream, f"OK|{len(bets)}")
            else:
                with self.lock:
                    self.done.add(agency)
                    if len(self.done) == self.agencies:
                        self.draw()
                self.drawn.wait()
                send_text(stream, "|".join(self.winners.get(agency, [])))

    def draw(self):
        with open(self.path, newline="") as file:
            for agency, _, _, document, _, number in csv.reader(file):
                if number == "7574":
                    self.winners.setdefault(agency, []).append(document)
        self.drawn.set()


def be_agency(port, agency, path, batch):
    stream = socket.create_connection(("127.0.0.1", port))
    with open(path, newline="") as file:
        bets = []
        for row in csv.reader(file):
            bets.append("|".join(row))
            if len(bets) == batch:
                send_text(stream, "\n".join(["BATCH", str(agency), *bets]))
                assert receive_text(stream) == f"OK|{len(bets)}"
                bets = []
        if bets:
            send_text(stream, "\n".join(["BATCH", str(agency), *bets]))
            assert receive_text(stream) == f"OK|{len(bets)}"
    send_text(stream, f"DONE\n{agency}")
    receive_text(stream)


def main():
    data, agencies, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    with tempfile.TemporaryDirectory(dir=data) as folder:
        central = Central(listener, f"{folder}/bets.csv", agencies)
        parties = [multiprocessing.Process(target=central.run)]
        parties[0].start()
        port, start = listener.getsockname()[1], time.perf_counter()
        for agency in range(1, agencies + 1):
            arguments = (port, agency, f"{data}/agency-{agency}.csv", batch)
            parties.append(multiprocessing.Process(target=be_agency, args=arguments))
            parties[-1].start()
        for party in parties:
            party.join()
            assert party.exitcode == 0
        print(time.perf_counter() - start)


main()
