// Print the session cookie that NextAuth.js 4 sets for a user: node encode_4.mjs USER.
import jwt from "next-auth-4/jwt";

process.stdout.write(await jwt.encode({ token: { sub: process.argv[2], sid: "session" }, secret: process.env.AUTH_SECRET }));
