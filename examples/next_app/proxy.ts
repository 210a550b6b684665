import { type NextRequest, NextResponse } from "next/server";
import { pages } from "./daypass";

export async function proxy(request: NextRequest) {
  const login = await pages.processRequest(request);
  return login.refusal ?? login.processResponse(NextResponse.next({ request: { headers: login.headers } }));
}

export const config = { matcher: ["/((?!_next/static|_next/image|auth/|favicon.ico).*)"] };
