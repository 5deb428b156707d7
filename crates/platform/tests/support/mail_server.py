"""A mail server of the tests: aiosmtpd, with STARTTLS, TLS and passwords.

mail_server.py FOLDER CERTIFICATE KEY: keeps every mail that it takes, read by Python's own parser, as JSON in FOLDER;
prints its two ports (STARTTLS, TLS) on one line; ends when its input does. By the name of a recipient it refuses one
for good (refused@) or for the first two times (busy@).
"""

import asyncio
import email
import email.policy
import json
import logging
import os
import ssl
import sys
import uuid
from collections import Counter

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    def __init__(self, folder):
        self.folder = folder
        self.asked = Counter()

    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        self.asked[address] += 1
        if name == "refused":
            return "550 5.1.1 there is no such mailbox"
        if name == "busy" and self.asked[address] <= 2:
            return "451 4.3.2 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        kept = {
            "recipients": envelope.rcpt_tos,
            "headers": [[name, str(value)] for name, value in mail.items()],
            "body": mail.get_content(),
        }
        for recipient in envelope.rcpt_tos:
            # A file is not in its place before it is whole.
            draft = os.path.join(self.folder, f".{uuid.uuid4()}")
            with open(draft, "w", encoding="utf-8") as file:
                json.dump(kept, file)
            os.rename(draft, os.path.join(self.folder, f"{recipient}~{uuid.uuid4()}.json"))
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    known = (data.login, data.password) == (b"payops", b"the-mail-password")
    return AuthResult(success=known, handled=False)


async def serve(folder, certificate, key):
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    handler = Handler(folder)
    common = {"authenticator": authenticate, "auth_required": True, "hostname": "mail.shop.example"}

    def starttls():
        return SMTP(handler, tls_context=tls, require_starttls=True, **common)

    def wrapped():
        return SMTP(handler, auth_require_tls=False, **common)

    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(starttls, "127.0.0.1", 0),
        await loop.create_server(wrapped, "127.0.0.1", 0, ssl=tls),
    ]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


# What clients do wrong on purpose is no news; what this program does wrong ends it.
logging.disable(logging.CRITICAL)
asyncio.run(serve(*sys.argv[1:]))
