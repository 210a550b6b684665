// The session endpoints, at the origin of the pages: /auth/login, /auth/refresh, /auth/logout and so on.
import { pages } from "../../../daypass";

export { auth as GET, auth as POST, auth as DELETE };

const auth = (request: Request) => pages.auth(request);
