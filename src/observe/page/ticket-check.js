/** The root to which a path leads from a leaf's content at a place, by RFC 9162. Null if the path's length is another. */
async function climb(content, place, leaves, path) {
  if (place >= leaves) return null;
  let node = await sha256(joined([0], content));
  const beside = path.map(unhex);
  for (let width = leaves; width > 1n; place /= 2n, width = (width + 1n) / 2n) {
    if ((place ^ 1n) >= width) continue;
    const other = beside.shift();
    if (!other) return null;
    node = await sha256(place % 2n === 0n ? joined([1], node, other) : joined([1], other, node));
  }
  return beside.length === 0 ? hex(node) : null;
}

/** The values of DER text, each with its tag, its content and the whole of it. Every length must be in its shortest form. */
function der(bytes) {
  const found = [];
  for (let at = 0, start = 0; at < bytes.length; start = at) {
    const tag = bytes[at], first = bytes[at + 1], more = first > 128 && first < 133 ? first - 128 : 0;
    let length = more === 0 ? first : 0;
    for (let place = 0; place < more; place += 1) length = length * 256 + bytes[at + 2 + place];
    at += 2 + more;
    const isShort = more === 0 ? first < 128 : length >= 128 && length >= 256 ** (more - 1) && length < 65535;
    if ((tag & 31) === 31 || !isShort || !(at + length <= bytes.length)) refuse("signature");
    found.push({ tag, content: bytes.subarray(at, at + length), whole: bytes.subarray(start, at + length) });
    at += length;
  }
  return found;
}

/** The same, where the tags must be these. */
function derOf(bytes, ...tags) {
  const found = der(bytes);
  return found.length === tags.length && found.every(({ tag }, at) => tag === tags[at]) ? found : refuse("signature");
}

/** The public key of a central's certificate. A certificate of anybody else is refused. */
function keyOf(certificate) {
  const [whole] = derOf(certificate, 0x30);
  const [body, by, signature] = derOf(whole.content, 0x30, 0x30, 0x03);
  const [version, , algorithm, , , , key, extensions] = derOf(body.content, 0xa0, 2, 0x30, 0x30, 0x30, 0x30, 0x30, 0xa3);
  const isThird = same(version.content, [2, 1, 2]) && same(algorithm.whole, by.whole) && signature.content[0] === 0;
  const seen = new Set(), uris = [];
  for (const extension of der(derOf(extensions.content, 0x30)[0].content)) {
    if (extension.tag !== 0x30) refuse("signature");
    const parts = der(extension.content), isCritical = parts[1]?.tag === 1;
    const [id, value] = isCritical ? derOf(extension.content, 6, 1, 4).toSpliced(1, 1) : derOf(extension.content, 6, 4);
    const name = hex(id.content), isKnown = /^551d(0f|11|13|1e|1f|25)$/.test(name);
    if (seen.has(name) || (isCritical && (!isKnown || !same(parts[1].content, [255])))) refuse("signature");
    seen.add(name);
    if (name !== "551d11") continue;
    for (const { tag, content } of der(derOf(value.content, 0x30)[0].content)) {
      if (tag === 0x86) uris.push(String.fromCharCode(...content));
    }
  }
  const ours = uris.filter((uri) => uri.toLowerCase().startsWith("urn:quiniela:"));
  return isThird && ours.length === 1 && ours[0] === "urn:quiniela:central" ? key.whole : refuse("signature");
}

/** What Web Crypto needs for a scheme of rustls' name: of the key, and of the signature. */
function scheme(name) {
  const [, kind, bits] = /^(ECDSA_NISTP256|ECDSA_NISTP384|ED25519|RSA_PSS|RSA_PKCS1)(?:_SHA(256|384|512))?$/.exec(name) ?? [];
  const hash = `SHA-${bits}`, curve = { ECDSA_NISTP256: "256", ECDSA_NISTP384: "384" }[kind];
  if (curve && curve === bits) return [{ name: "ECDSA", namedCurve: `P-${curve}` }, { name: "ECDSA", hash }];
  if (kind === "ED25519" && !bits) return [{ name: "Ed25519" }, { name: "Ed25519" }];
  if (kind === "RSA_PSS" && bits) return [{ name: "RSA-PSS", hash }, { name: "RSA-PSS", saltLength: bits / 8 }];
  if (kind === "RSA_PKCS1" && bits) return [{ name: "RSASSA-PKCS1-v1_5", hash }, { name: "RSASSA-PKCS1-v1_5" }];
  return refuse("signature");
}

/** Both numbers of an ECDSA signature, which is DER, at their full length. */
function numbers(signature, length) {
  const parts = derOf(derOf(signature, 0x30)[0].content, 2, 2).map(({ content }) => {
    const isShort = content.length > 0 && content[0] < 128 && (content[0] > 0 || content[1] >= 128);
    const digits = content[0] === 0 ? content.subarray(1) : content;
    if (!isShort || digits.length > length) refuse("signature");
    return joined(new Uint8Array(length - digits.length), digits);
  });
  return joined(...parts);
}

function base64(text) {
  let decoded = null;
  try { decoded = atob(text); } catch { /* It is none. */ }
  return decoded !== null && btoa(decoded) === text ? Uint8Array.from(decoded, (byte) => byte.charCodeAt(0)) : refuse("signature");
}

/** Checks that the seal's signature is by the key of the certificate beside it, and that one a central's. */
async function checkSignature({ signed, lottery, agencies, total, seal, sealed_at }) {
  const [name, ...rest] = signed.signature.split(":");
  const [ofKey, ofSignature] = scheme(name), certificates = signed.certificates.map(base64);
  const signature = base64(rest.length > 0 ? rest.join(":") : refuse("signature"));
  const statement = utf8(`quiniela sello v1 ${lottery} ${agencies} ${total} ${seal} ${sealed_at}\n`);
  const spki = keyOf(certificates[0] ?? refuse("signature"));
  const sent = ofKey.namedCurve ? numbers(signature, ofKey.namedCurve === "P-256" ? 32 : 48) : signature;
  const importing = crypto.subtle.importKey("spki", spki, ofKey, false, ["verify"]);
  const key = await importing.catch((error) => refuse(error.name === "NotSupportedError" ? "scheme" : "signature", name));
  const { modulusLength = 2048 } = key.algorithm;
  const holds = modulusLength >= 2048 && modulusLength <= 8192 && await crypto.subtle.verify(ofSignature, key, sent, statement);
  if (!holds) refuse("signature");
}

/** Checks a ticket against a seal, as `quiniela ticket --check TICKET --seal HEX` does. Refuses one that does not hold. */
async function check(text, seal) {
  const ticket = await read(text), row = values(ticket.row);
  if (row.agency !== String(ticket.agency)) refuse("agency", row.agency, ticket.agency);
  if (!/^[0-9a-f]{32}$/.test(ticket.salt)) refuse("salt");
  const leaf = joined(unhex(ticket.salt), utf8(`${ticket.row}\r\n`));
  const root = ticket.bet === 0n ? null : await climb(leaf, ticket.bet - 1n, ticket.bets, ticket.path);
  if (root !== ticket.root) refuse("root");
  const line = utf8(`${ticket.agency},${ticket.bets},${ticket.root},${ticket.status}\n`);
  if (await climb(line, ticket.agency - 1n, ticket.agencies, ticket.agency_path) !== ticket.seal) refuse("line");
  if (ticket.total < ticket.bets) refuse("total");
  if (ticket.signed) await checkSignature(ticket);
  if (ticket.seal !== seal) refuse("other", ticket.seal);
  const won = ticket.number === undefined ? "open" : String(ticket.number) === row.number ? "won" : "lost";
  return { ticket, row, won };
}

