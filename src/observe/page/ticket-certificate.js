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

/** A time of a certificate, as they are written since 1988. */
function isTime({ tag, content }) {
  const isShort = (tag & 31) === 0x17, isLong = (tag & 31) === 0x18;
  const form = isShort ? /^()([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})Z$/
    : /^([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})Z$/;
  const [, century, year, month, day, hour, minute, second] = form.exec(ascii(content)) ?? [];
  const isClock = hour < 24 && minute < 60 && second < 60;
  return (isShort || isLong) && isClock && isDay((century || "20") + year, month, day);
}

/** The names of a certificate that are URIs. An extension that must be understood and is not makes it nobody's. */
function uris(extensions) {
  const seen = new Set(), found = [];
  for (const { tag, content } of der(extensions)) {
    const hasFlag = tag === 0x30 && der(content)[1]?.tag === 1;
    const [id, ...rest] = tag === 0x30 ? derOf(content, 6, ...(hasFlag ? [1, 4] : [4])) : refuse("signature");
    const [flag, value] = hasFlag ? [rest[0].content, rest[1].content] : [new Uint8Array([0]), rest[0].content];
    const name = hex(id.content), isKnown = /^551d(0f|11|13|1e|1f|25)$/.test(name);
    if (flag.length !== 1 || ![0, 255].includes(flag[0]) || (flag[0] && !isKnown) || (isKnown && seen.has(name))) refuse("signature");
    seen.add(name);
    // The use of the key is a string of bits; all others that are known are sequences.
    const [inner] = isKnown && name !== "551d0f" ? derOf(value, 0x30) : [];
    const names = name === "551d11" ? der(inner.content) : [];
    const isOdd = (one) => one.tag >> 6 !== 2 || ((one.tag & 31) === 6 && one.content.some((byte) => byte > 127));
    if (names.some(isOdd)) refuse("signature");
    found.push(...names.filter((one) => (one.tag & 31) === 6).map((one) => ascii(one.content)));
  }
  return found;
}

/** The public key of a central's certificate. A certificate of anybody else is refused. */
function keyOf(certificate) {
  const [whole] = derOf(certificate, 0x30);
  const [body, by, signature] = derOf(whole.content, 0x30, 0x30, 0x03);
  const [version, , algorithm, , times, , key, extensions] = derOf(body.content, 0xa0, 2, 0x30, 0x30, 0x30, 0x30, 0x30, 0xa3);
  const isThird = same(version.content, [2, 1, 2]) && same(algorithm.whole, by.whole) && signature.content[0] === 0;
  const isTimed = der(times.content).length === 2 && der(times.content).every(isTime);
  const ours = uris(derOf(extensions.content, 0x30)[0].content).filter((uri) => uri.toLowerCase().startsWith("urn:quiniela:"));
  const [, bits] = derOf(key.content, 0x30, 3);
  const isCentral = ours.length === 1 && ours[0] === "urn:quiniela:central";
  const isWhole = isThird && isTimed && isCentral && bits.content[0] === 0;
  return isWhole ? { spki: key.whole, form: bits.content[1] } : refuse("signature");
}

