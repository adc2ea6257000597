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
  const { spki, form } = keyOf(certificates[0] ?? refuse("signature"));
  // Browsers also take points in other forms than the plain one.
  if (ofKey.namedCurve && form !== 4) refuse("signature");
  const sent = ofKey.namedCurve ? numbers(signature, ofKey.namedCurve === "P-256" ? 32 : 48) : signature;
  const importing = crypto.subtle.importKey("spki", spki, ofKey, false, ["verify"]);
  const key = await importing.catch((error) => refuse(error.name === "NotSupportedError" ? "scheme" : "signature", name));
  const { modulusLength = 2048 } = key.algorithm;
  const holds = modulusLength >= 2048 && modulusLength <= 8192 && await crypto.subtle.verify(ofSignature, key, sent, statement);
  if (!holds) refuse("signature");
}

