import { useMutation, useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { addNote, followChanges, notes, queryClient } from "./notes";

export function NotesPage() {
  const { data, error } = useQuery(notes);
  const adding = useMutation({ mutationFn: addNote, onSuccess: () => queryClient.invalidateQueries(notes) });
  useEffect(followChanges, []);
  return (
    <>
      <form action={(form) => adding.mutate(String(form.get("text")))}>
        <label>
          Note <input name="text" required />
        </label>
        <button>Add</button>
      </form>
      {(error ?? adding.error) && <p role="alert">The server cannot be reached. Please try again.</p>}
      <ul>
        {data?.map(({ by, text }, index) => (
          <li key={index}>
            {text} <small>{by}</small>
          </li>
        ))}
      </ul>
    </>
  );
}
