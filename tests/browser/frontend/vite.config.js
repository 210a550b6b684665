import { svelte } from "@sveltejs/vite-plugin-svelte";
import react from "@vitejs/plugin-react";
import vue from "@vitejs/plugin-vue";
import { readdirSync } from "node:fs";

process.env.NODE_ENV = "development"; // React's own checks, and StrictMode, which mounts everything twice

const old = process.env.REACT === "18";
const pages = old ? ["react_18.tsx"] : readdirSync("pages").filter((name) => !/^_|^react_18/.test(name));

export default {
  logLevel: "error",
  plugins: [react(), vue(), svelte()],
  resolve: { alias: old ? [{ find: /^(react|react-dom)(?=\/|$)/, replacement: "$1-18" }] : [] },
  define: { __VUE_OPTIONS_API__: false, __VUE_PROD_DEVTOOLS__: false, __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: true },
  build: {
    outDir: old ? "built/18" : "built",
    target: "es2022",
    minify: false,
    rollupOptions: {
      input: Object.fromEntries(pages.map((name) => [name.split(".")[0], `pages/${name}`])),
      output: { entryFileNames: "[name].js", chunkFileNames: "[name].js", assetFileNames: "[name][extname]" },
    },
  },
};
