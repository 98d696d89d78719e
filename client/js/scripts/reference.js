/**
 * Writes docs/client-reference.md: options, events, methods and properties, as the types and their
 * comments have them. A member that is tagged `@internal` is left out.
 */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import ts from "typescript";

const FOLDER = new URL("../", import.meta.url);
export const PAGE = new URL("../../docs/client-reference.md", FOLDER);

/**
 * A part of the page: a class with what belongs to it, or types alone.
 * @typedef {object} Section
 * @property {string} title
 * @property {string} file
 * @property {string} [name] of the class
 * @property {[title: string, file: string, type: string][]} [types] whose properties are listed
 */

/** @type {Section[]} */
const SECTIONS = [
  {
    title: "Conversation",
    file: "conversation.js",
    name: "Conversation",
    types: [
      ["Options", "conversation-types.js", "ConversationOptions"],
      ["Events", "conversation-types.js", "Events"],
      ["What a function of `tools` is told", "page-tools.js", "Call"],
      ["Payload of `state`", "reconnector-types.js", "StateChange"],
      ["Options of `startSpeaking`", "utterances.js", "Speaking"],
      ["Settings of `startHandsFree`", "hands-free.js", "HandsFreeSettings"],
    ],
  },
  {
    title: "Turn",
    file: "turn.js",
    name: "Turn",
    types: [["What `await turn` gives", "turn.js", "TurnResult"]],
  },
  { title: "Problem", file: "problem.js", name: "Problem" },
  {
    title: "Microphone",
    file: "microphone.js",
    name: "Microphone",
    types: [
      ["Events", "microphone.js", "MicrophoneEvents"],
      ["A detector of your own", "microphone.js", "Detector"],
      ["A microphone of your own", "conversation-types.js", "AudioInput"],
    ],
  },
  {
    title: "Player",
    file: "player.js",
    name: "Player",
    types: [
      ["Events", "player.js", "PlayerEvents"],
      ["A player of your own", "conversation-types.js", "AudioOutput"],
    ],
  },
  {
    title: "ConversationView",
    file: "conversation-view.js",
    name: "ConversationView",
    types: [
      ["What `snapshot` gives", "conversation-view.js", "Picture"],
      ["A turn of it", "conversation-view.js", "TurnPicture"],
    ],
  },
];

/** Types that the tables name. @type {[file: string, type: string][]} */
const ALIASES = [
  ["reconnector-types.js", "State"],
  ["reconnector-types.js", "Asked"],
  ["reconnector-types.js", "HttpUrl"],
  ["page-tools.js", "PageTool"],
  ["conversation-types.js", "Ending"],
  ["conversation-view.js", "ToolPicture"],
  ["presence.js", "Presence"],
  ["microphone-share.js", "Interruption"],
  ["capture.js", "Voice"],
  ["capture.js", "VoiceSettings"],
  ["hands-free.js", "Detection"],
  ["player.js", "PlayerState"],
];

const HEAD = `# The browser client: reference

<!-- Generated from the types of client/js by \`npm run build:reference\`; do not edit. -->

[client.md](client.md) is the guide. \`new\` makes a \`Conversation\`, a \`Microphone\`, a \`Player\` and a
\`ConversationView\`. \`on(name, listener)\` of the first three adds a listener for an event; it returns a
function that removes it. Types without a table here are those of the
[protocol](protocol.md#server-to-client), in [\`messages.d.ts\`](../client/js/messages.d.ts). A \`?\` marks
what may be left out.
`;

const FLAGS =
  ts.TypeFormatFlags.NoTruncation |
  ts.TypeFormatFlags.UseAliasDefinedOutsideCurrentScope |
  ts.TypeFormatFlags.UseSingleQuotesForStringLiteralType;

class Reference {
  constructor() {
    const path = fileURLToPath(new URL("tsconfig.types.json", FOLDER));
    const { config } = ts.readConfigFile(path, ts.sys.readFile);
    const { fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, fileURLToPath(FOLDER));
    this.program = ts.createProgram(fileNames, options);
    this.checker = this.program.getTypeChecker();
  }

  page() {
    const sections = SECTIONS.map((section) => this.#section(section));
    const rows = ALIASES.map(([file, name]) => this.#alias(this.#symbol(file, name)));
    const types = `## Types\n\n${table(["type", "is", "meaning"], rows)}`;
    return `${HEAD}\n${[...sections, types].join("\n")}`;
  }

  /** @param {Section} section */
  #section({ title, file, name, types = [] }) {
    const parts = [`## ${title}\n`];
    if (name) parts.push(this.#class(this.#symbol(file, name)));
    for (const [heading, from, type] of types) {
      const properties = this.#properties(this.#typeOf(this.#symbol(from, type)));
      const isEvents = type.endsWith("Events");
      const head = isEvents ? ["event", "payload", "when"] : ["name", "type", "meaning"];
      parts.push(`### ${heading}\n`, table(head, properties));
    }
    return `${parts.join("\n")}`;
  }

  /** @param {ts.Symbol} symbol of a type */
  #alias(symbol) {
    const type = this.#typeOf(symbol);
    const isObject = type.getProperties().length > 0 && !type.isUnion();
    const fields = this.#properties(type).map(([name = "", shown = ""]) => {
      return `${name.slice(1, -1)}: ${shown.slice(1, -1)}`;
    });
    const expanded = this.checker.typeToString(type, undefined, FLAGS | ts.TypeFormatFlags.InTypeAlias);
    const shown = isObject ? `{${fields.join(", ")}}` : expanded.replaceAll("'", '"');
    return [code(symbol.name), code(shown), text(symbol, this.checker)];
  }

  /** @param {ts.Symbol} symbol of a class */
  #class(symbol) {
    const rows = [];
    const declaration = /** @type {ts.ClassDeclaration} */ (symbol.valueDeclaration);
    const [constructor] = declaration.members.filter(ts.isConstructorDeclaration);
    const options = constructor && !isInternalNode(constructor) ? this.#optionsOf(constructor) : [];
    const members = this.#typeOf(symbol).getProperties();
    for (const member of members) {
      const isOwn = member.declarations?.some(({ parent }) => inside(parent, declaration));
      if (isOwn && !isInternal(member)) rows.push(this.#member(member));
    }
    const parts = [`${text(symbol, this.checker)}\n`.trimStart()];
    const head = ["name", "type", "meaning"];
    if (options.length) parts.push("### Options of the constructor\n", table(head, options));
    if (rows.length) parts.push("### Methods and properties\n", table(head, rows));
    return parts.filter((part) => part.trim()).join("\n");
  }

  /** @param {ts.ConstructorDeclaration} constructor whose last parameter is an object of options */
  #optionsOf(constructor) {
    const last = constructor.parameters.at(-1);
    if (!last || !ts.isObjectBindingPattern(last.name)) return [];
    const type = this.checker.getTypeAtLocation(last);
    return this.#properties(this.checker.getNonNullableType(type));
  }

  /** @param {ts.Symbol} member */
  #member(member) {
    const type = this.checker.getTypeOfSymbol(member);
    const [signature] = type.getCallSignatures();
    const meaning = [text(member, this.checker), ...tags(member)].join(" ");
    if (!signature) return [`\`${member.name}\``, code(this.#shown(type)), meaning];
    const given = signature.getParameters().map((parameter) => {
      const declared = declarationOf(parameter);
      const isOptional = declared && this.checker.isOptionalParameter(declared);
      return `${declared && !ts.isIdentifier(declared.name) ? "options" : parameter.name}${isOptional ? "?" : ""}`;
    });
    const name = member.name.startsWith("__@") ? "[Symbol.asyncIterator]" : member.name;
    return [`\`${name}(${given.join(", ")})\``, code(this.#shown(signature.getReturnType())), meaning];
  }

  /** @param {ts.Type} type */
  #properties(type) {
    return type.getProperties().map((property) => {
      const isOptional = Boolean(property.flags & ts.SymbolFlags.Optional);
      const shown = written(property) ?? this.#shown(this.checker.getTypeOfSymbol(property));
      const name = `\`${property.name}${isOptional ? "?" : ""}\``;
      return [name, code(shown), text(property, this.checker)];
    });
  }

  /** @param {ts.Type} type */
  #shown(type) {
    return this.checker
      .typeToString(type, undefined, FLAGS)
      .replace(/import\("[^"]+"\)\./g, "")
      .replaceAll("'", '"');
  }

  /** @param {ts.Symbol} symbol */
  #typeOf(symbol) {
    return this.checker.getDeclaredTypeOfSymbol(symbol);
  }

  /** @param {string} file @param {string} name of what it exports */
  #symbol(file, name) {
    const source = this.program.getSourceFile(fileURLToPath(new URL(file, FOLDER)));
    const module = source && this.checker.getSymbolAtLocation(source);
    const found = module && this.checker.getExportsOfModule(module).find((each) => each.name === name);
    if (!found) throw new Error(`${file} exports no ${name}.`);
    return found;
  }
}

/** @param {ts.Node | undefined} node @param {ts.Node} outer @returns {boolean} */
function inside(node, outer) {
  return node === outer || (node !== undefined && inside(node.parent, outer));
}

/** @param {ts.Symbol} member of a class */
function isInternal(member) {
  const isPrivate = member.declarations?.some((declaration) => {
    const name = ts.getNameOfDeclaration(declaration);
    return name !== undefined && ts.isPrivateIdentifier(name);
  });
  return isPrivate || member.getJsDocTags().some(({ name }) => name === "internal");
}

/**
 * A type as its comment has it, which is shorter than what TypeScript makes of it.
 * @param {ts.Symbol} property
 */
function written({ declarations = [] }) {
  const [declaration] = declarations;
  if (!declaration || !ts.isJSDocPropertyLikeTag(declaration)) return undefined;
  return plain(declaration.typeExpression?.getText() ?? "{unknown}");
}

/** @param {string} expression with its braces */
function plain(expression) {
  return expression
    .slice(1, -1)
    .replace(/\n\s*\*/g, " ")
    .replace(/\s+/g, " ")
    .replace(/import\("[^"]+"\)\./g, "")
    .replace(/^\{ ?|(?<=\}) ?$/g, (found) => found.trim());
}

/** @param {ts.Symbol} parameter */
function declarationOf({ valueDeclaration }) {
  return valueDeclaration && ts.isParameter(valueDeclaration) ? valueDeclaration : undefined;
}

/** @param {ts.Node} node */
function isInternalNode(node) {
  return ts.getJSDocTags(node).some(({ tagName }) => tagName.text === "internal");
}

/** @param {ts.Symbol} symbol @param {ts.TypeChecker} checker */
function text(symbol, checker) {
  return ts.displayPartsToString(symbol.getDocumentationComment(checker)).replace(/\s+/g, " ").trim();
}

/** What it returns and throws, in words. @param {ts.Symbol} symbol */
function tags(symbol) {
  return symbol.getJsDocTags().flatMap(({ name, text: parts }) => {
    const said = ts.displayPartsToString(parts).replace(/\s+/g, " ").trim();
    if (name !== "throws") return [];
    const [, kind = "", why = ""] = /^\{?(\w+)\}?:? *(.*)$/.exec(said) ?? [];
    return [why ? `Throws a \`${kind}\`: ${why.replace(/\.$/, "")}.` : `Throws a \`${kind}\`.`];
  });
}

/** @param {string} shown */
function code(shown) {
  return `\`${shown}\``;
}

/** @param {string[]} head @param {string[][]} rows */
function table(head, rows) {
  const lines = [head, head.map(() => "---"), ...rows].map((cells) => {
    return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  });
  return lines.join("");
}

/** The page as the types have it. */
export function reference() {
  return new Reference().page();
}

/** The page as it is. */
export function currentPage() {
  return readFile(PAGE, "utf8");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeFile(PAGE, reference());
