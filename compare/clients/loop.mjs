// The loop of a client program: reads how many requests to send at once, and prints what became of them.
import { createInterface } from "node:readline";

export async function loop(ask) {
  const outcome = () => ask().catch((error) => error.response?.status ?? error.name);
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await Promise.all(Array.from({ length: Number(line) }, outcome))));
  }
}
