/** Why a ticket does not hold: a word above, and what it is told. */
class Refusal extends Error {
  constructor(word, ...values) { super(word); Object.assign(this, { word, values }); }
}
const refuse = (word, ...values) => { throw new Refusal(word, ...values); };

const MOST_BYTES = 1 << 20, MOST_AGENCIES = 65535;
const U32 = [/(0|[1-9][0-9]{0,9})/, 2n ** 32n], U64 = [/(0|[1-9][0-9]{0,19})/, 2n ** 64n];
const HASH = /"([0-9a-f]{64})"/, TEXT = /("(?:[^"\\]|\\[^])*")/;

/** Reads a ticket in the one form in which it is written, a line for each value. Anything else is refused. */
async function read(text) {
  const lines = text.split("\n"), ticket = {};
  let at = 0;
  const line = (...pieces) => {
    const pattern = pieces.map((piece) => piece.source ?? piece.replace(/[[\]{}]/g, "\\$&")).join("");
    const found = new RegExp(`^${pattern}$`, "u").exec(lines[at]) ?? refuse("noTicket", at + 1);
    at += 1;
    return found[1];
  };
  const number = (name, [digits, limit]) => {
    const value = BigInt(line(`  "${name}": `, digits, ","));
    ticket[name] = value < limit ? value : refuse("noTicket", at);
  };
  const string = (token) => {
    let value = null;
    try { value = JSON.parse(token); } catch { /* It is none. */ }
    // A lone half of a surrogate pair is no character.
    return JSON.stringify(value) === token && !/\p{Surrogate}/u.test(value) ? value : refuse("noTicket", at);
  };
  const list = (indent, name, item, end) => {
    const items = [];
    if (lines[at] === `${indent}"${name}": []${end}`) { at += 1; return items; }
    line(`${indent}"${name}": [`);
    do items.push(line(`${indent}  `, item, /,?/)); while (lines[at - 1].endsWith(","));
    line(`${indent}]${end}`);
    return items;
  };
  line("{");
  number("format", U32);
  ticket.lottery = line('  "lottery": ', /"([0-9a-f]{32})"/, ",");
  number("agency", U32);
  number("bet", U64);
  ticket.row = string(line('  "row": ', TEXT, ","));
  ticket.salt = string(line('  "salt": ', TEXT, ","));
  ticket.path = list("  ", "path", HASH, ",");
  number("bets", U64);
  ticket.root = line('  "root": ', HASH, ",");
  ticket.status = line('  "status": ', /"(undeclared|declared|signed|overridden)"/, ",");
  ticket.agency_path = list("  ", "agency_path", HASH, ",");
  number("agencies", U32);
  number("total", U64);
  ticket.seal = line('  "seal": ', HASH, ",");
  number("sealed_at", U64);
  if (lines[at] === '  "signed": {') {
    at += 1;
    const signature = string(line('    "signature": ', TEXT, ","));
    const certificates = list("    ", "certificates", TEXT, "").map(string);
    ticket.signed = { signature, certificates };
    line("  },");
  }
  if (lines[at]?.startsWith('  "number": ')) number("number", U32);
  const before = lines.slice(0, at).join("\n");
  const checksum = line('  "sha256": ', HASH);
  line("}");
  if (at !== lines.length - 1 || lines[at] !== "") refuse("noTicket", at + 1);
  if (hex(await sha256(utf8(`${before.slice(0, -1)}\n}\n`))) !== checksum) refuse("checksum");
  return ticket.format === 1n ? ticket : refuse("format", ticket.format);
}

const utf8 = (text) => new TextEncoder().encode(text);
const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
const joined = (...pieces) => Uint8Array.from(pieces.flatMap((piece) => [...piece]));
const ascii = (bytes) => String.fromCharCode(...bytes);
const same = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);

/** The calendar repeats itself every 400 years, and `Date` has other plans for the first hundred. */
function isDay(year, month, day) {
  const days = new Date(Date.UTC(2000 + year % 400, month, 0)).getUTCDate();
  return month >= 1 && month <= 12 && day >= 1 && day <= days;
}

/** The values of a bet's row, which must have the one form in which a central writes it. */
function values(row) {
  const name = '([^",]+|"(?:[^"]|"")+")', whole = "(0|[1-9][0-9]{0,9})";
  const form = new RegExp(`^${whole},${name},${name},([A-Za-z0-9.-]{1,32}),([0-9]{4})-([0-9]{2})-([0-9]{2}),${whole}$`, "u");
  const [, agency, first, last, document, year, month, day, number] = form.exec(row) ?? refuse("row");
  const names = [first, last].map((text) => {
    const plain = text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text;
    const hasForm = /[",]/.test(plain) === text.startsWith('"') && !/[|\p{Cc}]/u.test(plain) && [...plain].length <= 100;
    return hasForm ? plain : refuse("row");
  });
  const isDate = year > 0 && isDay(year, month, day);
  const isKnown = agency >= 1 && agency <= MOST_AGENCIES && number < 2 ** 32;
  return isDate && isKnown ? { agency, names, document, birthdate: `${year}-${month}-${day}`, number } : refuse("row");
}

