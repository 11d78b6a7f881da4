// Signs deliveries with Svix's own library: a JSON line {secret, id, timestamp, body} in, a JSON line of headers out.
// `timestamp` is in Unix seconds. It answers each line, until stdin is closed.
import { createInterface } from "node:readline";
import { Webhook } from "svix";

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, id, timestamp, body } = JSON.parse(line);
  const signature = new Webhook(secret).sign(id, new Date(timestamp * 1000), body);
  const headers = { "svix-id": id, "svix-timestamp": String(timestamp), "svix-signature": signature };
  process.stdout.write(`${JSON.stringify(headers)}\n`);
}
