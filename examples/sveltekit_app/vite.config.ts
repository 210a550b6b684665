import adapter from "@sveltejs/adapter-node";
import { sveltekit } from "@sveltejs/kit/vite";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [
    sveltekit({
      adapter: adapter(),
      paths: { origin: process.env.ORIGIN }, // without it https://, and the host that the browser asked for
    }),
  ],
});
