import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const target = "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  server: { proxy: { "/auth": { target }, "/api": { target, ws: true } } }, // a plain string would change the Host header
});
