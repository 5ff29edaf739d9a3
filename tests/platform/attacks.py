"""Sends every bad token, and requests that are bad otherwise, over TLS; run where the target can be reached.

attacks.py HOST PORT NAME: the address, and the Host header. Reads what tokens.py prints from stdin, and prints a JSON
object: the name of the attack, and the status that came back (0 where the connection was closed without one).
"""

import json
import socket
import ssl
import sys

address, port, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
given = json.load(sys.stdin)
context = ssl.create_default_context()
context.check_hostname = False  # the address is asked; who answers is another test's matter


def status(lines, target="/api/whoami"):
    text = f"GET {target} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n".encode()
    for line in lines:
        text += (line if isinstance(line, bytes) else line.encode()) + b"\r\n"
    try:
        with socket.create_connection((address, port), timeout=15) as plain:
            with context.wrap_socket(plain, server_hostname=name) as connection:
                connection.sendall(text + b"\r\n")
                answer = b""
                while b"\r\n" not in answer:
                    piece = connection.recv(4096)
                    if not piece:
                        break
                    answer += piece
    except (ConnectionError, ssl.SSLError):
        return 0
    words = answer.split(None, 2)
    return int(words[1]) if len(words) > 1 else 0


good = given["good"]
said = {attack: status([f"Authorization: {value}"]) for attack, value in given["bad"].items()}
said["no token"] = status([])
said["another scheme"] = status(["Authorization: Basic dXNlcjpwYXNz"])
said["the scheme alone"] = status(["Authorization: Bearer"])
said["the token alone"] = status([f"Authorization: {good}"])
said["in the query"] = status([], f"/api/whoami?access_token={good}")
said["in a cookie"] = status([f"Cookie: access_token={good}; Bearer={good}"])
said["two of them, a bad one first"] = status(["Authorization: Bearer abc", f"Authorization: Bearer {good}"])
said["bytes that are no text"] = status([b"Authorization: Bearer \xff\xfe\xfd"])
said["100 KB of kid"] = status(["Authorization: Bearer " + "A" * 100_000])
said["identity headers"] = status(["Remote-User: root", "X-Remote-User: root", "OIDC_CLAIM_sub: root", "X-Forwarded-User: root"])
said["below healthz"] = status([], "/healthz/anything")
said["healthz and more"] = status([], "/healthz/../api/whoami")
json.dump({"refused": said, "good": status([f"Authorization: Bearer {good}"]), "healthz": status([], "/healthz")}, sys.stdout)
