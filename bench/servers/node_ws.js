// Node's `ws`: node node_ws.js PORT echo|broadcast [deflate]
"use strict";
const path = require("node:path");
const { WebSocketServer, WebSocket } = require(
  path.join(__dirname, "..", "..", ".node", "node_modules", "ws"),
);

const [port, workload, deflate] = process.argv.slice(2);
const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(port),
  perMessageDeflate: deflate !== undefined,
});

server.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => {
    if (workload === "echo") {
      socket.send(data, { binary: isBinary });
      return;
    }
    for (const other of server.clients) {
      if (other.readyState === WebSocket.OPEN) other.send(data, { binary: isBinary });
    }
  });
});
