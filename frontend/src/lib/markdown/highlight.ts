import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import cpp from "highlight.js/lib/languages/cpp";
import css from "highlight.js/lib/languages/css";
import go from "highlight.js/lib/languages/go";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";

export type Highlight = (code: string, language: string) => string | null;

const languages = { bash, cpp, css, go, java, javascript, json, python, rust, sql, typescript, xml, yaml };
for (const [name, definition] of Object.entries(languages)) hljs.registerLanguage(name, definition);
hljs.registerAliases(["c", "h", "hpp"], { languageName: "cpp" });
hljs.registerAliases(["sh", "shell", "console", "zsh"], { languageName: "bash" });

const TOO_LONG = 30_000;

/** Escaped HTML with `hljs-…` classes; null for a language that is not known (no guessing). */
export const highlight: Highlight = (code, language) =>
  hljs.getLanguage(language) && code.length < TOO_LONG ? hljs.highlight(code, { language, ignoreIllegals: true }).value : null;
