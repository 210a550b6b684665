/** The body of a login: a name or an address, and a password; your `authenticate` may take more fields. */
export interface Credentials {
  username?: string;
  email?: string;
  password?: string;
  deviceName?: string;
  [other: string]: unknown;
}

/** The body of a confirmation: the password; your own check may take more fields. */
export interface Confirmation {
  password?: string;
  [other: string]: unknown;
}
