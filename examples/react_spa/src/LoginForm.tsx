import { CredentialsRejected } from "daypass";
import { useSession } from "daypass/react";
import { useActionState } from "react";

export function LoginForm() {
  const { session } = useSession();
  const [message, logIn, pending] = useActionState(async (_: string, form: FormData) => {
    try {
      await session.login({ username: String(form.get("username")), password: String(form.get("password")) });
      return "";
    } catch (error) {
      return error instanceof CredentialsRejected ? "Wrong name or password." : "Login failed. Please try again.";
    }
  }, "");
  return (
    <form action={logIn}>
      <label>
        Name <input name="username" autoComplete="username" required />
      </label>
      <label>
        Password <input name="password" type="password" autoComplete="current-password" required />
      </label>
      <button disabled={pending}>Log in</button>
      <p role="alert">{message}</p>
    </form>
  );
}
