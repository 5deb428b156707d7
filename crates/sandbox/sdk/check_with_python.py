"""Uses a running sandbox through Stripe's own SDK for Python, which must not notice the difference.

    python check_with_python.py http://127.0.0.1:40091 [KEY]

`cargo xtask sdks` runs it with the SDK that it was written for, and the tests do the same. Prints one line for each check. Ends with 1 when one of them fails.
"""

import json
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import stripe

BASE = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://127.0.0.1:40091"
KEY = sys.argv[2] if len(sys.argv) > 2 else "sk_test_payops_sandbox"
WAIT_SECONDS = 20

failures = 0


@contextmanager
def check(what):
    global failures
    try:
        yield
        print(f"ok    {what}")
    except Exception as error:  # every failure is a finding, whatever its class
        failures += 1
        print(f"FAIL  {what}: {type(error).__name__}: {error}")


def sandbox(path, body=None):
    """Calls one of the sandbox's own endpoints."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(BASE + path, data=data)) as response:
        return json.loads(response.read() or "null")


def client(key=KEY, retries=0, timeout=30):
    return stripe.StripeClient(
        key,
        base_addresses={"api": BASE, "files": BASE},
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=timeout),
    )


def until(read, is_so):
    """Reads until it is so, which must come true in time."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        value = read()
        if is_so(value):
            return value
        assert time.monotonic() < end, f"it did not come true: {value}"
        time.sleep(0.1)


def refused(kind, call):
    """The error of a call that must be refused with one of a class."""
    try:
        call()
    except stripe.StripeError as error:
        assert type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}: {error}"
        assert error.request_id.startswith("req_")
        return error
    raise AssertionError(f"nothing was refused; {kind.__name__} was expected")


def pdf():
    """A small PDF with one page."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>",
    ]
    text, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(text))
        text += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(text)
    head = b"xref\n0 4\n0000000000 65535 f \n" + table
    return text + head + b"trailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start


def disputed(payment_method="pm_card_createDispute"):
    """The dispute of a charge of a card."""
    intent = v1.payment_intents.create(
        {
            "amount": 6000,
            "currency": "usd",
            "payment_method": payment_method,
            "confirm": True,
            "metadata": {"payment_no": "P-1"},
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        }
    )
    params = {"payment_intent": intent.id}
    return until(lambda: v1.disputes.list(params).data, lambda data: len(data) > 0)[0]


def check_disputes():
    with check("a magic card is disputed"):
        dispute = disputed()
        assert (dispute.status, dispute.reason, dispute.amount) == ("needs_response", "fraudulent", 6000)
        assert dispute.balance_transactions[0].reporting_category == "dispute"
        assert dispute.payment_method_details.card.case_type == "chargeback"
    with check("a list is paged automatically and expanded"):
        for amount in range(1, 8):
            sandbox("/sandbox/disputes", {"amount": amount})
        params = {"limit": 3, "created": {"gte": 1}, "expand": ["data.charge"]}
        found = list(v1.disputes.list(params).auto_paging_iter())
        assert len(found) >= 8 and len({one.id for one in found}) == len(found)
        assert all(one.charge.object == "charge" for one in found)
        before = v1.disputes.list({"limit": 2, "ending_before": found[-1].id})
        assert before.data[-1].id == found[-2].id
    with check("a dispute is read with its charge"):
        read = v1.disputes.retrieve(dispute.id, {"expand": ["charge.balance_transaction"]})
        assert read.charge.metadata["payment_no"] == "P-1"
        assert read.charge.balance_transaction.net == 6000 - 204
    with check("evidence is staged"):
        evidence = {"customer_name": "Anna", "uncategorized_text": "winning_evidence"}
        staged = v1.disputes.update(
            dispute.id, {"evidence": evidence, "submit": False, "metadata": {"case": "7"}}
        )
        assert staged.status == "needs_response" and staged.evidence_details.has_evidence
        assert staged.metadata["case"] == "7"
        assert v1.disputes.update(dispute.id, {"metadata": {"case": ""}}).metadata.to_dict() == {}
    with check("evidence is sent and wins"):
        sent = v1.disputes.update(dispute.id, {"submit": True})
        assert sent.status == "under_review" and sent.evidence_details.submission_count == 1
        sandbox("/sandbox/clock", {"advance_seconds": 5})
        won = v1.disputes.retrieve(dispute.id)
        assert won.status == "won" and len(won.balance_transactions) == 2
    with check("a dispute is closed"):
        other = disputed("pm_card_createDisputeProductNotReceived")
        assert v1.disputes.close(other.id).status == "lost"
        error = refused(stripe.InvalidRequestError, lambda: v1.disputes.close(other.id))
        assert error.user_message == "This dispute is already closed" and error.code is None
    with check("an early fraud warning is read"):
        v1.charges.create({"amount": 900, "currency": "usd", "source": "pm_card_createIssuerFraudRecord"})
        listed = v1.radar.early_fraud_warnings.list
        assert until(lambda: listed().data, lambda data: len(data) > 0)[0].actionable
    with check("a refund of a disputed charge is refused, and of another one made"):
        params = {"charge": disputed().charge}
        error = refused(stripe.InvalidRequestError, lambda: v1.refunds.create(params))
        assert error.code == "charge_disputed"
        charge = v1.charges.create({"amount": 900, "currency": "usd", "source": "tok_visa"})
        assert v1.refunds.create({"charge": charge.id, "amount": 400}).status == "succeeded"
        assert v1.charges.retrieve(charge.id).amount_refunded == 400


def check_files():
    with check("a PDF is uploaded, read and attached"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "receipt.pdf"
            path.write_bytes(pdf())
            with path.open("rb") as handle:
                file = v1.files.create({"purpose": "dispute_evidence", "file": handle})
        assert (file.type, file.filename, file.size) == ("pdf", "receipt.pdf", len(pdf()))
        assert v1.files.retrieve(file.id).purpose == "dispute_evidence"
        assert file.id in [one.id for one in v1.files.list({"limit": 100}).data]
        params = {"evidence": {"receipt": file.id}, "submit": False, "expand": ["evidence.receipt"]}
        assert v1.disputes.update(disputed().id, params).evidence.receipt.id == file.id
    with check("a file link opens the file to anybody"):
        params = {"file": file.id, "expires_at": file.created + 10**8, "metadata": {"for": "bank"}}
        link = v1.file_links.create(params)
        with urllib.request.urlopen(link.url) as response:
            assert response.read() == pdf()
        assert v1.file_links.update(link.id, {"expires_at": "now"}).expired
        assert v1.file_links.retrieve(link.id).metadata["for"] == "bank"
        assert [one.id for one in v1.file_links.list({"file": file.id}).data] == [link.id]
    with check("reports are run and downloaded"):
        assert report("balance.summary.1").startswith(b"category,")
        columns = ["balance_transaction_id", "gross", "net"]
        lines = report("balance_change_from_activity.itemized.3", columns=columns).splitlines()
        assert lines[0] == b"balance_transaction_id,gross,net" and len(lines) > 1


def report(kind, **more):
    """The file of a report over the last day that there are data of."""
    end = v1.reporting.report_types.retrieve(kind).data_available_end
    params = {"interval_start": end - 86_400, "interval_end": end, **more}
    run = v1.reporting.report_runs.create({"report_type": kind, "parameters": params})
    assert run.status == "pending" and run.result is None
    read = lambda: v1.reporting.report_runs.retrieve(run.id)
    done = until(read, lambda run: run.status == "succeeded")
    assert run.id in [one.id for one in v1.reporting.report_runs.list({"limit": 100}).data]
    request = urllib.request.Request(done.result.url, headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request) as response:
        content = response.read()
    assert len(content) == done.result.size
    return content


def check_errors():
    with check("wrong parameters are invalid requests"):
        error = refused(stripe.InvalidRequestError, lambda: v1.disputes.list({"limit": "abc"}))
        assert (error.code, error.param) == ("parameter_invalid_integer", "limit")
        error = refused(stripe.InvalidRequestError, lambda: v1.disputes.list({"customer": "cus_1"}))
        assert error.code == "parameter_unknown"
    with check("what is not there is an invalid request with 404"):
        error = refused(stripe.InvalidRequestError, lambda: v1.disputes.retrieve("du_nope"))
        assert (error.http_status, error.code, error.param) == (404, "resource_missing", "dispute")
        assert error.user_message == "No such dispute: 'du_nope'"
    with check("a wrong key is an authentication error"):
        stranger = client("sk_test_wrong")
        refused(stripe.AuthenticationError, lambda: stranger.v1.disputes.list())
    with check("a refused permission is a permission error"):
        sandbox("/sandbox/faults", {"target": "stripe.disputes", "kind": "status", "status": 403})
        refused(stripe.PermissionError, lambda: v1.disputes.list())
    with check("a declined card is a card error"):
        params = {"amount": 900, "currency": "usd", "source": "tok_chargeDeclined"}
        error = refused(stripe.CardError, lambda: v1.charges.create(params))
        assert (error.code, error.error.decline_code) == ("card_declined", "generic_decline")
    with check("too many calls are a rate limit error"):
        sandbox("/sandbox/rate_limit", {"per_second": 0})
        try:
            error = refused(stripe.RateLimitError, lambda: v1.disputes.list())
        finally:
            sandbox("/sandbox/rate_limit", {"per_second": None})
        assert error.headers["stripe-rate-limited-reason"] == "global-rate"
    with check("a failure of the server is an API error"):
        sandbox("/sandbox/faults", {"target": "stripe.disputes", "kind": "status", "status": 500})
        refused(stripe.APIError, lambda: v1.disputes.list())
    with check("a connection that breaks is a connection error"):
        sandbox("/sandbox/faults", {"target": "stripe.disputes", "kind": "cut", "after": 0})
        try:
            v1.disputes.list()
            raise AssertionError("the connection did not break")
        except stripe.APIConnectionError:
            pass


def check_idempotency():
    dispute = disputed()
    params = {"evidence": {"uncategorized_text": "We sent it."}}
    options = {"idempotency_key": f"submit-{dispute.id}"}
    with check("a repeat under the same key has no second effect"):
        first = v1.disputes.update(dispute.id, params, options)
        again = v1.disputes.update(dispute.id, params, options)
        assert first.to_dict() == again.to_dict()
        assert again.last_response.headers["idempotent-replayed"] == "true"
        assert v1.disputes.retrieve(dispute.id).evidence_details.submission_count == 1
    with check("other parameters under the same key are an idempotency error"):
        other = {"evidence": {"uncategorized_text": "Another story."}}
        refused(stripe.IdempotencyError, lambda: v1.disputes.update(dispute.id, other, options))
    with check("the SDK's own retries end in one effect"):
        # The first answer comes too late for the SDK, which then asks again.
        late = statuses_of_charge({"kind": "slow_after", "ms": 20_000}, timeout=2)
        assert late[0] is None and late[-1] == 200, late
        assert statuses_of_charge({"kind": "status", "status": 500, "times": 2}) == [500, 500, 200]
        assert statuses_of_charge({"kind": "status", "status": 409}) == [409, 200]
    with check("the SDK leaves it to its caller to try again after a rate limit"):
        options = {"idempotency_key": f"limited-{dispute.id}"}
        params = {"amount": 900, "currency": "usd", "source": "tok_visa"}
        charge = lambda: client(retries=2).v1.charges.create(params, options)
        sandbox("/sandbox/faults", {"target": "stripe.write", "kind": "status", "status": 429})
        statuses = [call["status"] for call in charges_called(lambda: refused(stripe.RateLimitError, charge))]
        assert statuses == [429], statuses
        assert charge().id == charge().id
    with check("a failure after the effect stays under its key and is seen by reading"):
        dispute = disputed()
        sandbox("/sandbox/faults", {"target": "stripe.dispute_update", "kind": "status_after", "status": 500})
        params = {"evidence": {"uncategorized_text": "We sent it."}}
        refused(stripe.APIError, lambda: client(retries=1).v1.disputes.update(dispute.id, params))
        assert v1.disputes.retrieve(dispute.id).evidence_details.submission_count == 1


def statuses_of_charge(fault, timeout=30):
    """How the sandbox answers the SDK's calls for one charge, which a fault strikes first."""
    sandbox("/sandbox/faults", {"target": "stripe.write", **fault})
    note = f"charge {time.time_ns()}"
    params = {"amount": 900, "currency": "usd", "source": "tok_visa", "description": note}
    made = []
    calls = charges_called(lambda: made.append(client(retries=3, timeout=timeout).v1.charges.create(params)))
    assert len({call["headers"]["idempotency-key"] for call in calls}) == 1, calls
    same = [one.id for one in v1.charges.list({"limit": 100}).data if one.description == note]
    assert same == [made[0].id], same
    return [call["status"] for call in calls]


def charges_called(act):
    """The calls for charges that the sandbox gets meanwhile."""
    last = max(call["number"] for call in sandbox("/sandbox/requests")["items"])
    act()
    calls = sandbox("/sandbox/requests?path=/v1/charges&method=POST")["items"]
    return sorted((call for call in calls if call["number"] > last), key=lambda call: call["number"])


def check_events():
    with check("events are listed, read and typed"):
        events = v1.events.list({"limit": 5, "types": ["charge.dispute.created", "file.created"]})
        assert events.data and {one.type for one in events.data} <= {"charge.dispute.created", "file.created"}
        event = v1.events.retrieve(events.data[0].id)
        assert event.data.object.object in ("dispute", "file") and event.request is not None
    with check("a webhook endpoint is made, changed and deleted"):
        params = {"url": "https://payops.example/hook", "enabled_events": ["file.created"]}
        endpoint = v1.webhook_endpoints.create(params)
        assert endpoint.secret.startswith("whsec_")
        assert v1.webhook_endpoints.update(endpoint.id, {"disabled": True}).status == "disabled"
        assert endpoint.id in [one.id for one in v1.webhook_endpoints.list().data]
        assert v1.webhook_endpoints.delete(endpoint.id).deleted
    with check("a webhook's signature is the SDK's"):
        received, secret = one_delivery()
        body, signature = received
        event = stripe.Webhook.construct_event(body, signature, secret)
        assert event.type == "charge.dispute.created" and event.data.object.amount == 700
    with check("a changed webhook, another secret's and an old one are refused"):
        forged(body + b" ", signature, secret)
        forged(body, signature.replace("t=", "t=1"), secret)
        forged(body, signature, "whsec_other")
        with mock.patch("time.time", return_value=time.time() + 600):
            assert "Timestamp" in forged(body, signature, secret)


def forged(body, signature, secret):
    """Why a webhook is refused, which it must be."""
    try:
        stripe.Webhook.construct_event(body, signature, secret)
    except stripe.SignatureVerificationError as error:
        return str(error)
    raise AssertionError("it was accepted")


def one_delivery():
    """Body and signature of a webhook as it arrives, and its secret."""
    from http.server import BaseHTTPRequestHandler, HTTPServer

    received = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((body, self.headers["stripe-signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    server.timeout = WAIT_SECONDS
    url = f"http://127.0.0.1:{server.server_port}/hook"
    endpoint = v1.webhook_endpoints.create({"url": url, "enabled_events": ["charge.dispute.created"]})
    sandbox("/sandbox/disputes", {"amount": 700})
    server.handle_request()
    server.server_close()
    v1.webhook_endpoints.delete(endpoint.id)
    assert received, "no webhook arrived"
    return received[0], endpoint.secret


v1 = client().v1
for part in (check_disputes, check_files, check_errors, check_idempotency, check_events):
    part()
print(f"{failures} failures" if failures else "the SDK noticed nothing")
sys.exit(1 if failures else 0)
