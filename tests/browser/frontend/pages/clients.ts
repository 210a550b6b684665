import { gql } from "@apollo/client";
import { api as apollo } from "../src/apollo";
import { api as axios } from "../src/axios";
import { api as ky } from "../src/ky";
import { connect } from "../src/live";
import { api as openapi } from "../src/openapi";
import { session } from "../src/session";
import { subscriptions } from "../src/subscriptions";
import { api as trpc } from "../src/trpc";
import { api as urql } from "../src/urql";
import { expose } from "./_world";

const ME = gql`{ me }`;

/** Each asks who the user is, and gives the name; an error is thrown. */
const ask: Record<string, () => Promise<unknown>> = {
  axios: async () => (await axios.get("/items")).data.user,
  ky: async () => (await ky.get("items").json<{ user: string }>()).user,
  openapi: async () => {
    const { data, error } = await openapi.GET("/api/items");
    if (error) throw error;
    return data.user;
  },
  trpc: () => trpc.me.query(),
  apollo: async () => (await apollo.query<{ me: string }>({ query: ME, fetchPolicy: "network-only" })).data!.me,
  urql: async () => {
    const { data, error } = await urql.query<{ me: string }>(`{ me }`, {}, { requestPolicy: "network-only" });
    if (error) throw error;
    return data!.me;
  },
};

expose(session, { ask, connect, subscriptions });
