import type { ReactNode } from "react";
import { currentSession } from "../daypass";
import { Session } from "./session";

export const metadata = { title: "Notes" };

export default async function Layout({ children }: { children: ReactNode }) {
  const { user } = await currentSession();
  return (
    <html lang="en">
      <body>
        <Session user={user}>{children}</Session>
      </body>
    </html>
  );
}
