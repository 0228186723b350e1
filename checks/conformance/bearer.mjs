// Adds a token to each request, since the suite cannot send one: node bearer.mjs LISTEN-PORT TARGET-PORT, with the
// token on standard input. Everything else is passed on as it is, the name of the host included.
import { readFileSync } from "node:fs";
import { createServer, request } from "node:http";

const [port, target] = process.argv.slice(2).map(Number);
const token = readFileSync(0, "utf8").trim();

createServer((incoming, outgoing) => {
  const headers = { ...incoming.headers, authorization: `Bearer ${token}` };
  const onward = request(
    { host: "127.0.0.1", port: target, method: incoming.method, path: incoming.url, headers },
    (answer) => {
      outgoing.writeHead(answer.statusCode, answer.rawHeaders);
      outgoing.flushHeaders();
      answer.pipe(outgoing);
    },
  );
  // Who hangs up on this side does so on the other.
  outgoing.on("close", () => onward.destroy());
  onward.on("error", () => outgoing.destroy());
  incoming.pipe(onward);
}).listen(port, "127.0.0.1");
