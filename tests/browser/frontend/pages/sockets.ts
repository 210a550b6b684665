import { connectHub } from "../src/signalr";
import { session } from "../src/session";
import { connectSocketIO } from "../src/socket_io";
import { expose } from "./_world";

expose(session, { connectHub, connectSocketIO });
