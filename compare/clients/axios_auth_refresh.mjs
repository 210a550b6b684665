// axios with axios-auth-refresh, as its documentation has it.
import axios from "axios";
import { createAuthRefresh } from "axios-auth-refresh";
import { loop } from "./loop.mjs";

const { URL: url, ACCESS, REFRESH } = process.env;
let [access, refresh] = [ACCESS, REFRESH];
const client = axios.create({ baseURL: url });
client.interceptors.request.use((request) => {
  request.headers.Authorization = `Bearer ${access}`;
  return request;
});
createAuthRefresh(client, async (failed) => {
  const form = new URLSearchParams({ grant_type: "refresh_token", client_id: "app", refresh_token: refresh });
  const { data } = await axios.post(`${url}/oauth/token`, form);
  access = data.access_token;
  refresh = data.refresh_token;
  failed.response.config.headers.Authorization = `Bearer ${access}`;
});
await loop(async () => (await client.get("/me")).status);
