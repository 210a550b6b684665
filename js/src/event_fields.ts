/** Server-sent events, by the grammar of WHATWG HTML §9.2.6. Pure. */

export interface ServerSentEvent {
  /** `message` unless the server says otherwise. */
  type: string;
  data: string;
}

export interface EventFields {
  event(event: ServerSentEvent): void;
  /** A complete block that says where to continue; it may have no event. */
  id?(lastEventId: string): void;
  /** Milliseconds. */
  retry?(wait: number): void;
}

/** Return a function that takes the text of a stream, piece by piece. */
export function readEvents(take: EventFields): (text: string) => void {
  let rest = "";
  let type = "";
  let data: string[] = [];
  let id: string | undefined;
  const read = (line: string) => {
    if (line) {
      const [, name, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)!;
      if (name === "data") data.push(value);
      else if (name === "event") type = value;
      else if (name === "id" && !value.includes("\0")) id = value;
      else if (name === "retry" && /^\d+$/.test(value)) take.retry?.(+value);
      return;
    }
    const event = { type: type || "message", data: data.join("\n") };
    const some = data.length;
    if (id !== undefined) take.id?.(id);
    [type, data, id] = ["", [], undefined];
    if (some) take.event(event);
  };
  return (text) => {
    // a CR at the end may be the first half of a CRLF
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    for (const line of lines) read(line);
  };
}
