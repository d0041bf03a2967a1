// How Vite builds the star chart: below DAIS_BASE, hashed names, no plug-in needed for React.
import { defineConfig } from "vite";

/** "star-chart", "/star-chart" and "/star-chart/" all mean the same place. */
function baseFrom(value: string | undefined): string {
  const inner = (value ?? "").replace(/^\/+|\/+$/g, "");
  return inner ? `/${inner}/` : "/";
}

export default defineConfig({
  base: baseFrom(process.env.DAIS_BASE),
  esbuild: { jsx: "automatic" },
  build: { target: "es2022", assetsInlineLimit: 0, reportCompressedSize: false },
});
