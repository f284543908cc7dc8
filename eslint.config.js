// What the linter asks for beyond the compiler: promises that nobody waits for, switches that forget a
// case, tests that skip in silence, files and functions that grow too long to be read at once.

import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

/** Globals of Node that plain JavaScript files use; TypeScript files have the compiler for that. */
const NODE_GLOBALS = Object.fromEntries(
  [
    "AbortController",
    "AbortSignal",
    "Buffer",
    "clearInterval",
    "clearTimeout",
    "console",
    "fetch",
    "performance",
    "process",
    "queueMicrotask",
    "setImmediate",
    "setInterval",
    "setTimeout",
    "structuredClone",
    "TextDecoder",
    "TextEncoder",
    "URL",
    "WebAssembly",
  ].map((name) => [name, "readonly"]),
);

const SOURCES = ["src/**/*.ts", "demo/**/*.ts"];
const TESTS = ["test/**/*.ts", "bench/**/*.ts", "vitest.config.ts", "vite.config.ts"];
const SCRIPTS = ["scripts/**/*.mjs", "wasm/**/*.mjs", "bench/**/*.mjs", "test/**/*.mjs", "*.js"];

const lengthLimits = (lines, linesPerFunction) => ({
  "max-lines": ["error", { max: lines, skipBlankLines: true, skipComments: true }],
  "max-lines-per-function": [
    "error",
    { max: linesPerFunction, skipBlankLines: true, skipComments: true },
  ],
});

export default defineConfig(
  globalIgnores([
    "dist/",
    "build/",
    "coverage/",
    "wasm/out/",
    "vendor/libslirp/upstream/",
    "types/",
  ]),
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-warning-comments": ["error", { terms: ["todo", "fixme", "xxx"] }],
      "object-shorthand": "error",
      "prefer-const": "error",
    },
  },
  {
    files: SCRIPTS,
    languageOptions: { globals: NODE_GLOBALS },
    rules: lengthLimits(300, 60),
  },
  {
    files: [...SOURCES, ...TESTS],
    extends: [tseslint.configs.strict],
    languageOptions: {
      parserOptions: {
        project: [
          "src/tsconfig.*.json",
          "src/*/tsconfig.json",
          "src/nics/tsconfig.qemu.json",
          "src/backends/tsconfig.tap.json",
          "test/tsconfig.json",
          "test/page/site/tsconfig.json",
          "demo/tsconfig.json",
        ],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/consistent-type-imports": ["error", { disallowTypeAnnotations: false }],
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      // An index into a typed array that a loop has already bounded: on the path of a frame, a check that
      // cannot fail is only cost.
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "@typescript-eslint/only-throw-error": "error",
      "@typescript-eslint/prefer-promise-reject-errors": "error",
      "@typescript-eslint/return-await": ["error", "error-handling-correctness-only"],
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
  {
    files: SOURCES,
    extends: [tseslint.configs.recommendedTypeCheckedOnly],
    rules: {
      ...lengthLimits(300, 60),
      "no-console": "error",
      // What must be asynchronous by contract need not wait for anything.
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
  {
    // Tests import it too, and their project knows no DOM.
    files: ["src/browser/**/*.ts"],
    languageOptions: { parserOptions: { project: ["src/browser/tsconfig.json"] } },
  },
  {
    files: ["src/worker/**/*.ts"],
    languageOptions: { parserOptions: { project: ["src/worker/tsconfig.json"] } },
  },
  {
    files: TESTS,
    rules: {
      "no-restricted-syntax": [
        "error",
        {
          selector:
            "MemberExpression[object.name=/^(it|test|describe|suite)$/][property.name=/^(only|skip|todo|fails)$/]",
          message:
            "A test that cannot run here skips by ctx.skip('why'); nothing is left out in silence.",
        },
      ],
    },
  },
);
