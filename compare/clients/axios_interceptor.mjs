// axios with the interceptor that most tutorials have.
import axios from "axios";
import { loop } from "./loop.mjs";

const { URL: url, ACCESS, REFRESH } = process.env;
let [access, refresh] = [ACCESS, REFRESH];
const client = axios.create({ baseURL: url });
client.interceptors.request.use((request) => {
  request.headers.Authorization = `Bearer ${access}`;
  return request;
});
client.interceptors.response.use(null, async (error) => {
  const request = error.config;
  if (error.response?.status !== 401 || request.retried) throw error;
  request.retried = true;
  const form = new URLSearchParams({ grant_type: "refresh_token", client_id: "app", refresh_token: refresh });
  const { data } = await axios.post(`${url}/oauth/token`, form);
  access = data.access_token;
  refresh = data.refresh_token;
  return client(request);
});
await loop(async () => (await client.get("/me")).status);
