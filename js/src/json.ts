export type JsonObject = Record<string, unknown>;

/** Read a JSON object; `{}` if there is nothing at all, `undefined` if it is something else. */
export function readObject(text: string): JsonObject | undefined {
  try {
    const value = JSON.parse(text.trim() || "{}");
    return Object(value) === value ? value : undefined;
  } catch {
    return undefined;
  }
}
