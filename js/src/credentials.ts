/** What the login endpoint is sent: a name or an address, and a password; an application's own may want more. */
export interface Credentials {
  username?: string;
  email?: string;
  password?: string;
  deviceName?: string;
  [other: string]: unknown;
}

/** What `session.confirm` sends: the password, and what else an application's own check wants. */
export interface Confirmation {
  password?: string;
  [other: string]: unknown;
}
