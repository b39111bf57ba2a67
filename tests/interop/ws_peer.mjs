// The other side of the interoperation tests, on Node's `ws`: what `ws` does must live here.
//
//   node ws_peer.mjs server [DEFLATE]              echoes; prints its port, and how each connection
//                                                  ended
//   node ws_peer.mjs client URL CLOSER [DEFLATE]   runs a fixed conversation with our server, which
//                                                  CLOSER (client or server) ends; prints what came
//                                                  of it as JSON
//
// DEFLATE is a JSON object for the option perMessageDeflate of `ws`; without it nothing is compressed.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(process.env.NODE_MODULES + "/"));
const { WebSocket, WebSocketServer } = require("ws");

const [mode, ...rest] = process.argv.slice(2);
const deflate = (text) => (text ? { threshold: 0, ...JSON.parse(text) } : false);

if (mode === "server") {
  const server = new WebSocketServer({
    host: "127.0.0.1",
    port: 0,
    perMessageDeflate: deflate(rest[0]),
  });
  server.on("listening", () => console.log(server.address().port));
  server.on("connection", (socket) => {
    socket.on("close", (code, reason) => console.log(JSON.stringify([code, reason.toString()])));
    socket.on("message", (data, isBinary) => {
      if (!isBinary && data.toString() === "close me") socket.close(4321, "as you wish");
      else if (!isBinary && data.toString() === "in fragments") {
        socket.send("in ", { fin: false });
        socket.ping("between");
        socket.send("frag", { fin: false });
        socket.send("ments", { fin: true });
      } else socket.send(data, { binary: isBinary });
    });
  });
} else {
  const [url, closer, options] = rest;
  const socket = new WebSocket(url, { perMessageDeflate: deflate(options) });
  const result = { extensions: null, echoed: [], pong: null, close: null };
  const messages = ["", "hé€😀", "x".repeat(70000), Buffer.alloc(0), Buffer.alloc(70000, 7)];
  socket.on("upgrade", (response) => {
    result.extensions = response.headers["sec-websocket-extensions"] ?? "";
  });
  socket.on("open", () => {
    for (const message of messages) socket.send(message);
    socket.send("fragment ", { fin: false });
    socket.send("by ", { fin: false });
    socket.send("fragment", { fin: true });
    socket.ping("are you there");
    socket.send("in fragments");
  });
  socket.on("pong", (data) => (result.pong = data.toString()));
  socket.on("message", (data, isBinary) => {
    result.echoed.push([isBinary, data.length, isBinary ? data[0] ?? null : data.toString().slice(0, 20)]);
    if (result.echoed.length < messages.length + 2) return;
    if (closer === "server") socket.send("close me");
    else socket.close(4000, "done");
  });
  socket.on("close", (code, reason) => {
    result.close = [code, reason.toString()];
    console.log(JSON.stringify(result));
  });
}
