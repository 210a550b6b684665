import { useUser } from "daypass/react";
import { useLoaderData } from "react-router";

export function Notes() {
  return <p id="notes">{`${useUser()?.username} sees ${useLoaderData<string[]>().join(", ")}`}</p>;
}
