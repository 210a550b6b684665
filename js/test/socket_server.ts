/** WebSockets on a server of `server.ts`, as the server in Python would serve them: a test says what it answers. */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Server } from "./server.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** One connection, as the server sees it. */
export class Peer {
  /** What the client has sent, tokens included. */
  readonly got: string[] = [];
  /** The close code that the client has sent. */
  closed: number | undefined;
  readonly offered: string[];
  readonly socket: Socket;
  onText: (text: string) => void = () => {};

  constructor(request: IncomingMessage, socket: Socket) {
    this.socket = socket;
    this.offered = (request.headers["sec-websocket-protocol"] ?? "").split(/,\s*/).filter(Boolean);
    const key = createHash("sha1").update(`${request.headers["sec-websocket-key"]}${GUID}`).digest("base64");
    const chosen = this.offered[0] ? `Sec-WebSocket-Protocol: ${this.offered[0]}\r\n` : "";
    socket.write(`HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key}\r\n${chosen}\r\n`);
    let rest = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("data", (piece) => {
      rest = Buffer.concat([rest, piece]);
      for (let frame = take(rest); frame; frame = take(rest)) {
        rest = rest.subarray(frame.size);
        if (frame.opcode === 8) {
          this.closed = frame.content.length ? frame.content.readUInt16BE() : 1005;
          socket.end(wrap(8, frame.content));
        } else if (frame.opcode === 1) {
          this.got.push(frame.content.toString());
          this.onText(frame.content.toString());
        }
      }
    });
  }

  send(text: string): void {
    this.socket.write(wrap(1, Buffer.from(text)));
  }

  accept(expiresIn = 60): void {
    this.send(`{"type":"daypass.accepted","expiresIn":${expiresIn}}`);
  }

  close(code: number, reason = ""): void {
    this.socket.write(wrap(8, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)])));
  }
}

/** Serve WebSockets; `connected` is called for each, and the peers are returned. */
export function serveSockets(server: Server, connected: (peer: Peer, count: number) => void): Peer[] {
  const peers: Peer[] = [];
  server.listening.on("upgrade", (request, socket: Socket) => {
    const peer = new Peer(request, socket);
    connected(peer, peers.push(peer));
  });
  return peers;
}

/** Accept each token that `isGood`, and close with 4401 for any other. */
export const accepting =
  (expiresIn = 60, isGood = (_token: string) => true) =>
  (peer: Peer): void => {
    peer.onText = (text) => {
      if (!text.startsWith('{"type":"daypass.token"')) return;
      isGood(JSON.parse(text).accessToken) ? peer.accept(expiresIn) : peer.close(4401, "token_expired");
    };
  };

function take(data: Buffer): { opcode: number; content: Buffer; size: number } | undefined {
  if (data.length < 2) return undefined;
  const short = data[1]! & 127;
  const at = short === 126 ? 4 : 2;
  if (data.length < at + 4) return undefined;
  const length = short === 126 ? data.readUInt16BE(2) : short;
  const size = at + 4 + length;
  if (data.length < size) return undefined;
  const mask = data.subarray(at, at + 4);
  const content = Buffer.from(data.subarray(at + 4, size).map((byte, index) => byte ^ mask[index % 4]!));
  return { opcode: data[0]! & 15, content, size };
}

const wrap = (opcode: number, content: Buffer) =>
  Buffer.concat([content.length < 126 ? Buffer.from([128 | opcode, content.length]) : Buffer.from([128 | opcode, 126, content.length >> 8, content.length & 255]), content]);
