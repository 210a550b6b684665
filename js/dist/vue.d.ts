export type { Session, Snapshot, Status, User } from "./index.js";
export {};
