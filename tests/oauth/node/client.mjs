// What all scripts here share: what they are told, and what they tell.

/** Where the issuer is, which clients there are, and the tokens that a session was begun with. */
export const told = JSON.parse(process.argv[2]);

/** Tell the test what came of it. */
export function tell(outcome) {
  process.stdout.write(JSON.stringify(outcome));
}

/** Return what is thrown by something that has to fail. */
export async function failure(attempt) {
  try {
    await attempt();
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}
