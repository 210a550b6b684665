export type JsonObject = Record<string, unknown>;

/** Read a JSON object; `{}` if the text is empty, `undefined` if it is not an object. */
export function readObject(text: string): JsonObject | undefined {
  try {
    const value = JSON.parse(text.trim() || "{}");
    return Object(value) === value ? value : undefined;
  } catch {
    return undefined;
  }
}
