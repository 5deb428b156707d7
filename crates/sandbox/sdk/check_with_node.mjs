// Uses a running sandbox through Stripe's own SDK for Node, which must not notice the difference.
//
//     node check_with_node.mjs http://127.0.0.1:40091 [KEY]
//
// `cargo xtask sdks` runs it with the SDK that it was written for, and the tests do the same. Prints one line for each check. Ends with 1 when one of them fails.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";

// Unlike `import`, this looks into NODE_PATH too.
const Stripe = createRequire(import.meta.url)("stripe");
const base = new URL(process.argv[2] ?? "http://127.0.0.1:40091");
const key = process.argv[3] ?? "sk_test_payops_sandbox";
const WAIT_MS = 20_000;

let failures = 0;

async function check(what, act) {
  try {
    await act();
    console.log(`ok    ${what}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL  ${what}: ${error.stack}`);
  }
}

/** Calls one of the sandbox's own endpoints. */
async function sandbox(path, body) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const response = await fetch(new URL(path, base), options);
  const text = await response.text();
  assert.ok(response.ok, `${path}: ${response.status} ${text}`);
  return text === "" ? null : JSON.parse(text);
}

function client({ secret = key, retries = 0, timeout = 30_000 } = {}) {
  const { hostname: host, port } = base;
  return new Stripe(secret, { host, port, protocol: "http", maxNetworkRetries: retries, timeout });
}

/** Reads until it is so, which must come true in time. */
async function until(read, isSo) {
  const end = Date.now() + WAIT_MS;
  for (;;) {
    const value = await read();
    if (isSo(value)) return value;
    assert.ok(Date.now() < end, `it did not come true: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The error of a call that must be refused with one of a class. */
async function refused(kind, call) {
  try {
    await call();
  } catch (error) {
    assert.ok(error instanceof kind, `${error.type} instead of ${kind.name}: ${error.message}`);
    return error;
  }
  throw new Error(`nothing was refused; ${kind.name} was expected`);
}

/** A small PDF with one page. */
function pdf() {
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>",
  ];
  let text = "%PDF-1.4\n";
  let table = "";
  objects.forEach((content, at) => {
    table += `${String(text.length).padStart(10, "0")} 00000 n \n`;
    text += `${at + 1} 0 obj\n${content}\nendobj\n`;
  });
  const end = `trailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n${text.length}\n%%EOF\n`;
  return Buffer.from(`${text}xref\n0 4\n0000000000 65535 f \n${table}${end}`, "latin1");
}

const stripe = client();
const { errors } = Stripe;
const CHARGE = { amount: 900, currency: "usd", source: "tok_visa" };

/** The dispute of a charge of a card. */
async function disputed(payment_method = "pm_card_createDispute") {
  const intent = await stripe.paymentIntents.create({
    amount: 6000,
    currency: "usd",
    payment_method,
    confirm: true,
    metadata: { payment_no: "P-1" },
    automatic_payment_methods: { enabled: true, allow_redirects: "never" },
  });
  const read = () => stripe.disputes.list({ payment_intent: intent.id });
  return (await until(read, (list) => list.data.length > 0)).data[0];
}

async function disputes() {
  await check("a magic card is disputed", async () => {
    const dispute = await disputed();
    assert.deepEqual([dispute.status, dispute.reason, dispute.amount], ["needs_response", "fraudulent", 6000]);
    assert.equal(dispute.balance_transactions[0].reporting_category, "dispute");
  });
  await check("a list is paged automatically and expanded", async () => {
    for (let amount = 1; amount < 8; amount += 1) await sandbox("/sandbox/disputes", { amount });
    const found = [];
    const query = { limit: 3, created: { gte: 1 }, expand: ["data.charge"] };
    for await (const one of stripe.disputes.list(query)) found.push(one);
    assert.ok(found.length >= 8);
    assert.equal(new Set(found.map((one) => one.id)).size, found.length);
    assert.ok(found.every((one) => one.charge.object === "charge"));
    const before = await stripe.disputes.list({ limit: 2, ending_before: found.at(-1).id });
    assert.equal(before.data.at(-1).id, found.at(-2).id);
  });
  await check("evidence is staged, sent, and wins", async () => {
    const { id } = await disputed();
    const evidence = { customer_name: "Anna", uncategorized_text: "winning_evidence" };
    const staged = await stripe.disputes.update(id, { evidence, submit: false, metadata: { case: "7" } });
    assert.equal(staged.status, "needs_response");
    assert.equal(staged.evidence_details.has_evidence, true);
    const sent = await stripe.disputes.update(id, { submit: true });
    assert.equal(sent.status, "under_review");
    await sandbox("/sandbox/clock", { advance_seconds: 5 });
    const won = await stripe.disputes.retrieve(id, { expand: ["charge.balance_transaction"] });
    assert.equal(won.status, "won");
    assert.equal(won.charge.balance_transaction.net, 6000 - 204);
    assert.equal(won.metadata.case, "7");
  });
  await check("a dispute is closed", async () => {
    const { id } = await disputed("pm_card_createDisputeProductNotReceived");
    assert.equal((await stripe.disputes.close(id)).status, "lost");
    const error = await refused(errors.StripeInvalidRequestError, () => stripe.disputes.close(id));
    assert.equal(error.message, "This dispute is already closed");
  });
  await check("an early fraud warning is read", async () => {
    await stripe.charges.create({ amount: 900, currency: "usd", source: "pm_card_createIssuerFraudRecord" });
    const list = await until(() => stripe.radar.earlyFraudWarnings.list(), ({ data }) => data.length > 0);
    assert.equal(list.data[0].actionable, true);
  });
  await check("a refund of a disputed charge is refused, and of another one made", async () => {
    const { charge } = await disputed();
    const error = await refused(errors.StripeInvalidRequestError, () => stripe.refunds.create({ charge }));
    assert.equal(error.code, "charge_disputed");
    const { id } = await stripe.charges.create(CHARGE);
    assert.equal((await stripe.refunds.create({ charge: id, amount: 400 })).status, "succeeded");
    assert.equal((await stripe.charges.retrieve(id)).amount_refunded, 400);
  });
}

async function files() {
  let file;
  await check("a PDF is uploaded, read and attached", async () => {
    const data = pdf();
    file = await stripe.files.create({
      purpose: "dispute_evidence",
      file: { data, name: "receipt.pdf", type: "application/octet-stream" },
    });
    assert.deepEqual([file.type, file.filename, file.size], ["pdf", "receipt.pdf", data.length]);
    assert.equal((await stripe.files.retrieve(file.id)).purpose, "dispute_evidence");
    assert.ok((await stripe.files.list({ limit: 100 })).data.some((one) => one.id === file.id));
    const { id } = await disputed();
    const evidence = { receipt: file.id };
    const params = { evidence, submit: false, expand: ["evidence.receipt"] };
    const staged = await stripe.disputes.update(id, params);
    assert.equal(staged.evidence.receipt.id, file.id);
  });
  await check("a file link opens the file to anybody", async () => {
    const expires_at = file.created + 10 ** 8;
    const link = await stripe.fileLinks.create({ file: file.id, expires_at, metadata: { for: "bank" } });
    const content = Buffer.from(await (await fetch(link.url)).arrayBuffer());
    assert.deepEqual(content, pdf());
    assert.equal((await stripe.fileLinks.update(link.id, { expires_at: "now" })).expired, true);
    assert.equal((await fetch(link.url)).status, 404);
    assert.equal((await stripe.fileLinks.retrieve(link.id)).metadata.for, "bank");
    const links = await stripe.fileLinks.list({ file: file.id });
    assert.deepEqual(links.data.map((one) => one.id), [link.id]);
  });
  await check("reports are run and downloaded", async () => {
    assert.ok((await report("balance.summary.1")).startsWith("category,"));
    const columns = ["balance_transaction_id", "gross", "net"];
    const lines = (await report("balance_change_from_activity.itemized.3", { columns })).trim().split("\n");
    assert.equal(lines[0].trim(), "balance_transaction_id,gross,net");
    assert.ok(lines.length > 1);
  });
}

/** The file of a report over the last day that there are data of. */
async function report(kind, more = {}) {
  const { data_available_end: interval_end } = await stripe.reporting.reportTypes.retrieve(kind);
  const parameters = { interval_start: interval_end - 86_400, interval_end, ...more };
  const run = await stripe.reporting.reportRuns.create({ report_type: kind, parameters });
  assert.deepEqual([run.status, run.result], ["pending", null]);
  const read = () => stripe.reporting.reportRuns.retrieve(run.id);
  const done = await until(read, (one) => one.status === "succeeded");
  const list = await stripe.reporting.reportRuns.list({ limit: 100 });
  assert.ok(list.data.some((one) => one.id === run.id));
  const content = await (await fetch(done.result.url, { headers: { authorization: `Bearer ${key}` } })).text();
  assert.equal(content.length, done.result.size);
  return content;
}

async function refusals() {
  const list = (query) => stripe.disputes.list(query);
  await check("wrong parameters and what is not there are invalid requests", async () => {
    const wrong = await refused(errors.StripeInvalidRequestError, () => list({ limit: "abc" }));
    assert.deepEqual([wrong.code, wrong.param], ["parameter_invalid_integer", "limit"]);
    const unknown = await refused(errors.StripeInvalidRequestError, () => list({ customer: "cus_1" }));
    assert.equal(unknown.code, "parameter_unknown");
    const missing = await refused(errors.StripeInvalidRequestError, () => stripe.disputes.retrieve("du_nope"));
    assert.deepEqual([missing.statusCode, missing.code, missing.param], [404, "resource_missing", "dispute"]);
    assert.match(missing.requestId, /^req_/);
  });
  await check("a wrong key is an authentication error", async () => {
    const stranger = client({ secret: "sk_test_wrong" });
    await refused(errors.StripeAuthenticationError, () => stranger.disputes.list());
  });
  await check("a refused permission is a permission error", async () => {
    await sandbox("/sandbox/faults", { target: "stripe.disputes", kind: "status", status: 403 });
    await refused(errors.StripePermissionError, list);
  });
  await check("a declined card is a card error", async () => {
    const params = { amount: 900, currency: "usd", source: "tok_chargeDeclined" };
    const error = await refused(errors.StripeCardError, () => stripe.charges.create(params));
    assert.deepEqual([error.code, error.decline_code], ["card_declined", "generic_decline"]);
  });
  await check("too many calls are a rate limit error", async () => {
    await sandbox("/sandbox/rate_limit", { per_second: 0 });
    try {
      const error = await refused(errors.StripeRateLimitError, list);
      assert.equal(error.headers["stripe-rate-limited-reason"], "global-rate");
    } finally {
      await sandbox("/sandbox/rate_limit", { per_second: null });
    }
  });
  await check("a failure of the server is an API error", async () => {
    await sandbox("/sandbox/faults", { target: "stripe.disputes", kind: "status", status: 500 });
    await refused(errors.StripeAPIError, list);
  });
  await check("a connection that breaks is a connection error", async () => {
    await sandbox("/sandbox/faults", { target: "stripe.disputes", kind: "slow", ms: 10_000 });
    await refused(errors.StripeConnectionError, () => client({ timeout: 500 }).disputes.list());
  });
}

async function idempotency() {
  const { id } = await disputed();
  const evidence = { uncategorized_text: "We sent it." };
  const idempotencyKey = `submit-${id}`;
  const submit = (given) => stripe.disputes.update(id, { evidence: given }, { idempotencyKey });
  await check("a repeat under the same key has no second effect", async () => {
    const first = await submit(evidence);
    const again = await submit(evidence);
    assert.deepEqual({ ...again }, { ...first });
    assert.equal(again.lastResponse.headers["idempotent-replayed"], "true");
    assert.equal((await stripe.disputes.retrieve(id)).evidence_details.submission_count, 1);
  });
  await check("other parameters under the same key are an idempotency error", async () => {
    const other = { uncategorized_text: "Another story." };
    await refused(errors.StripeIdempotencyError, () => submit(other));
  });
  await check("the SDK's own retries end in one effect", async () => {
    // The first answer comes too late for the SDK, which then asks again.
    const late = await statusesOfCharge({ kind: "slow_after", ms: 20_000 }, 2000);
    assert.deepEqual([late[0], late.at(-1)], [null, 200]);
    assert.deepEqual(await statusesOfCharge({ kind: "status", status: 500, times: 2 }), [500, 500, 200]);
    assert.deepEqual(await statusesOfCharge({ kind: "status", status: 409 }), [409, 200]);
  });
  await check("the SDK leaves it to its caller to try again after a rate limit", async () => {
    const limited = { idempotencyKey: `limited-${id}` };
    const charge = () => client({ retries: 2 }).charges.create(CHARGE, limited);
    await sandbox("/sandbox/faults", { target: "stripe.write", kind: "status", status: 429 });
    const calls = await chargesCalled(() => refused(errors.StripeRateLimitError, charge));
    assert.deepEqual(calls.map((call) => call.status), [429]);
    assert.equal((await charge()).id, (await charge()).id);
  });
  await check("a failure after the effect stays under its key and is seen by reading", async () => {
    const other = await disputed();
    const fault = { target: "stripe.dispute_update", kind: "status_after", status: 500 };
    await sandbox("/sandbox/faults", fault);
    const update = () => client({ retries: 1 }).disputes.update(other.id, { evidence });
    await refused(errors.StripeAPIError, update);
    const { evidence_details } = await stripe.disputes.retrieve(other.id);
    assert.equal(evidence_details.submission_count, 1);
  });
}

/** How the sandbox answers the SDK's calls for one charge, which a fault strikes first. */
async function statusesOfCharge(fault, timeout = 30_000) {
  await sandbox("/sandbox/faults", { target: "stripe.write", ...fault });
  const description = `charge ${randomUUID()}`;
  let charge;
  const calls = await chargesCalled(async () => {
    charge = await client({ retries: 3, timeout }).charges.create({ ...CHARGE, description });
  });
  assert.equal(new Set(calls.map((call) => call.headers["idempotency-key"])).size, 1);
  const { data } = await stripe.charges.list({ limit: 100 });
  assert.deepEqual(data.filter((one) => one.description === description).map((one) => one.id), [charge.id]);
  return calls.map((call) => call.status);
}

/** The calls for charges that the sandbox gets meanwhile. */
async function chargesCalled(act) {
  const last = Math.max(...(await sandbox("/sandbox/requests")).items.map((call) => call.number));
  await act();
  const { items } = await sandbox("/sandbox/requests?path=/v1/charges&method=POST");
  return items.filter((call) => call.number > last).sort((one, other) => one.number - other.number);
}

async function events() {
  await check("events are listed and read", async () => {
    const types = ["charge.dispute.created", "file.created"];
    const { data } = await stripe.events.list({ limit: 5, types });
    assert.ok(data.length > 0 && data.every((one) => types.includes(one.type)));
    assert.equal((await stripe.events.retrieve(data[0].id)).id, data[0].id);
  });
  await check("a webhook endpoint is made, changed and deleted", async () => {
    const endpoint = await stripe.webhookEndpoints.create({
      url: "https://payops.example/hook",
      enabled_events: ["file.created"],
    });
    assert.ok(endpoint.secret.startsWith("whsec_"));
    assert.equal((await stripe.webhookEndpoints.update(endpoint.id, { disabled: true })).status, "disabled");
    assert.ok((await stripe.webhookEndpoints.list()).data.some((one) => one.id === endpoint.id));
    assert.equal((await stripe.webhookEndpoints.del(endpoint.id)).deleted, true);
  });
  let webhook;
  await check("a webhook's signature is the SDK's", async () => {
    webhook = await oneDelivery();
    const event = stripe.webhooks.constructEvent(webhook.body, webhook.signature, webhook.secret);
    assert.deepEqual([event.type, event.data.object.amount], ["charge.dispute.created", 700]);
  });
  await check("a changed webhook, another secret's and an old one are refused", async () => {
    const { body, signature, secret } = webhook;
    await forged(Buffer.concat([body, Buffer.from(" ")]), signature, secret);
    await forged(body, signature.replace("t=", "t=1"), secret);
    await forged(body, signature, "whsec_other");
    const error = await forged(body, signature, secret, Date.now() + 600_000);
    assert.match(error.message, /Timestamp/);
  });
}

/** Why a webhook is refused, which it must be; as of a time in milliseconds, or now. */
function forged(body, signature, secret, at = undefined) {
  const verify = async () => stripe.webhooks.constructEvent(body, signature, secret, 300, undefined, at);
  return refused(errors.StripeSignatureVerificationError, verify);
}

/** Body and signature of a webhook as it arrives, and its secret. */
async function oneDelivery() {
  let arrived;
  const arrival = new Promise((resolve) => (arrived = resolve));
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    response.end();
    arrived({ body: Buffer.concat(parts), signature: request.headers["stripe-signature"] });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}/hook`;
  const enabled_events = ["charge.dispute.created"];
  const endpoint = await stripe.webhookEndpoints.create({ url, enabled_events });
  await sandbox("/sandbox/disputes", { amount: 700 });
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error("no webhook arrived")), WAIT_MS).unref();
  });
  try {
    return { ...(await Promise.race([arrival, late])), secret: endpoint.secret };
  } finally {
    assert.equal((await stripe.webhookEndpoints.del(endpoint.id)).deleted, true);
    server.close();
    server.closeAllConnections();
  }
}

for (const part of [disputes, files, refusals, idempotency, events]) await part();
console.log(failures > 0 ? `${failures} failures` : "the SDK noticed nothing");
process.exit(failures > 0 ? 1 : 0);
