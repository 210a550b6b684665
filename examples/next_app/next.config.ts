import { join } from "node:path";
import type { NextConfig } from "next";

const repository = join(import.meta.dirname, "../.."); // where `daypass` is linked from; yours comes from npm: leave it out

const config: NextConfig = {
  outputFileTracingRoot: repository,
  poweredByHeader: false,
  turbopack: { root: repository },
};

export default config;
